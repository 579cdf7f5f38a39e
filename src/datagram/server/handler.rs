//! What a server does with each datagram.

use super::exec::Programs;
use super::print::{Look, Printer};
use crate::datagram::{Bundle, Outgoing};
use crate::error::Failure;
use crate::net::address::Address;
use crate::process::child::Program;
use crate::service::framing::Message;
use crate::service::reply::Script;
use crate::service::template::{Filling, Template};
use crate::shutdown::Stop;

/// One kind of service for datagrams.
#[derive(Debug)]
pub enum Duty {
    /// Payloads to stdout.
    Print(Printer),
    /// Every datagram back.
    Echo,
    /// Nothing at all.
    Discard,
    /// An answer made by a template.
    Reply(Template),
    /// An answer made by a program.
    Exec(Programs),
}

impl Duty {
    /// Payloads to stdout, as `look` says.
    pub fn print(look: Look) -> Duty {
        Duty::Print(Printer::new(look))
    }

    /// The answers of a script for streams. Its greeting and its end have no place here: a datagram
    /// is the whole conversation.
    pub fn by_script(script: Script) -> Duty {
        script.answer.map_or(Duty::Discard, Duty::Reply)
    }

    /// The answers of a program.
    pub fn exec(program: Program) -> Duty {
        Duty::Exec(Programs::new(program))
    }

    /// Whether datagrams are answered at all.
    pub fn answers(&self) -> bool {
        matches!(self, Duty::Echo | Duty::Reply(_) | Duty::Exec(_))
    }

    /// Whether an answer may be longer than its question, which is what makes forged sources worth
    /// while.
    pub fn amplifies(&self) -> bool {
        matches!(self, Duty::Reply(_) | Duty::Exec(_))
    }

    /// Takes datagrams that are not answered.
    pub fn take(&mut self, bundle: &Bundle<'_>) {
        if let Duty::Print(printer) = self {
            bundle.datagrams().for_each(|payload| printer.add(payload));
        }
    }

    /// Adds the answers to `bundle` to `outgoing`; `heard` datagrams came before it, to `local`.
    pub fn answer<'a>(
        &self,
        bundle: &Bundle<'a>,
        heard: u64,
        local: &Address,
        outgoing: &mut Vec<Outgoing<'a>>,
    ) {
        match self {
            Duty::Echo => outgoing.push(Outgoing {
                segment: bundle.segment,
                ..Outgoing::answer(bundle.envelope, bundle.bytes)
            }),
            Duty::Reply(template) => {
                let peer = bundle.envelope.address();
                for (n, payload) in (heard + 1..).zip(bundle.datagrams()) {
                    let message = Message::of(payload);
                    let text = message.text;
                    let filling = Filling { message: text, n, peer: &peer, local, peer_name: None };
                    let mut answer = Vec::new();
                    template.fill(&filling, &mut answer);
                    answer.extend_from_slice(message.line_end);
                    outgoing.push(Outgoing::answer(bundle.envelope, answer));
                }
            }
            Duty::Exec(programs) => programs.start(bundle, local),
            Duty::Print(_) | Duty::Discard => {}
        }
    }

    /// Bytes that came and could not be printed before the end.
    pub fn unprinted(&self) -> usize {
        match self {
            Duty::Print(printer) => printer.lost(),
            _ => 0,
        }
    }

    /// Finishes what was taken so far.
    pub fn flush(&mut self, stop: &Stop) -> Result<(), Failure> {
        match self {
            Duty::Print(printer) => printer.flush(stop),
            _ => Ok(()),
        }
    }
}
