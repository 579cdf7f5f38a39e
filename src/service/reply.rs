//! `reply`: a greeting, and an answer to each message. `hello`, `time` and `ack` are it, with
//! their words filled in.

use std::time::Duration;

use super::framing::{Framing, InputState, Message, MessageSplitter, Unframed};
use super::template::{Template, TemplateValues};
use super::{Connection, Service, ServiceOutcome};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::EndedBy;

/// What is said, and how long the talk lasts.
#[derive(Debug, Clone, Default)]
pub struct ReplyScript {
    /// Said first.
    pub greeting: Option<Template>,
    /// Said to each message.
    pub answer: Option<Template>,
    /// The message that ends the talk, unanswered.
    pub until: Option<Vec<u8>>,
    /// The number of messages after which we end the talk.
    pub messages: Option<u64>,
}

impl ReplyScript {
    /// `Welcome!`, then `Hello, <message>!` until `exit`.
    pub fn hello() -> ReplyScript {
        ReplyScript {
            greeting: Some(Template::plain("Welcome!")),
            answer: Some(Template::around_message("Hello, ", "!")),
            until: Some(b"exit".to_vec()),
            messages: None,
        }
    }

    /// `[Tue Feb 17 10:00:18 2026] <message>`.
    pub fn time() -> ReplyScript {
        ReplyScript { answer: Some(Template::dated_message()), ..ReplyScript::default() }
    }

    /// One message, acknowledged.
    pub fn ack() -> ReplyScript {
        let answer = Template::around_message("已接收到数据 ", "");
        ReplyScript { answer: Some(answer), messages: Some(1), ..ReplyScript::default() }
    }

    /// `Your msg=<message>`.
    pub fn mirror() -> ReplyScript {
        let answer = Template::around_message("Your msg=", "");
        ReplyScript { answer: Some(answer), ..ReplyScript::default() }
    }
}

/// Talks to each guest by a script.
#[derive(Debug)]
pub struct Reply {
    /// What is said.
    pub script: ReplyScript,
    /// What a message is.
    pub framing: Framing,
    /// Bytes of the longest message.
    pub max_message: usize,
    /// The time before each answer.
    pub delay: Duration,
}

/// Answers to one read are sent together, up to this many bytes at a time.
const TOGETHER: usize = 64 << 10;

/// Whether the talk goes on.
#[derive(PartialEq, Eq)]
enum Talk {
    GoesOn,
    IsOver,
}

/// One guest's talk.
struct Conversation<'a> {
    reply: &'a Reply,
    guest: &'a mut Connection,
    received: u64,
    answers: Vec<u8>,
}

impl Service for Reply {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let mut talk = Conversation { reply: self, guest, received: 0, answers: Vec::new() };
        talk.send_greeting()?;
        let mut cutter = MessageSplitter::new(self.framing, self.max_message);
        loop {
            let n = talk.guest.read(cutter.space())?;
            let full = cutter.filled(n);
            let flow = match n {
                0 => InputState::Eof,
                _ if full && talk.guest.stream.reader.is_ready() => InputState::More,
                _ => InputState::Idle,
            };
            if talk.answer_all(&mut cutter, flow)? == Talk::IsOver {
                talk.guest.close_gracefully()?;
                return Ok(EndedBy::Us.into());
            }
            if flow == InputState::Eof {
                let by = talk.guest.ended_by();
                talk.guest.close_gracefully()?;
                return Ok(by.into());
            }
        }
    }
}

impl Conversation<'_> {
    fn send_greeting(&mut self) -> Result<(), Failure> {
        let Some(greeting) = &self.reply.script.greeting else { return Ok(()) };
        let facts = &self.guest.stream.facts;
        let filling = TemplateValues {
            message: b"",
            // There is no message yet: a greeting counts the connections.
            n: self.guest.conn,
            peer: &facts.peer,
            local: &facts.local,
            peer_name: facts.peer_name.as_deref(),
        };
        let framed =
            self.reply.framing.append(&mut self.answers, |out| greeting.render(&filling, out));
        framed.or_else(|most| self.refuse_answer(most))?;
        self.send()
    }

    /// Answers every message that is whole.
    fn answer_all(
        &mut self,
        cutter: &mut MessageSplitter,
        flow: InputState,
    ) -> Result<Talk, Failure> {
        let talk = loop {
            match cutter.next(flow) {
                Ok(Some(message)) => {
                    if self.answer(message)? == Talk::IsOver {
                        break Talk::IsOver;
                    }
                }
                Ok(None) => break Talk::GoesOn,
                Err(unframed) => return self.reject_too_long(unframed),
            }
        };
        self.send()?;
        Ok(talk)
    }

    fn answer(&mut self, message: Message<'_>) -> Result<Talk, Failure> {
        let script = &self.reply.script;
        if script.until.as_deref() == Some(message.text) {
            return Ok(Talk::IsOver);
        }
        self.received += 1;
        if let Some(answer) = &script.answer {
            if !self.reply.delay.is_zero() {
                self.send()?;
                // Whoever wants the run to end is not kept waiting: the answer comes at once.
                let _ = self.guest.stop.sleep(self.reply.delay);
            }
            let facts = &self.guest.stream.facts;
            let filling = TemplateValues {
                message: message.text,
                n: self.received,
                peer: &facts.peer,
                local: &facts.local,
                peer_name: facts.peer_name.as_deref(),
            };
            let framed =
                self.reply.framing.append(&mut self.answers, |out| answer.render(&filling, out));
            framed.or_else(|most| self.refuse_answer(most))?;
            self.answers.extend_from_slice(message.line_end);
        }
        if self.answers.len() >= TOGETHER || !self.reply.delay.is_zero() {
            self.send()?;
        }
        let enough = script.messages.is_some_and(|most| self.received >= most);
        Ok(if enough { Talk::IsOver } else { Talk::GoesOn })
    }

    /// Sends what has been answered so far.
    fn send(&mut self) -> Result<(), Failure> {
        if !self.answers.is_empty() {
            self.guest.write_all(&self.answers)?;
            self.answers.clear();
        }
        Ok(())
    }

    /// Ends the conversation at a message that is too long or truncated; what was answered before
    /// it is delivered.
    fn reject_too_long(&mut self, unframed: Unframed) -> Result<Talk, Failure> {
        self.send()?;
        self.guest.close_gracefully()?;
        let peer = &self.guest.stream.facts.peer;
        let failure = |why: String| Failure::new(Phase::Receive, peer, why);
        Err(match unframed {
            Unframed::TooLong => {
                failure(format!("a message of more than {} bytes", self.reply.max_message))
                    .with_code(ExitCode::Limit)
                    .with_hint("--max-message allows longer ones")
            }
            Unframed::Truncated => {
                failure("the peer ended inside a message".to_string()).with_code(ExitCode::Partial)
            }
        })
    }

    /// Ends the conversation at an answer that the length before it cannot announce.
    fn refuse_answer(&mut self, most: usize) -> Result<(), Failure> {
        self.send()?;
        self.guest.close_gracefully()?;
        let why = format!("an answer of more than {most} bytes has no length in this --framing");
        Err(Failure::new(Phase::Send, &self.guest.stream.facts.peer, why)
            .with_code(ExitCode::Limit)
            .with_hint("--framing length:4 allows longer ones"))
    }
}
