//! What a datagram server does with each datagram.

use super::incoming::Incoming;
use super::print::PayloadPrinter;
use crate::datagram::Transmit;
use crate::net::address::Address;
use crate::process::program::Program;
use crate::service::framing::Message;
use crate::service::reply::ReplyScript;
use crate::service::template::{Template, TemplateValues};

/// A service for datagrams.
#[derive(Debug)]
pub enum Handler {
    /// Prints payloads to stdout.
    Print(PayloadPrinter),
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

    /// Whether a reply may be longer than its datagram, which makes forged sources worthwhile.
    pub fn amplifies(&self) -> bool {
        matches!(self, Handler::Reply(_) | Handler::Exec(_))
    }

    /// Adds the replies to `incoming` to `replies`, except those of a program. `bound` is the address
    /// of the server's socket.
    pub fn reply<'a>(
        &self,
        incoming: &Incoming<'a>,
        bound: &Address,
        replies: &mut Vec<Transmit<'a>>,
    ) {
        let Incoming { group, peer, previous } = incoming;
        match self {
            Handler::Echo => replies.push(Transmit {
                segment_size: group.meta.segment_size,
                ..Transmit::reply(group.meta, group.bytes)
            }),
            Handler::Reply(template) => {
                let local = &group.meta.local_address(bound);
                for (n, payload) in (previous + 1..).zip(group.datagrams()) {
                    let Message { text: message, line_end, .. } = Message::of(payload);
                    let values = TemplateValues { message, n, peer, local, peer_name: None };
                    replies.push(Transmit::reply(group.meta, render(template, &values, line_end)));
                }
            }
            Handler::Print(_) | Handler::Discard | Handler::Exec(_) => {}
        }
    }
}

/// The text of a reply; the line end of the payload is moved behind it.
fn render(template: &Template, values: &TemplateValues<'_>, line_end: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    template.render(values, &mut text);
    text.extend_from_slice(line_end);
    text
}
