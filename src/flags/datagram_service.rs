//! Which service a server of datagrams runs, by the flags that name it or imply it.

use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};

use super::exec::Running;
use super::stream_only::Foreign;
use crate::datagram::listen::Duty;
use crate::datagram::server::print::Look;
use crate::error::{Failure, Stage};
use crate::flags::values;
use crate::service::reply::Script;
use crate::service::template::Template;

/// The services of a server of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
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
pub enum Framing {
    /// Nothing
    Chunk,
    /// A line end behind each
    Line,
}

/// Flags that choose a service and shape it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub struct Choice {
    /// What is done with each datagram [print]
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<Name>,
    /// What is printed
    #[command(flatten)]
    pub printing: Printing,
    /// What is answered
    #[command(flatten)]
    pub wording: Wording,
    /// Which program
    #[command(flatten)]
    pub running: Running,
    /// What no datagram has
    #[command(flatten)]
    pub foreign: Foreign,
}

/// Flags of the service print.
#[derive(Debug, Args)]
#[command(next_help_heading = "Printing (print)")]
pub struct Printing {
    /// What print puts between payloads
    #[arg(long, value_name = "HOW", default_value = "chunk", hide_default_value = true)]
    pub framing: Framing,
    /// Print payloads as a hex dump
    #[arg(long, conflicts_with = "framing")]
    pub hex: bool,
}

/// Flags of the services that answer.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages (hello, time, ack, reply)")]
pub struct Wording {
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
    Template::read(&text)
}

impl Choice {
    /// The service these flags ask for.
    ///
    /// Fails with code 2 on flags that do not go together.
    pub fn duty(&self) -> Result<Duty, Failure> {
        let implied = match () {
            () if self.running.first_given().is_some() => Name::Exec,
            () if self.wording.reply.is_some() => Name::Reply,
            () => Name::Print,
        };
        let name = self.service.unwrap_or(implied);
        self.foreign.refuse()?;
        self.refuse_what_means_nothing(name)?;
        Ok(match name {
            Name::Print => Duty::print(self.look()),
            Name::Echo => Duty::Echo,
            Name::Discard => Duty::Discard,
            Name::Exec => Duty::exec(self.running.program()?),
            Name::Hello => Duty::by_script(self.script(Script::hello())),
            Name::Time => Duty::by_script(self.script(Script::time())),
            Name::Ack => Duty::by_script(self.script(Script::ack())),
            Name::Reply => Duty::by_script(self.script(Script::mirror())),
        })
    }

    /// The time before each answer.
    pub fn delay(&self) -> Duration {
        self.wording.delay.unwrap_or_default()
    }

    /// Whether the service runs a program.
    pub fn starts_programs(&self) -> bool {
        self.service == Some(Name::Exec) || self.running.first_given().is_some()
    }

    fn script(&self, base: Script) -> Script {
        Script { answer: self.wording.reply.clone().or(base.answer), ..base }
    }

    fn look(&self) -> Look {
        match (self.printing.hex, self.printing.framing) {
            (true, _) => Look::Hex,
            (_, Framing::Line) => Look::Lines,
            (_, Framing::Chunk) => Look::Bare,
        }
    }

    /// A flag that would have no effect is a mistake worth telling.
    fn refuse_what_means_nothing(&self, name: Name) -> Result<(), Failure> {
        let wordless = matches!(name, Name::Print | Name::Echo | Name::Discard | Name::Exec);
        let program = self.running.first_given().filter(|_| name != Name::Exec);
        let answers = !matches!(name, Name::Print | Name::Discard | Name::Exec);
        let flag = match name {
            _ if program.is_some() => program.unwrap_or_default(),
            _ if wordless && self.wording.reply.is_some() => "--reply",
            _ if !answers && self.wording.delay.is_some() => "--delay",
            Name::Print => return Ok(()),
            _ if self.printing.hex => "--hex",
            _ if self.printing.framing == Framing::Line => "--framing",
            _ => return Ok(()),
        };
        let name = name.to_possible_value().map(|value| value.get_name().to_string());
        let why = format!("means nothing to the service {}", name.unwrap_or_default());
        Err(Failure::usage(Stage::Send, flag, why))
    }
}
