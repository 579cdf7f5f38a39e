//! Which service, by the flags that name it or imply it.

use clap::{Args, ValueEnum};
use std::sync::Mutex;

use super::exec::ExecFlags;
use super::files::FileServiceFlags;
use super::messages::MessageFlags;
use crate::datagram::server::handler::Handler;
use crate::datagram::server::print::PrintFormat;
use crate::error::{Failure, Phase};
use crate::flags::session_end::Session;
use crate::flags::stream_only;
use crate::net::stdout;
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;
use crate::server::accept_loop::Limits;
use crate::service::Service;
use crate::service::chat::Chat;
use crate::service::chat::broadcast::Broadcast;
use crate::service::echo::Echo;
use crate::service::exec::Exec;
use crate::service::framing::Framing;
use crate::service::pipe::Pipe;
use crate::service::reply::ReplyScript;
use crate::service::sink::{Chargen, Discard};

/// The services of a server of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServiceName {
    /// Welcome!, then Hello, <message>! until exit
    Hello,
    /// Every byte back (RFC 862)
    Echo,
    /// [Tue Feb 17 10:00:18 2026] <message>
    Time,
    /// One message, acknowledged
    Ack,
    /// What --greeting and --reply say
    Reply,
    /// Joined to our stdin and stdout, one at a time (nc -l)
    Pipe,
    /// A file to each (--file), or from each (--save)
    File,
    /// A program for each (--exec, --sh)
    Exec,
    /// Each line, also of our stdin, to all the others, and to our terminal
    Chat,
    /// Our stdin to every client; one that reads too slowly is reset
    Broadcast,
    /// Takes everything, answers nothing (RFC 863)
    Discard,
    /// Printable characters without end (RFC 864)
    Chargen,
}

/// Flags that choose a service and shape it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub struct ServiceFlags {
    /// What is done with each connection [hello]
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<ServiceName>,
    /// Which file
    #[command(flatten)]
    pub files: FileServiceFlags,
    /// Which program
    #[command(flatten)]
    pub running: ExecFlags,
    /// What is said
    #[command(flatten)]
    pub wording: MessageFlags,
    /// How a session of the service pipe ends
    #[command(flatten, next_help_heading = "Sessions (pipe)")]
    pub session: Session,
}

impl ServiceFlags {
    /// The service these flags ask for, with its warnings to `report`; one that needs other limits
    /// changes them.
    ///
    /// Fails with code 2 on flags that do not go together, with 26 or 23 when a program or file
    /// that is named cannot be used.
    pub fn service(
        &self,
        limits: &mut Limits,
        report: &Report,
    ) -> Result<Box<dyn Service>, Failure> {
        let name = self.name();
        self.reject_unused_flags(name)?;
        let words = &self.wording;
        Ok(match name {
            ServiceName::Hello => Box::new(words.service(ReplyScript::hello())?),
            ServiceName::Time => Box::new(words.service(ReplyScript::time())?),
            ServiceName::Ack => Box::new(words.service(ReplyScript::ack())?),
            ServiceName::Reply => Box::new(words.service(self.bare_reply())?),
            ServiceName::Echo => Box::new(Echo { delay: words.delay.unwrap_or_default() }),
            ServiceName::Discard => Box::new(Discard),
            ServiceName::Chargen => Box::new(Chargen::default()),
            ServiceName::Chat => Box::new(self.chat()?),
            ServiceName::Broadcast => Box::new(Broadcast::default()),
            ServiceName::File => self.files.service()?,
            ServiceName::Exec => Box::new(Exec::new(self.running.program()?, limits.grace)),
            ServiceName::Pipe => {
                // Our stdin and stdout are one pair: the next caller waits.
                limits.at_once = 1;
                Box::new(Pipe {
                    idle: limits.idle.take(),
                    input: self.session.input_mode(),
                    exit_on_eof: self.session.exit_on_eof,
                    report: report.clone(),
                    turn: Mutex::default(),
                })
            }
        })
    }

    /// The same service for datagrams, each of which is a message and the whole conversation.
    ///
    /// Fails with code 2 on a service or a flag that only a stream has.
    pub fn datagram_handler(&self) -> Result<Handler, Failure> {
        let name = self.name();
        self.reject_unused_flags(name)?;
        let of_messages = self.wording.first_given_but(&["--reply", "--delay"]);
        if let Some(flag) = of_messages.or(self.session.first_given()) {
            return Err(stream_only::needs_stream(flag, "--max-accepts"));
        }
        let by = |script| Ok(Handler::from_reply_script(self.wording.script(script)));
        match name {
            ServiceName::Hello => by(ReplyScript::hello()),
            ServiceName::Time => by(ReplyScript::time()),
            ServiceName::Ack => by(ReplyScript::ack()),
            ServiceName::Reply => by(self.bare_reply()),
            ServiceName::Echo => Ok(Handler::Echo),
            ServiceName::Discard => Ok(Handler::Discard),
            ServiceName::Pipe => Ok(Handler::print(PrintFormat::Bare)),
            ServiceName::Exec => Ok(Handler::exec(self.running.program()?)),
            ServiceName::File
            | ServiceName::Chat
            | ServiceName::Broadcast
            | ServiceName::Chargen => {
                Err(Failure::usage(Phase::File, "--service", "needs a stream"))
            }
        }
    }

    /// Whether the service runs a program.
    pub fn starts_programs(&self) -> bool {
        self.name() == ServiceName::Exec
    }

    /// What a server of this service needs once it listens; `None` where programs need what they
    /// need, and for folders in which files are saved, which come and go.
    pub fn sandbox_policy(&self) -> Option<SandboxPolicy> {
        match self.name() {
            ServiceName::Exec => None,
            ServiceName::File if self.files.save.is_some() => None,
            // It is opened for each guest anew.
            ServiceName::File => Some(SandboxPolicy { reads: true, ..SandboxPolicy::default() }),
            _ => Some(SandboxPolicy::default()),
        }
    }

    /// The service that is named, or implied by the flag that only it has.
    fn name(&self) -> ServiceName {
        let talks = self.wording.greeting.is_some() || self.wording.reply.is_some();
        self.service.unwrap_or(match () {
            () if self.files.first_given().is_some() => ServiceName::File,
            () if self.running.first_given().is_some() => ServiceName::Exec,
            () if talks => ServiceName::Reply,
            () => ServiceName::Hello,
        })
    }

    /// `--service reply` and not a word about what to say.
    fn bare_reply(&self) -> ReplyScript {
        match (&self.wording.greeting, &self.wording.reply) {
            (None, None) => ReplyScript::mirror(),
            _ => ReplyScript::default(),
        }
    }

    /// The service chat, whose lines go to our stdout; nothing in them acts on a terminal.
    fn chat(&self) -> Result<Chat, Failure> {
        if let Framing::Length(_) = self.wording.framing() {
            let why = "the service chat passes lines on, which have no length before them";
            return Err(Failure::usage(Phase::Receive, "--framing length", why));
        }
        Chat::new(self.wording.framing(), self.wording.max_message(), stdout::write_all)
    }

    /// A flag that would have no effect is a mistake worth telling.
    fn reject_unused_flags(&self, name: ServiceName) -> Result<(), Failure> {
        let foreign = [
            match name {
                ServiceName::Hello | ServiceName::Time | ServiceName::Ack | ServiceName::Reply => {
                    None
                }
                ServiceName::Echo => self.wording.first_given_but(&["--delay"]),
                ServiceName::Chat => self.wording.first_given_but(&["--framing", "--max-message"]),
                _ => self.wording.first_given_but(&[]),
            },
            self.files.first_given().filter(|_| name != ServiceName::File),
            self.running.first_given().filter(|_| name != ServiceName::Exec),
            self.session.first_given().filter(|_| name != ServiceName::Pipe),
        ];
        let Some(flag) = foreign.into_iter().flatten().next() else { return Ok(()) };
        let name = name.to_possible_value().map(|value| value.get_name().to_string());
        let why = format!("means nothing to the service {}", name.unwrap_or_default());
        Err(Failure::usage(Phase::File, flag, why))
    }
}
