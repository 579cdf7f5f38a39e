//! Reads one response from a connection: bytes to parser events, events to the handler, until the
//! response is complete or has failed.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;

use super::connection::{HttpConnection, ReadOutcome};
use super::options::FetchOptions;
use super::response_handler::{BodyHandler, BodyUse, Completion};
use crate::error::{ExitCode, Failure, Phase};
use crate::http::{Error, ErrorKind, HttpUrl, ParserEvent, ResponseParser, StreamEnd};
use crate::net::memory;
use crate::net::stream::TRUNCATION_HINT;
#[cfg(target_os = "linux")]
use crate::transfer::TransferError;
#[cfg(target_os = "linux")]
use crate::transfer::splice::{BoundedSplice, SpliceOutcome};

/// The size of one read: large enough that the cost of a system call does not count.
const BUFFER: usize = 256 << 10;
/// The size where memory is short.
const MIN_BUFFER: usize = 4 << 10;

/// The receiving side of one exchange.
pub struct Transaction<'a> {
    connection: &'a mut HttpConnection,
    url: &'a HttpUrl,
    parser: ResponseParser,
    /// `--raw`: bytes are delivered as received.
    raw: bool,
    /// `--raw`, and the response cannot be parsed: bytes are only copied.
    raw_passthrough: bool,
    first_bytes: [u8; 2],
    splice: Splice,
}

/// Whether the kernel can move body bytes from the socket to the output.
enum Splice {
    Untried,
    #[cfg(target_os = "linux")]
    Active(BoundedSplice),
    Unsupported,
}

impl<'a> Transaction<'a> {
    /// The exchange whose request was sent to `url` over `connection`.
    pub fn new(
        connection: &'a mut HttpConnection,
        url: &'a HttpUrl,
        options: &FetchOptions,
    ) -> Transaction<'a> {
        let raw = options.output.raw;
        Transaction {
            connection,
            url,
            parser: ResponseParser::new(options.response.parser.clone()),
            raw,
            raw_passthrough: false,
            first_bytes: [0; 2],
            splice: if raw { Splice::Unsupported } else { Splice::Untried },
        }
    }

    /// Reads the response to its end.
    ///
    /// Fails at [`Phase::Receive`], with the code of what is wrong with the response and with
    /// «got N of M» where a body had begun, or as the handler does.
    pub fn read(&mut self, handler: &mut BodyHandler<'_>) -> Result<Completion, Failure> {
        let mut buffer = Vec::new();
        loop {
            let received = match self.splice_len() {
                0 => self.receive(&mut buffer)?,
                max => match self.splice(handler, max)? {
                    Some(received) => received,
                    None => self.receive(&mut buffer)?,
                },
            };
            let completion = match received {
                ReadOutcome::Bytes(n) => self.on_bytes(&buffer[..n], handler)?,
                ReadOutcome::End => self.on_end(StreamEnd::Clean, handler)?,
                ReadOutcome::Truncated => self.on_end(StreamEnd::Truncated, handler)?,
                ReadOutcome::Error(e) => return Err(self.read_error(e, handler)),
            };
            if let Some(completion) = completion {
                return Ok(completion);
            }
        }
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<ReadOutcome, Failure> {
        if buffer.is_empty() {
            *buffer = memory::zeroed_buffer(BUFFER, MIN_BUFFER);
        }
        self.connection.receive(buffer).map_err(|failure| self.with_progress(failure))
    }

    /// How many bytes the kernel may move; 0 if they have to be read.
    fn splice_len(&self) -> u64 {
        let len = self.parser.passthrough_len();
        let min = match self.splice {
            Splice::Unsupported => return 0,
            // What was begun in the kernel is finished there, if its end is known.
            #[cfg(target_os = "linux")]
            Splice::Active(_) if self.parser.progress().expected.is_some() => 1,
            _ => BUFFER as u64,
        };
        if len < min { 0 } else { len }
    }

    /// Lets the kernel move up to `max` bytes to the handler's output. None when they have to be
    /// read; no bytes when some were moved.
    #[cfg(target_os = "linux")]
    fn splice(
        &mut self,
        handler: &mut BodyHandler<'_>,
        max: u64,
    ) -> Result<Option<ReadOutcome>, Failure> {
        let (Some(_), Some(to)) = (self.connection.raw(), handler.raw_output()) else {
            return Ok(None);
        };
        self.connection.wait_readable().map_err(|failure| self.with_progress(failure))?;
        let Some(from) = self.connection.raw() else { return Ok(None) };
        if let Splice::Untried = self.splice {
            let splice = BoundedSplice::between(from, to);
            tracing::debug!(
                bytes = max,
                splice = splice.is_some(),
                "body: is moved by the kernel or copied"
            );
            self.splice = splice.map_or(Splice::Unsupported, Splice::Active);
        }
        let Splice::Active(splice) = &mut self.splice else { return Ok(None) };
        match splice.move_some(from, to, max) {
            Ok(SpliceOutcome::Moved(n)) => {
                self.connection.count_spliced(n);
                self.parser.advance_passthrough(n);
                handler.on_spliced(Ok(n))?;
            }
            Ok(SpliceOutcome::WouldBlock) => self.wait_output_writable(to)?,
            Ok(SpliceOutcome::Unsupported) => {
                self.splice = Splice::Unsupported;
                return Ok(None);
            }
            Err(TransferError::Read(e)) => {
                let outcome = ReadOutcome::Error(e);
                self.connection.count(&outcome);
                return Ok(Some(outcome));
            }
            Err(TransferError::Write(e)) => handler.on_spliced(Err(e))?,
        }
        Ok(Some(ReadOutcome::Bytes(0)))
    }

    #[cfg(target_os = "linux")]
    fn wait_output_writable(&mut self, output: BorrowedFd<'_>) -> Result<(), Failure> {
        let result = self.connection.wait_output_writable(output);
        result.map_err(|failure| self.with_progress(failure))
    }

    #[cfg(not(target_os = "linux"))]
    fn splice(&mut self, _: &mut BodyHandler<'_>, _: u64) -> Result<Option<ReadOutcome>, Failure> {
        Ok(None)
    }

    fn on_bytes(
        &mut self,
        bytes: &[u8],
        handler: &mut BodyHandler<'_>,
    ) -> Result<Option<Completion>, Failure> {
        if self.raw {
            handler.on_raw(bytes)?;
        }
        if self.connection.bytes_in == bytes.len() as u64 {
            let known = bytes.len().min(2);
            self.first_bytes[..known].copy_from_slice(&bytes[..known]);
        }
        self.parse(bytes, handler)
    }

    fn on_end(
        &mut self,
        end: StreamEnd,
        handler: &mut BodyHandler<'_>,
    ) -> Result<Option<Completion>, Failure> {
        if self.raw_passthrough {
            return Ok(Some(Completion::Full));
        }
        let acceptable = self.parser.is_open_ended() && self.connection.ended_between_records();
        self.parser.end(end);
        if let Some(failure) = self.connection.send_failure() {
            return Err(failure);
        }
        self.parse(&[], handler).map_err(|failure| match failure.code {
            ExitCode::Partial if acceptable => failure.with_hint(TRUNCATION_HINT),
            _ => failure,
        })
    }

    /// Gives the events of `input` to the handler; returns how the response ended, if it did.
    fn parse(
        &mut self,
        mut input: &[u8],
        handler: &mut BodyHandler<'_>,
    ) -> Result<Option<Completion>, Failure> {
        while !self.raw_passthrough {
            let event = match self.parser.next(&mut input) {
                Ok(event) => event,
                Err(error) => return self.on_error(&error, handler),
            };
            match event {
                ParserEvent::NeedInput => return Ok(None),
                ParserEvent::Interim(head) => handler.on_interim(&head)?,
                ParserEvent::Note(note) => handler.on_note(&note),
                ParserEvent::Body(_) if self.raw => {}
                ParserEvent::Body(bytes) => handler.on_body(bytes)?,
                ParserEvent::Head => {
                    let length = self.parser.progress().expected;
                    if handler.on_head(self.parser.head(), length)? == BodyUse::Skip {
                        return Ok(Some(Completion::HeadOnly));
                    }
                }
                ParserEvent::Done => {
                    if !input.is_empty() && !self.raw {
                        let n = input.len();
                        handler.on_note(&format!("{n} bytes after the end of the response"));
                    }
                    return Ok(Some(Completion::Full));
                }
            }
        }
        Ok(None)
    }

    /// With `--raw` the bytes of a malformed response are copied; otherwise it fails.
    fn on_error(
        &mut self,
        error: &Error,
        handler: &mut BodyHandler<'_>,
    ) -> Result<Option<Completion>, Failure> {
        if self.raw && matches!(error.kind, ErrorKind::Protocol | ErrorKind::Limit) {
            handler.on_note(&format!("{error}; the rest is copied without parsing"));
            self.raw_passthrough = true;
            return Ok(None);
        }
        Err(self.parse_error(error))
    }

    /// The failure of a connection that broke, after the decoders have delivered what they hold.
    fn read_error(&mut self, e: io::Error, handler: &mut BodyHandler<'_>) -> Failure {
        self.parser.end(StreamEnd::Truncated);
        if let Err(failure) = self.parse(&[], handler)
            && failure.phase != Phase::Receive
        {
            return failure;
        }
        if let Some(failure) = self.connection.send_failure() {
            return failure;
        }
        let failure = Failure::new(Phase::Receive, self.url, e);
        let began = self.connection.bytes_in > 0 || self.connection.is_partly_delivered();
        // The phase of a layer's own failure (TLS) stays.
        if began && failure.phase == Phase::Receive {
            return self.with_progress(failure.with_code(ExitCode::Partial));
        }
        failure
    }

    fn parse_error(&self, error: &Error) -> Failure {
        let failure = error.failure(self.url);
        let failure = match (self.first_bytes, self.url.is_tls(), error.kind) {
            ([0x15 | 0x16, 3], false, ErrorKind::Protocol) => {
                failure.with_hint("the server speaks TLS: use https://")
            }
            _ => failure,
        };
        self.with_progress(failure)
    }

    /// Adds «got N of M» to a failure where a body had begun.
    fn with_progress(&self, failure: Failure) -> Failure {
        if self.parser.head().is_none() || failure.phase != Phase::Receive {
            return failure;
        }
        let progress = self.parser.progress();
        let expected = match progress.expected {
            Some(bytes) => format!("{bytes} bytes"),
            None => "an unknown number of bytes".to_string(),
        };
        let text = format!("{}; got {} of {expected}", failure.cause(), progress.received);
        let counted = Failure::new(failure.phase, &failure.target, text);
        let counted = counted.with_code(failure.code);
        match failure.hint {
            Some(hint) => counted.with_hint(hint),
            None => counted,
        }
    }
}
