//! `reply`: sends a greeting, and a reply to each message. `hello`, `time` and `ack` are the same
//! with given texts.

use std::ops::ControlFlow;
use std::time::Duration;

use super::framing::{Framing, Message};
use super::message_splitter::{InputState, MessageSplitter};
use super::template::{Template, TemplateValues};
use super::{Connection, Service, ServiceOutcome};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::{ConnectionInfo, EndedBy};

/// The texts of a session, and when it ends.
#[derive(Debug, Clone, Default)]
pub struct ReplyScript {
    /// Sent first.
    pub greeting: Option<Template>,
    /// Sent after each message.
    pub reply: Option<Template>,
    /// The message that ends the session, without a reply.
    pub until: Option<Vec<u8>>,
    /// The number of messages after which the session ends.
    pub max_messages: Option<u64>,
}

impl ReplyScript {
    /// `Welcome!`, then `Hello, <message>!` until `exit`.
    pub fn hello() -> ReplyScript {
        ReplyScript {
            greeting: known("Welcome!"),
            reply: known("Hello, {message}!"),
            until: Some(b"exit".to_vec()),
            max_messages: None,
        }
    }

    /// `[Tue Feb 17 10:00:18 2026] <message>`.
    pub fn time() -> ReplyScript {
        ReplyScript { reply: known("[{time}] {message}"), ..ReplyScript::default() }
    }

    /// Acknowledges one message, then closes.
    pub fn ack() -> ReplyScript {
        let reply = known("已接收到数据 {message}");
        ReplyScript { reply, max_messages: Some(1), ..ReplyScript::default() }
    }

    /// `Your msg=<message>`.
    pub fn mirror() -> ReplyScript {
        ReplyScript { reply: known("Your msg={message}"), ..ReplyScript::default() }
    }
}

/// A text whose placeholders are known.
fn known(text: &str) -> Option<Template> {
    Template::parse(text.as_bytes()).ok()
}

/// The reply service.
#[derive(Debug)]
pub struct Reply {
    /// The texts.
    pub script: ReplyScript,
    /// How the input is split into messages.
    pub framing: Framing,
    /// Bytes of the longest message.
    pub max_message: usize,
    /// The time before each reply.
    pub delay: Duration,
}

/// Replies to the messages of one read are sent together, up to this many bytes at a time.
const MAX_BATCH: usize = 64 << 10;

/// The session with one connection.
struct ReplySession<'a> {
    service: &'a Reply,
    connection: &'a mut Connection,
    received: u64,
    /// Replies that are not sent yet.
    replies: Vec<u8>,
}

impl Service for Reply {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let (received, replies) = (0, Vec::new());
        let mut session = ReplySession { service: self, connection, received, replies };
        session.send_greeting()?;
        let mut splitter = MessageSplitter::new(self.framing, self.max_message);
        loop {
            let input = splitter.read(session.connection)?;
            if session.reply_to_all(&mut splitter, input)?.is_break() {
                session.connection.close_gracefully()?;
                return Ok(EndedBy::Local.into());
            }
            if input == InputState::Eof {
                return Ok(session.connection.close_gracefully()?.into());
            }
        }
    }
}

impl ReplySession<'_> {
    fn send_greeting(&mut self) -> Result<(), Failure> {
        let Some(greeting) = &self.service.script.greeting else { return Ok(()) };
        // There is no message yet: the number is that of the connection.
        self.append(greeting, b"", self.connection.conn)?;
        self.send()
    }

    /// Adds a text to the replies.
    fn append(&mut self, text: &Template, message: &[u8], n: u64) -> Result<(), Failure> {
        let ConnectionInfo { peer, local, peer_name, .. } = &self.connection.stream.info;
        let peer_name = peer_name.as_deref();
        let values = TemplateValues { message, n, peer, local, peer_name };
        let framing = self.service.framing;
        let framed = framing.append(&mut self.replies, |out| text.render(&values, out));
        framed.map_err(|max| {
            let why = "its length does not fit this --framing";
            let why = format!("reply of more than {max} bytes: {why}");
            let failure = Failure::new(Phase::Send, &self.connection.stream.info.peer, why)
                .with_code(ExitCode::Limit)
                .with_hint("--framing length:4 allows longer ones");
            self.close_after(failure)
        })
    }

    /// Replies to every complete message; breaks at the end of the session.
    fn reply_to_all(
        &mut self,
        splitter: &mut MessageSplitter,
        input: InputState,
    ) -> Result<ControlFlow<()>, Failure> {
        let flow = loop {
            match splitter.next(input) {
                Ok(Some(message)) => {
                    if self.reply(message)?.is_break() {
                        break ControlFlow::Break(());
                    }
                }
                Ok(None) => break ControlFlow::Continue(()),
                Err(error) => {
                    let (info, max) = (self.connection.info(), self.service.max_message);
                    let failure = error.failure(&info.peer, "message", max);
                    return Err(self.close_after(failure));
                }
            }
        };
        self.send()?;
        Ok(flow)
    }

    fn reply(&mut self, message: Message<'_>) -> Result<ControlFlow<()>, Failure> {
        let script = &self.service.script;
        if script.until.as_deref() == Some(message.text) {
            return Ok(ControlFlow::Break(()));
        }
        self.received += 1;
        if let Some(reply) = &script.reply {
            if !self.service.delay.is_zero() {
                self.send()?;
                // A shutdown of the run ends the delay; the reply is sent immediately.
                let _ = self.connection.shutdown.sleep(self.service.delay);
            }
            self.append(reply, message.text, self.received)?;
            self.replies.extend_from_slice(message.line_end);
        }
        if self.replies.len() >= MAX_BATCH || !self.service.delay.is_zero() {
            self.send()?;
        }
        let is_last = script.max_messages.is_some_and(|max| self.received >= max);
        Ok(if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Sends the replies so far.
    fn send(&mut self) -> Result<(), Failure> {
        if !self.replies.is_empty() {
            self.connection.write_all(&self.replies)?;
            self.replies.clear();
        }
        Ok(())
    }

    /// Closes after the replies so far; returns the failure to report.
    fn close_after(&mut self, failure: Failure) -> Failure {
        let closed = self.send().and_then(|()| self.connection.close_gracefully());
        closed.err().unwrap_or(failure)
    }
}
