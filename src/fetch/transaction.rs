//! One answer on a wire that stands: bytes become facts, facts find their audience, and the end
//! is judged.

use std::io;

use super::connection::{HttpConnection, ReadOutcome};
use crate::error::{ExitCode, Failure, Phase};
use crate::http::{
    Error, ErrorKind, Event, Head, HttpUrl, ParserOptions, ResponseParser, StreamEnd,
};
use crate::net::memory;
use crate::net::stream::TRUNCATION_HINT;

/// One read: large enough that the price of a system call is lost in it.
const BUFFER: usize = 256 << 10;
/// And where memory is short.
const LEAST: usize = 4 << 10;

/// Who hears what an answer says.
pub trait ResponseHandler {
    /// Bytes as they came, before they are understood; only when `--raw` asks for them.
    fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure>;
    /// An interim answer.
    fn interim(&mut self, head: &Head) -> Result<(), Failure>;
    /// The head, or none for HTTP/0.9, and how many bytes of body it promises. False: the body is
    /// of no interest.
    fn head(&mut self, head: Option<&Head>, promised: Option<u64>) -> Result<bool, Failure>;
    /// Bytes of the body.
    fn body(&mut self, bytes: &[u8]) -> Result<(), Failure>;
    /// Something odd.
    fn note(&mut self, note: String);
    /// Lets the kernel move up to `most` bytes from the wire to where the body goes; none if it
    /// cannot.
    fn splice_body(
        &mut self,
        wire: &mut HttpConnection<'_>,
        most: u64,
    ) -> Result<Option<Spliced>, Failure>;
}

/// What the kernel moved by itself.
#[derive(Debug)]
pub enum Spliced {
    /// So many bytes.
    Bytes(u64),
    /// Nothing: the connection broke.
    Broken(io::Error),
}

/// How an exchange ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The answer is whole.
    Full,
    /// Its head was all that was wanted.
    HeadOnly,
}

/// The reading side of one exchange.
pub struct Transaction<'a, 'w> {
    wire: &'a mut HttpConnection<'w>,
    link: &'a HttpUrl,
    answer: ResponseParser,
    raw: bool,
    /// `--raw`, and the answer cannot be understood: bytes are only carried.
    raw_passthrough: bool,
    begins: [u8; 2],
    /// Bytes have gone past us within the kernel.
    passes: bool,
}

impl<'a, 'w> Transaction<'a, 'w> {
    /// The exchange whose request went to `link` over `wire`.
    pub fn new(
        wire: &'a mut HttpConnection<'w>,
        link: &'a HttpUrl,
        rules: ParserOptions,
        raw: bool,
    ) -> Transaction<'a, 'w> {
        let answer = ResponseParser::new(rules);
        Transaction {
            wire,
            link,
            answer,
            raw,
            raw_passthrough: false,
            begins: [0; 2],
            passes: false,
        }
    }

    /// Reads the answer to its end.
    ///
    /// Fails at [`Stage::Receive`], with the code of what was wrong with the answer and with
    /// «got N of M» where a body had begun, or as the audience does.
    pub fn read(&mut self, audience: &mut dyn ResponseHandler) -> Result<Completion, Failure> {
        let mut buffer = Vec::new();
        loop {
            let received = match self.splice_body(audience)? {
                Some(received) => {
                    self.wire.count(&received);
                    received
                }
                None => {
                    if buffer.is_empty() {
                        buffer = memory::zeroed_buffer(BUFFER, LEAST);
                    }
                    self.wire.receive(&mut buffer).map_err(|failure| self.counted(failure))?
                }
            };
            let over = match received {
                ReadOutcome::Bytes(n) => self.on_bytes(&buffer[..n], audience)?,
                ReadOutcome::End => self.ended(StreamEnd::Clean, audience)?,
                ReadOutcome::Cut => self.ended(StreamEnd::Cut, audience)?,
                ReadOutcome::Broken(e) => return Err(self.broken(e, audience)),
            };
            if let Some(over) = over {
                return Ok(over);
            }
        }
    }

    /// Lets the kernel move what it can. None when bytes must be read.
    fn splice_body(
        &mut self,
        audience: &mut dyn ResponseHandler,
    ) -> Result<Option<ReadOutcome>, Failure> {
        loop {
            let ahead = self.answer.passthrough_len();
            // What was begun in the kernel is ended there, where the end is known.
            let begun = self.passes && self.answer.progress().promised.is_some();
            let least = if begun { 1 } else { BUFFER as u64 };
            if ahead < least || self.raw || self.wire.raw().is_none() {
                return Ok(None);
            }
            let passed = audience.splice_body(self.wire, ahead);
            match passed.map_err(|failure| self.counted(failure))? {
                None => return Ok(None),
                Some(Spliced::Broken(e)) => return Ok(Some(ReadOutcome::Broken(e))),
                Some(Spliced::Bytes(n)) => {
                    self.passes = true;
                    self.wire.count_passed(n);
                    self.answer.advance_passthrough(n);
                    if n == ahead {
                        return Ok(Some(ReadOutcome::Bytes(0)));
                    }
                }
            }
        }
    }

    fn on_bytes(
        &mut self,
        bytes: &[u8],
        audience: &mut dyn ResponseHandler,
    ) -> Result<Option<Completion>, Failure> {
        if self.raw {
            audience.raw(bytes)?;
        }
        if self.wire.bytes_in == bytes.len() as u64 {
            let known = bytes.len().min(2);
            self.begins[..known].copy_from_slice(&bytes[..known]);
        }
        self.process(bytes, audience)
    }

    fn ended(
        &mut self,
        ending: StreamEnd,
        audience: &mut dyn ResponseHandler,
    ) -> Result<Option<Completion>, Failure> {
        if self.raw_passthrough {
            return Ok(Some(Completion::Full));
        }
        let avoidable = self.answer.is_open_ended() && self.wire.ended_between_records();
        self.answer.end(ending);
        if let Some(failure) = self.wire.send_failure() {
            return Err(failure);
        }
        self.process(&[], audience).map_err(|failure| match failure.code {
            ExitCode::Partial if avoidable => failure.with_hint(TRUNCATION_HINT),
            _ => failure,
        })
    }

    fn process(
        &mut self,
        mut input: &[u8],
        audience: &mut dyn ResponseHandler,
    ) -> Result<Option<Completion>, Failure> {
        while !self.raw_passthrough {
            let fact = match self.answer.next(&mut input) {
                Ok(fact) => fact,
                Err(error)
                    if self.raw && matches!(error.kind, ErrorKind::Protocol | ErrorKind::Limit) =>
                {
                    audience.note(format!("{error}; the rest is carried without a look at it"));
                    self.raw_passthrough = true;
                    return Ok(None);
                }
                Err(error) => return Err(self.refused(&error)),
            };
            match fact {
                Event::More => return Ok(None),
                Event::Interim(head) => audience.interim(&head)?,
                Event::Note(note) => audience.note(note),
                Event::Body(_) if self.raw => {}
                Event::Body(bytes) => audience.body(bytes)?,
                Event::Head => {
                    let promised = self.answer.progress().promised;
                    if !audience.head(self.answer.head(), promised)? {
                        return Ok(Some(Completion::HeadOnly));
                    }
                }
                Event::Done => {
                    if !input.is_empty() && !self.raw {
                        let n = input.len();
                        audience.note(format!("{n} bytes behind the end of the answer"));
                    }
                    return Ok(Some(Completion::Full));
                }
            }
        }
        Ok(None)
    }

    /// The connection broke: what decoders hold comes out, then the system's own word.
    fn broken(&mut self, e: io::Error, audience: &mut dyn ResponseHandler) -> Failure {
        self.answer.end(StreamEnd::Cut);
        if let Err(failure) = self.process(&[], audience)
            && failure.stage != Phase::Receive
        {
            return failure;
        }
        if let Some(failure) = self.wire.send_failure() {
            return failure;
        }
        let failure = Failure::new(Phase::Receive, self.link, e);
        if self.wire.bytes_in > 0 || self.wire.is_partly_delivered() {
            self.counted(failure.incomplete())
        } else {
            failure
        }
    }

    /// A refusal of [`Answer`] as the failure of this run.
    fn refused(&self, error: &Error) -> Failure {
        let failure = error.failure(self.link);
        let failure = match (self.begins, self.link.is_tls(), error.kind) {
            ([0x15 | 0x16, 3], false, ErrorKind::Protocol) => {
                failure.with_hint("it speaks TLS: https://")
            }
            _ => failure,
        };
        self.counted(failure)
    }

    /// The same failure with «got N of M», where a body had begun.
    fn counted(&self, failure: Failure) -> Failure {
        if self.answer.head().is_none() || failure.stage != Phase::Receive {
            return failure;
        }
        let tally = self.answer.progress();
        let promised = match tally.promised {
            Some(bytes) => format!("{bytes} bytes"),
            None => "an unknown number of bytes".to_string(),
        };
        let text = format!("{}; got {} of {promised}", failure.cause(), tally.came);
        let counted = Failure::new(failure.stage, &failure.endpoint, text);
        let counted = counted.with_code(failure.code);
        match failure.hint {
            Some(hint) => counted.with_hint(hint),
            None => counted,
        }
    }
}
