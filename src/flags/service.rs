//! Flags that select a service, and those of each service.

use clap::{Args, ValueEnum};

use super::exec::ExecFlags;
use super::files::FileServiceFlags;
use super::messages::MessageFlags;
use crate::datagram::server::handler::Handler;
use crate::datagram::server::print::{PayloadPrinter, PrintFormat};
use crate::error::{Failure, Phase};
use crate::flags::pipe::PipeFlags;
use crate::flags::stream_only;
use crate::net::stdio::StdStreams;
use crate::report::Report;
use crate::server::limits::ServerLimits;
use crate::service::Service;
use crate::service::broadcast::Broadcast;
use crate::service::chargen::Chargen;
use crate::service::chat::Chat;
use crate::service::discard::Discard;
use crate::service::echo::Echo;
use crate::service::exec::Exec;
use crate::service::framing::Framing;
use crate::service::pipe::Pipe;
use crate::service::reply::ReplyScript;

/// The services of a stream server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServiceName {
    /// Send Welcome!, then Hello, <message>! until exit
    Hello,
    /// Send every byte back (RFC 862)
    Echo,
    /// Send [Tue Feb 17 10:00:18 2026] <message>
    Time,
    /// Acknowledge one message, then close
    Ack,
    /// Send --greeting, and --reply for each message
    Reply,
    /// Connect stdin and stdout, one connection at a time (nc -l)
    Pipe,
    /// Send a file (--file), or save what is received (--save)
    File,
    /// Run a program per connection (--exec, --sh)
    Exec,
    /// Send each line, also of stdin, to all other clients and to stdout
    Chat,
    /// Send stdin to every client; one that reads too slowly is reset
    Broadcast,
    /// Read everything, send nothing (RFC 863)
    Discard,
    /// Send printable characters without end (RFC 864)
    Chargen,
}

/// Flags that select and configure a service.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub struct ServiceFlags {
    /// Service for each connection [hello]
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<ServiceName>,
    #[command(flatten)]
    pub(crate) files: FileServiceFlags,
    #[command(flatten)]
    pub(crate) exec: ExecFlags,
    #[command(flatten)]
    pub(crate) messages: MessageFlags,
    #[command(flatten, next_help_heading = "Sessions (pipe)")]
    pub(crate) session: PipeFlags,
}

impl ServiceFlags {
    /// The selected service; it emits warnings to `report`, and changes `limits` where it needs
    /// others. Services that use the standard streams use `std`.
    ///
    /// Fails with 2 on flags of another service, with 26 or 23 when a program or file is not usable.
    pub fn service(
        &self,
        limits: &mut ServerLimits,
        std: StdStreams,
        report: &Report,
    ) -> Result<Box<dyn Service>, Failure> {
        let name = self.name();
        self.reject_unused_flags(name)?;
        let messages = &self.messages;
        Ok(match name {
            ServiceName::Hello => Box::new(messages.service(ReplyScript::hello())?),
            ServiceName::Time => Box::new(messages.service(ReplyScript::time())?),
            ServiceName::Ack => Box::new(messages.service(ReplyScript::ack())?),
            ServiceName::Reply => Box::new(messages.service(self.default_reply())?),
            ServiceName::Echo => Box::new(Echo { delay: messages.delay.unwrap_or_default() }),
            ServiceName::Discard => Box::new(Discard),
            ServiceName::Chargen => Box::new(Chargen::default()),
            ServiceName::Chat => Box::new(self.chat(std)?),
            ServiceName::Broadcast => Box::new(Broadcast::new(std.stdin)),
            ServiceName::File => self.files.service()?,
            ServiceName::Exec => Box::new(Exec::new(self.exec.program()?, limits.grace)),
            ServiceName::Pipe => {
                // Stdin and stdout serve one connection: the next one waits in the backlog.
                limits.max_conns = 1;
                let options = self.session.options(limits.idle_timeout.take());
                Box::new(Pipe { std, options, report: report.clone(), lock: Default::default() })
            }
        })
    }

    /// The selected service for datagrams, each of which is a complete session.
    ///
    /// Fails with code 2 on a service or a flag for streams only.
    pub fn datagram_handler(&self) -> Result<Handler, Failure> {
        let name = self.name();
        self.reject_unused_flags(name)?;
        let message_flag = self.messages.first_given_but(&["--reply", "--delay"]);
        if let Some(flag) = message_flag.or(self.session.first_given()) {
            return Err(stream_only::needs_stream(flag, "--max-accepts"));
        }
        let by = |script| Ok(Handler::from_reply_script(self.messages.script(script)));
        match name {
            ServiceName::Hello => by(ReplyScript::hello()),
            ServiceName::Time => by(ReplyScript::time()),
            ServiceName::Ack => by(ReplyScript::ack()),
            ServiceName::Reply => by(self.default_reply()),
            ServiceName::Echo => Ok(Handler::Echo),
            ServiceName::Discard => Ok(Handler::Discard),
            ServiceName::Pipe => Ok(Handler::Print(PayloadPrinter::new(PrintFormat::Bare))),
            ServiceName::Exec => Ok(Handler::Exec(self.exec.program()?)),
            ServiceName::Chargen
            | ServiceName::File
            | ServiceName::Chat
            | ServiceName::Broadcast => {
                Err(Failure::usage(Phase::File, "--service", "needs a stream"))
            }
        }
    }

    /// Whether the service runs a program.
    pub fn starts_programs(&self) -> bool {
        self.name() == ServiceName::Exec
    }

    /// The selected service, or the one that another flag implies.
    pub fn name(&self) -> ServiceName {
        let has_text = self.messages.greeting.is_some() || self.messages.reply.is_some();
        let implied = if self.files.first_given().is_some() {
            ServiceName::File
        } else if self.exec.first_given().is_some() {
            ServiceName::Exec
        } else if has_text {
            ServiceName::Reply
        } else {
            ServiceName::Hello
        };
        self.service.unwrap_or(implied)
    }

    /// The default script of `--service reply`: without texts it sends the message back.
    fn default_reply(&self) -> ReplyScript {
        match (&self.messages.greeting, &self.messages.reply) {
            (None, None) => ReplyScript::mirror(),
            _ => ReplyScript::default(),
        }
    }

    /// The service chat; its lines, with control characters escaped, are printed on stdout.
    fn chat(&self, std: StdStreams) -> Result<Chat, Failure> {
        if let Framing::Length(_) = self.messages.framing() {
            let why = "cannot be used with --service chat, which forwards lines";
            return Err(Failure::usage(Phase::Receive, "--framing length", why));
        }
        Ok(Chat::new(self.messages.framing(), self.messages.max_message(), std))
    }

    /// Rejects a flag that would have no effect.
    fn reject_unused_flags(&self, name: ServiceName) -> Result<(), Failure> {
        let unused = [
            match name {
                ServiceName::Hello | ServiceName::Time | ServiceName::Ack | ServiceName::Reply => {
                    None
                }
                ServiceName::Echo => self.messages.first_given_but(&["--delay"]),
                ServiceName::Chat => self.messages.first_given_but(&["--framing", "--max-message"]),
                _ => self.messages.first_given_but(&[]),
            },
            self.files.first_given().filter(|_| name != ServiceName::File),
            self.exec.first_given().filter(|_| name != ServiceName::Exec),
            self.session.first_given().filter(|_| name != ServiceName::Pipe),
        ];
        let Some(flag) = unused.into_iter().flatten().next() else { return Ok(()) };
        let name = name.to_possible_value().map(|value| value.get_name().to_string());
        let why = format!("has no effect with the service {}", name.unwrap_or_default());
        Err(Failure::usage(Phase::File, flag, why))
    }
}
