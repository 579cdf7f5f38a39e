//! Which service, by the flags that name it or imply it.

use clap::{Args, ValueEnum};
use std::sync::Mutex;

use super::exec::Running;
use super::files::Files;
use super::messages::Wording;
use crate::datagram::listen::{Duty, Look};
use crate::error::{Failure, Stage};
use crate::flags::session_end::Session;
use crate::flags::stream_only;
use crate::net::stdout;
use crate::process::sandbox::Needs;
use crate::report::Report;
use crate::server::accept_loop::Limits;
use crate::service::Service;
use crate::service::chat::Chat;
use crate::service::chat::broadcast::Broadcast;
use crate::service::echo::Echo;
use crate::service::exec::Exec;
use crate::service::framing::Framing;
use crate::service::pipe::Pipe;
use crate::service::reply::Script;
use crate::service::sink::{Chargen, Discard};

/// The services of a server of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
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
pub struct Choice {
    /// What is done with each connection [hello]
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<Name>,
    /// Which file
    #[command(flatten)]
    pub files: Files,
    /// Which program
    #[command(flatten)]
    pub running: Running,
    /// What is said
    #[command(flatten)]
    pub wording: Wording,
    /// How a session of the service pipe ends
    #[command(flatten, next_help_heading = "Sessions (pipe)")]
    pub session: Session,
}

impl Choice {
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
        self.refuse_foreign(name)?;
        let words = &self.wording;
        Ok(match name {
            Name::Hello => Box::new(words.service(Script::hello())?),
            Name::Time => Box::new(words.service(Script::time())?),
            Name::Ack => Box::new(words.service(Script::ack())?),
            Name::Reply => Box::new(words.service(self.bare_reply())?),
            Name::Echo => Box::new(Echo { delay: words.delay.unwrap_or_default() }),
            Name::Discard => Box::new(Discard),
            Name::Chargen => Box::new(Chargen::default()),
            Name::Chat => Box::new(self.chat()?),
            Name::Broadcast => Box::new(Broadcast::default()),
            Name::File => self.files.service()?,
            Name::Exec => Box::new(Exec::new(self.running.program()?, limits.grace)),
            Name::Pipe => {
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
    pub fn duty(&self) -> Result<Duty, Failure> {
        let name = self.name();
        self.refuse_foreign(name)?;
        let of_messages = self.wording.first_given_but(&["--reply", "--delay"]);
        if let Some(flag) = of_messages.or(self.session.first_given()) {
            return Err(stream_only::refused(flag, "--max-accepts"));
        }
        let by = |script| Ok(Duty::by_script(self.wording.script(script)));
        match name {
            Name::Hello => by(Script::hello()),
            Name::Time => by(Script::time()),
            Name::Ack => by(Script::ack()),
            Name::Reply => by(self.bare_reply()),
            Name::Echo => Ok(Duty::Echo),
            Name::Discard => Ok(Duty::Discard),
            Name::Pipe => Ok(Duty::print(Look::Bare)),
            Name::Exec => Ok(Duty::exec(self.running.program()?)),
            Name::File | Name::Chat | Name::Broadcast | Name::Chargen => {
                Err(Failure::usage(Stage::File, "--service", "needs a stream"))
            }
        }
    }

    /// Whether the service runs a program.
    pub fn starts_programs(&self) -> bool {
        self.name() == Name::Exec
    }

    /// What a server of this service needs once it listens; `None` where programs need what they
    /// need, and for folders in which files are saved, which come and go.
    pub fn needs(&self) -> Option<Needs> {
        match self.name() {
            Name::Exec => None,
            Name::File if self.files.save.is_some() => None,
            // It is opened for each guest anew.
            Name::File => Some(Needs { reads: true, ..Needs::default() }),
            _ => Some(Needs::default()),
        }
    }

    /// The service that is named, or implied by the flag that only it has.
    fn name(&self) -> Name {
        let talks = self.wording.greeting.is_some() || self.wording.reply.is_some();
        self.service.unwrap_or(match () {
            () if self.files.first_given().is_some() => Name::File,
            () if self.running.first_given().is_some() => Name::Exec,
            () if talks => Name::Reply,
            () => Name::Hello,
        })
    }

    /// `--service reply` and not a word about what to say.
    fn bare_reply(&self) -> Script {
        match (&self.wording.greeting, &self.wording.reply) {
            (None, None) => Script::mirror(),
            _ => Script::default(),
        }
    }

    /// The service chat, whose lines go to our stdout; nothing in them acts on a terminal.
    fn chat(&self) -> Result<Chat, Failure> {
        if let Framing::Length(_) = self.wording.framing() {
            let why = "the service chat passes lines on, which have no length before them";
            return Err(Failure::usage(Stage::Receive, "--framing length", why));
        }
        Chat::new(self.wording.framing(), self.wording.max_message(), stdout::write_all)
    }

    /// A flag that would have no effect is a mistake worth telling.
    fn refuse_foreign(&self, name: Name) -> Result<(), Failure> {
        let foreign = [
            match name {
                Name::Hello | Name::Time | Name::Ack | Name::Reply => None,
                Name::Echo => self.wording.first_given_but(&["--delay"]),
                Name::Chat => self.wording.first_given_but(&["--framing", "--max-message"]),
                _ => self.wording.first_given_but(&[]),
            },
            self.files.first_given().filter(|_| name != Name::File),
            self.running.first_given().filter(|_| name != Name::Exec),
            self.session.first_given().filter(|_| name != Name::Pipe),
        ];
        let Some(flag) = foreign.into_iter().flatten().next() else { return Ok(()) };
        let name = name.to_possible_value().map(|value| value.get_name().to_string());
        let why = format!("means nothing to the service {}", name.unwrap_or_default());
        Err(Failure::usage(Stage::File, flag, why))
    }
}
