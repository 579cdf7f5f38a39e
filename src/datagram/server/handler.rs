//! What a datagram server does with each datagram.

use super::incoming::Incoming;
use super::print::PrintFormat;
use crate::datagram::Transmit;
use crate::process::program::Program;
use crate::service::framing::Message;
use crate::service::reply::ReplyScript;
use crate::service::template::{Template, TemplateValues};

/// A service for datagrams.
#[derive(Debug)]
pub enum Handler {
    /// Prints payloads to stdout.
    Print(PrintFormat),
    /// Sends each datagram back.
    Echo,
    /// Does nothing.
    Discard,
    /// Replies with a template.
    Reply(Template),
    /// Replies with the output of this program.
    Exec(Program),
}

impl Handler {
    /// A handler that replies as a script for streams does. The greeting and the end of the script
    /// are ignored: a datagram is a complete exchange.
    pub fn from_reply_script(script: ReplyScript) -> Handler {
        script.reply.map_or(Handler::Discard, Handler::Reply)
    }

    /// Whether datagrams are answered.
    pub fn replies(&self) -> bool {
        matches!(self, Handler::Echo | Handler::Reply(_) | Handler::Exec(_))
    }

    /// Whether a reply may be longer than its datagram, which makes forged sources worthwhile.
    pub fn amplifies(&self) -> bool {
        matches!(self, Handler::Reply(_) | Handler::Exec(_))
    }

    /// Adds the replies to `incoming` to `replies`, except those of a program.
    pub fn reply<'a>(&self, incoming: &Incoming<'a>, replies: &mut Vec<Transmit<'a>>) {
        let group = &incoming.group;
        match self {
            Handler::Echo => replies.push(Transmit {
                segment_size: group.meta.segment_size,
                ..Transmit::reply(group.meta, group.bytes)
            }),
            Handler::Reply(template) => {
                for (n, payload) in (incoming.previous + 1..).zip(group.datagrams()) {
                    let text = render(template, incoming, n, payload);
                    replies.push(Transmit::reply(group.meta, text));
                }
            }
            Handler::Print(_) | Handler::Discard | Handler::Exec(_) => {}
        }
    }
}

/// The reply to the `n`th datagram; a line end in the payload is moved behind it.
fn render(template: &Template, incoming: &Incoming<'_>, n: u64, payload: &[u8]) -> Vec<u8> {
    let Message { text: message, line_end, .. } = Message::of(payload);
    let Incoming { peer, local, .. } = incoming;
    let mut text = Vec::new();
    template.render(&TemplateValues { message, n, peer, local, peer_name: None }, &mut text);
    text.extend_from_slice(line_end);
    text
}
