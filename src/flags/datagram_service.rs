//! The service of a datagram server: the flags that name it, imply it or configure it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::exec::ExecFlags;
use super::stream_only::StreamOnlyFlags;
use crate::datagram::server::handler::Handler;
use crate::datagram::server::print::{PayloadPrinter, PrintFormat};
use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::report::Report;
use crate::report::hexdump::ServerDump;
use crate::service::reply::ReplyScript;
use crate::service::template::Template;

/// The services of a datagram server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatagramServiceName {
    /// Print payloads to stdout
    Print,
    /// Send each datagram back (RFC 862)
    Echo,
    /// Reply: Hello, <message>!
    Hello,
    /// Reply: [Tue Feb 17 10:00:18 2026] <message>
    Time,
    /// Acknowledge each message
    Ack,
    /// Reply with the text of --reply
    Reply,
    /// Discard each datagram without a reply (RFC 863)
    Discard,
    /// Run a program for each datagram (--exec, --sh)
    Exec,
}

/// What is printed between payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrintSeparator {
    /// Nothing
    Chunk,
    /// A line end after each payload
    Line,
}

/// Flags that choose and configure a service.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub struct DatagramServiceFlags {
    /// Service for each datagram [default: print]
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<DatagramServiceName>,
    #[command(flatten)]
    pub(crate) print: PrintFlags,
    #[command(flatten)]
    pub(crate) reply: ReplyFlags,
    #[command(flatten)]
    pub(crate) exec: ExecFlags,
    #[command(flatten)]
    pub(crate) stream_only: StreamOnlyFlags,
}

/// Flags of the service print.
#[derive(Debug, Args)]
#[command(next_help_heading = "Printing (print)")]
pub struct PrintFlags {
    /// Separator that print writes after each payload
    #[arg(long, value_name = "HOW", default_value = "chunk", hide_default_value = true)]
    pub framing: PrintSeparator,
    /// Print payloads as a hex dump, or write a hex dump of both directions to FILE (- is stderr)
    ///
    /// In FILE each line begins with the address of the peer; > are sent bytes, < received ones.
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "framing",
          value_hint = clap::ValueHint::FilePath)]
    pub hex: Option<Option<PathBuf>>,
}

impl PrintFlags {
    fn prints_hex(&self) -> bool {
        matches!(self.hex, Some(None))
    }

    /// Opens the dump of both directions, if there is one; fails as [`ServerDump::open`] does.
    pub fn dump(&self, report: &Report) -> Result<Option<ServerDump>, Failure> {
        let path = self.hex.iter().flatten().next();
        path.map(|path| ServerDump::open(path, report)).transpose()
    }
}

/// Flags of the services that reply.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages (hello, time, ack, reply)")]
pub struct ReplyFlags {
    /// Reply to each datagram with TEXT: {message} {time} {peer} {local} {n}; implies the service reply
    ///
    /// {n} is the number of the datagram, {time} the local time in the format of ctime; {{ and }}
    /// are braces. C escapes such as \n are decoded. A line end at the end of the message is moved
    /// behind the reply. Datagrams have no connection: --greeting, --until and --messages are flags
    /// of stream servers only.
    #[arg(long, value_name = "TEXT", value_parser = values::template())]
    pub reply: Option<Template>,
    /// Delay before each reply, also of echo
    ///
    /// Delays run concurrently. At most 16,384 replies are delayed, a quarter of them for one
    /// source address; further datagrams are not answered, with one warning, and counted.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub delay: Option<Duration>,
}

impl DatagramServiceFlags {
    /// The handler these flags ask for.
    ///
    /// Fails with code 2 on flags that do not go together.
    pub fn handler(&self) -> Result<Handler, Failure> {
        let name = self.name();
        self.stream_only.reject()?;
        self.reject_unused_flags(name)?;
        let reply = |base| Handler::from_reply_script(self.reply_script(base));
        Ok(match name {
            DatagramServiceName::Print => Handler::Print(PayloadPrinter::new(self.print_format())),
            DatagramServiceName::Echo => Handler::Echo,
            DatagramServiceName::Discard => Handler::Discard,
            DatagramServiceName::Exec => Handler::Exec(self.exec.program()?),
            DatagramServiceName::Hello => reply(ReplyScript::hello()),
            DatagramServiceName::Time => reply(ReplyScript::time()),
            DatagramServiceName::Ack => reply(ReplyScript::ack()),
            DatagramServiceName::Reply => reply(ReplyScript::mirror()),
        })
    }

    /// The service that is named, or implied by a flag.
    fn name(&self) -> DatagramServiceName {
        let implied = if self.exec.first_given().is_some() {
            DatagramServiceName::Exec
        } else if self.reply.reply.is_some() {
            DatagramServiceName::Reply
        } else {
            DatagramServiceName::Print
        };
        self.service.unwrap_or(implied)
    }

    /// The time before each reply.
    pub fn delay(&self) -> Duration {
        self.reply.delay.unwrap_or_default()
    }

    /// Whether the service runs a program.
    pub fn starts_programs(&self) -> bool {
        self.name() == DatagramServiceName::Exec || self.exec.first_given().is_some()
    }

    fn reply_script(&self, base: ReplyScript) -> ReplyScript {
        ReplyScript { reply: self.reply.reply.clone().or(base.reply), ..base }
    }

    fn print_format(&self) -> PrintFormat {
        match (self.print.prints_hex(), self.print.framing) {
            (true, _) => PrintFormat::Hex,
            (_, PrintSeparator::Line) => PrintFormat::Lines,
            (_, PrintSeparator::Chunk) => PrintFormat::Bare,
        }
    }

    /// Fails with code 2 on a flag that has no effect on the service.
    fn reject_unused_flags(&self, name: DatagramServiceName) -> Result<(), Failure> {
        use DatagramServiceName::{Discard, Echo, Exec, Print};
        let has_text = !matches!(name, Print | Echo | Discard | Exec);
        let has_delay = has_text || name == Echo;
        let reply = (!has_text && self.reply.reply.is_some()).then_some("--reply");
        let delay = (!has_delay && self.reply.delay.is_some()).then_some("--delay");
        let hex = self.print.prints_hex().then_some("--hex");
        let framing = (self.print.framing == PrintSeparator::Line).then_some("--framing");
        let unused = (self.exec.first_given().filter(|_| name != Exec))
            .or(reply)
            .or(delay)
            .or(hex.or(framing).filter(|_| name != Print));
        let Some(flag) = unused else { return Ok(()) };
        let name = name.to_possible_value().map(|value| value.get_name().to_string());
        let why = format!("has no effect with the service {}", name.unwrap_or_default());
        Err(Failure::usage(Phase::Send, flag, why))
    }
}
