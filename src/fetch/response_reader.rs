//! Reads the response of one exchange: bytes to parser events, until the response is complete or
//! has failed.
//!
//! What its head leads to, and how the output begins and ends, is in [`head`].

mod errors;
mod head;

use super::body_splice::BodySplice;
use super::connection::{HttpConnection, ReadOutcome};
use super::output::BodyOutput;
use super::response_policy::{NextAction, ResponsePolicy};
use crate::error::{ExitCode, Failure};
use crate::http::{Error, ParserEvent, ResponseParser, StreamEnd};
use crate::net::memory;
use crate::net::stream::TRUNCATION_HINT;

/// The size of one read: large enough that the cost of a system call does not count.
const BUFFER: usize = 256 << 10;
/// The size where memory is short.
const MIN_BUFFER: usize = 4 << 10;

/// Reads one response, whose request has been sent.
pub struct ResponseReader<'a> {
    policy: ResponsePolicy<'a>,
    connection: &'a mut HttpConnection,
    output: &'a mut BodyOutput,
    parser: ResponseParser,
    /// What its head led to.
    action: NextAction,
    /// The failure that the status means where it is 400 or above.
    status_error: Option<Failure>,
    splice: BodySplice,
    /// Whether it has a head, unlike HTTP/0.9.
    has_head: bool,
    is_raw: bool,
    /// `--raw`, and the response cannot be parsed: bytes are only copied.
    raw_passthrough: bool,
    /// The first bytes of the response.
    first_bytes: [u8; 2],
}

impl<'a> ResponseReader<'a> {
    pub fn new(
        policy: ResponsePolicy<'a>,
        connection: &'a mut HttpConnection,
        output: &'a mut BodyOutput,
    ) -> ResponseReader<'a> {
        ResponseReader {
            parser: ResponseParser::new(policy.options.response.parser.clone()),
            splice: BodySplice::Unsupported,
            is_raw: policy.options.output.raw,
            policy,
            connection,
            output,
            action: NextAction::Deliver(None),
            status_error: None,
            has_head: false,
            raw_passthrough: false,
            first_bytes: [0; 2],
        }
    }

    /// Reads the response to its end, then finishes its output, or keeps the incomplete file.
    ///
    /// Fails at [`Phase::Receive`](crate::error::Phase::Receive), with the code of what is wrong with
    /// the response and with «got N of M» where a body had begun, or as the output does.
    pub fn run(mut self) -> Result<NextAction, Failure> {
        match self.read().and_then(|()| self.check_length()) {
            Ok(()) => self.finish(),
            Err(failure) => Err(self.keep_partial(failure)?),
        }
    }

    fn read(&mut self) -> Result<(), Failure> {
        let mut buffer = Vec::new();
        loop {
            let received = self.receive(&mut buffer).map_err(|e| self.with_progress(e))?;
            let is_complete = match received {
                ReadOutcome::Bytes(n) => self.on_bytes(&buffer[..n])?,
                ReadOutcome::End(end) => self.on_end(end)?,
                ReadOutcome::Error(e) => return Err(self.read_error(e)),
            };
            if is_complete {
                return Ok(());
            }
        }
    }

    /// Reads to `buffer`, or lets the kernel move bytes to the output, which are counted already.
    fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<ReadOutcome, Failure> {
        if !matches!(self.splice, BodySplice::Unsupported) {
            let moved = self.splice.move_some(self.connection, self.output, &mut self.parser)?;
            if let Some(moved) = moved {
                return Ok(moved);
            }
        }
        if buffer.is_empty() {
            *buffer = memory::zeroed_buffer(BUFFER, MIN_BUFFER);
        }
        self.connection.receive(buffer)
    }

    /// Takes received bytes; none when the kernel has moved some. Returns whether the response is
    /// complete.
    fn on_bytes(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        if self.connection.bytes_in == bytes.len() as u64 {
            let known = bytes.len().min(2);
            self.first_bytes[..known].copy_from_slice(&bytes[..known]);
            if self.is_raw {
                self.begin_unnamed_body()?;
            }
        }
        if self.is_raw {
            self.output.write(bytes)?;
        }
        self.parse(bytes)
    }

    fn on_end(&mut self, end: StreamEnd) -> Result<bool, Failure> {
        if self.raw_passthrough {
            return Ok(true);
        }
        let acceptable = self.parser.is_open_ended() && self.connection.ended_between_records();
        self.parser.end(end);
        if let Some(failure) = self.connection.send_failure() {
            return Err(failure);
        }
        self.parse(&[]).map_err(|failure| match failure.code {
            ExitCode::Partial if acceptable => failure.with_hint(TRUNCATION_HINT),
            _ => failure,
        })
    }

    /// Handles the events of `input`; returns whether the response is complete.
    pub fn parse(&mut self, mut input: &[u8]) -> Result<bool, Failure> {
        while !self.raw_passthrough {
            match self.parser.next(&mut input) {
                Ok(ParserEvent::NeedInput) => break,
                Ok(ParserEvent::Interim(head)) => self.report_head(&head)?,
                Ok(ParserEvent::Note(note)) => self.policy.warn(&note),
                Ok(ParserEvent::Body(bytes)) => {
                    if !self.is_raw {
                        self.output.write(bytes)?;
                    }
                }
                Ok(ParserEvent::Http09(bytes)) => self.begin_http09(&bytes)?,
                Ok(ParserEvent::Head(head)) => {
                    self.has_head = true;
                    self.on_head(&head)?;
                    if !matches!(self.action, NextAction::Deliver(_)) {
                        return Ok(true);
                    }
                }
                Ok(ParserEvent::Done) => {
                    if !input.is_empty() && !self.is_raw {
                        let n = input.len();
                        self.policy.warn(&format!("{n} bytes after the end of the response"));
                    }
                    return Ok(true);
                }
                Err(error) => self.on_error(&error)?,
            }
        }
        Ok(false)
    }

    /// With `--raw` the bytes of a malformed response are copied; otherwise it fails.
    fn on_error(&mut self, error: &Error) -> Result<(), Failure> {
        if self.is_raw && matches!(error.code, ExitCode::Protocol | ExitCode::Limit) {
            self.policy.warn(&format!("{error}; the rest is copied without parsing"));
            self.raw_passthrough = true;
            return Ok(());
        }
        Err(self.parse_error(error))
    }
}
