//! Which service a server of datagrams runs, by the flags that name it or imply it.

use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};

use super::exec::ExecFlags;
use super::stream_only::StreamOnlyFlags;
use crate::datagram::listen::Handler;
use crate::datagram::server::print::PrintFormat;
use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::service::reply::ReplyScript;
use crate::service::template::Template;

/// The services of a server of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServiceName {
    /// Each payload to stdout
    Print,
    /// Every datagram back (RFC 862)
    Echo,
    /// Hello, <message>!
    Hello,
    /// [Tue Feb 17 10:00:18 2026] <message>
    Time,
    /// Each message, acknowledged
    Ack,
    /// What --reply says
    Reply,
    /// Takes everything, answers nothing (RFC 863)
    Discard,
    /// A program for each (--exec, --sh)
    Exec,
}

/// What stands between payloads on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrintSeparator {
    /// Nothing
    Chunk,
    /// A line end behind each
    Line,
}

/// Flags that choose a service and shape it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub struct DatagramServiceFlags {
    /// What is done with each datagram [print]
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<ServiceName>,
    /// What is printed
    #[command(flatten)]
    pub printing: PrintFlags,
    /// What is answered
    #[command(flatten)]
    pub wording: ReplyFlags,
    /// Which program
    #[command(flatten)]
    pub running: ExecFlags,
    /// What no datagram has
    #[command(flatten)]
    pub foreign: StreamOnlyFlags,
}

/// Flags of the service print.
#[derive(Debug, Args)]
#[command(next_help_heading = "Printing (print)")]
pub struct PrintFlags {
    /// What print puts between payloads
    #[arg(long, value_name = "HOW", default_value = "chunk", hide_default_value = true)]
    pub framing: PrintSeparator,
    /// Print payloads as a hex dump
    #[arg(long, conflicts_with = "framing")]
    pub hex: bool,
}

/// Flags of the services that answer.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages (hello, time, ack, reply)")]
pub struct ReplyFlags {
    /// Answer each datagram with this: {message} {time} {peer} {local} {n}; alone, it is the service
    ///
    /// {n} is the number of the datagram, {time} the local time in ctime's form; {{ and }} are
    /// braces. C escapes such as \n are read. A line end that came with the message is put behind
    /// the answer. A datagram is a whole conversation, so that --greeting, --until and --messages
    /// are for servers of streams only.
    #[arg(long, value_name = "TEXT", value_parser = values::text().try_map(template))]
    pub reply: Option<Template>,
    /// Wait this long before each answer (echo too)
    ///
    /// Nobody waits for another's answer. At most 16,384 wait at once, a quarter of them for one
    /// source; further datagrams are not answered, told once and counted.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub delay: Option<Duration>,
}

fn template(text: Vec<u8>) -> Result<Template, String> {
    Template::parse(&text)
}

impl DatagramServiceFlags {
    /// The service these flags ask for.
    ///
    /// Fails with code 2 on flags that do not go together.
    pub fn duty(&self) -> Result<Handler, Failure> {
        let implied = match () {
            () if self.running.first_given().is_some() => ServiceName::Exec,
            () if self.wording.reply.is_some() => ServiceName::Reply,
            () => ServiceName::Print,
        };
        let name = self.service.unwrap_or(implied);
        self.foreign.refuse()?;
        self.refuse_what_means_nothing(name)?;
        Ok(match name {
            ServiceName::Print => Handler::print(self.print_format()),
            ServiceName::Echo => Handler::Echo,
            ServiceName::Discard => Handler::Discard,
            ServiceName::Exec => Handler::exec(self.running.program()?),
            ServiceName::Hello => Handler::from_reply_script(self.script(ReplyScript::hello())),
            ServiceName::Time => Handler::from_reply_script(self.script(ReplyScript::time())),
            ServiceName::Ack => Handler::from_reply_script(self.script(ReplyScript::ack())),
            ServiceName::Reply => Handler::from_reply_script(self.script(ReplyScript::mirror())),
        })
    }

    /// The time before each answer.
    pub fn delay(&self) -> Duration {
        self.wording.delay.unwrap_or_default()
    }

    /// Whether the service runs a program.
    pub fn starts_programs(&self) -> bool {
        self.service == Some(ServiceName::Exec) || self.running.first_given().is_some()
    }

    fn script(&self, base: ReplyScript) -> ReplyScript {
        ReplyScript { reply: self.wording.reply.clone().or(base.reply), ..base }
    }

    fn print_format(&self) -> PrintFormat {
        match (self.printing.hex, self.printing.framing) {
            (true, _) => PrintFormat::Hex,
            (_, PrintSeparator::Line) => PrintFormat::Lines,
            (_, PrintSeparator::Chunk) => PrintFormat::Bare,
        }
    }

    /// A flag that would have no effect is a mistake worth telling.
    fn refuse_what_means_nothing(&self, name: ServiceName) -> Result<(), Failure> {
        let wordless = matches!(
            name,
            ServiceName::Print | ServiceName::Echo | ServiceName::Discard | ServiceName::Exec
        );
        let program = self.running.first_given().filter(|_| name != ServiceName::Exec);
        let answers =
            !matches!(name, ServiceName::Print | ServiceName::Discard | ServiceName::Exec);
        let flag = match name {
            _ if program.is_some() => program.unwrap_or_default(),
            _ if wordless && self.wording.reply.is_some() => "--reply",
            _ if !answers && self.wording.delay.is_some() => "--delay",
            ServiceName::Print => return Ok(()),
            _ if self.printing.hex => "--hex",
            _ if self.printing.framing == PrintSeparator::Line => "--framing",
            _ => return Ok(()),
        };
        let name = name.to_possible_value().map(|value| value.get_name().to_string());
        let why = format!("means nothing to the service {}", name.unwrap_or_default());
        Err(Failure::usage(Phase::Send, flag, why))
    }
}
