//! What a server does with each datagram.

use super::exec::ExecPool;
use super::print::{PayloadPrinter, PrintFormat};
use crate::datagram::{DatagramGroup, Transmit};
use crate::error::Failure;
use crate::net::address::Address;
use crate::process::child::Program;
use crate::service::framing::Message;
use crate::service::reply::ReplyScript;
use crate::service::template::{Template, TemplateValues};
use crate::shutdown::Shutdown;

/// One kind of service for datagrams.
#[derive(Debug)]
pub enum Handler {
    /// Payloads to stdout.
    Print(PayloadPrinter),
    /// Every datagram back.
    Echo,
    /// Nothing at all.
    Discard,
    /// An answer made by a template.
    Reply(Template),
    /// An answer made by a program.
    Exec(ExecPool),
}

impl Handler {
    /// Payloads to stdout, as `look` says.
    pub fn print(look: PrintFormat) -> Handler {
        Handler::Print(PayloadPrinter::new(look))
    }

    /// The answers of a script for streams. Its greeting and its end have no place here: a datagram
    /// is the whole conversation.
    pub fn from_reply_script(script: ReplyScript) -> Handler {
        script.reply.map_or(Handler::Discard, Handler::Reply)
    }

    /// The answers of a program.
    pub fn exec(program: Program) -> Handler {
        Handler::Exec(ExecPool::new(program))
    }

    /// Whether datagrams are answered at all.
    pub fn answers(&self) -> bool {
        matches!(self, Handler::Echo | Handler::Reply(_) | Handler::Exec(_))
    }

    /// Whether an answer may be longer than its question, which is what makes forged sources worth
    /// while.
    pub fn amplifies(&self) -> bool {
        matches!(self, Handler::Reply(_) | Handler::Exec(_))
    }

    /// Takes datagrams that are not answered.
    pub fn handle(&mut self, bundle: &DatagramGroup<'_>) {
        if let Handler::Print(printer) = self {
            bundle.datagrams().for_each(|payload| printer.add(payload));
        }
    }

    /// Adds the answers to `bundle` to `outgoing`; `heard` datagrams came before it, to `local`.
    pub fn answer<'a>(
        &self,
        bundle: &DatagramGroup<'a>,
        heard: u64,
        local: &Address,
        outgoing: &mut Vec<Transmit<'a>>,
    ) {
        match self {
            Handler::Echo => outgoing.push(Transmit {
                segment: bundle.segment,
                ..Transmit::answer(bundle.envelope, bundle.bytes)
            }),
            Handler::Reply(template) => {
                let peer = bundle.envelope.address();
                for (n, payload) in (heard + 1..).zip(bundle.datagrams()) {
                    let message = Message::of(payload);
                    let text = message.text;
                    let filling =
                        TemplateValues { message: text, n, peer: &peer, local, peer_name: None };
                    let mut answer = Vec::new();
                    template.render(&filling, &mut answer);
                    answer.extend_from_slice(message.line_end);
                    outgoing.push(Transmit::answer(bundle.envelope, answer));
                }
            }
            Handler::Exec(programs) => programs.start(bundle, local),
            Handler::Print(_) | Handler::Discard => {}
        }
    }

    /// Bytes that came and could not be printed before the end.
    pub fn unprinted(&self) -> usize {
        match self {
            Handler::Print(printer) => printer.print_failed(),
            _ => 0,
        }
    }

    /// Finishes what was taken so far.
    pub fn flush(&mut self, stop: &Shutdown) -> Result<(), Failure> {
        match self {
            Handler::Print(printer) => printer.flush(stop),
            _ => Ok(()),
        }
    }
}
