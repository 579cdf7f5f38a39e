//! The parser of one response: takes bytes in pieces of any size, returns events, until the
//! response is complete or malformed.
//!
//! The state diagram is in [`super`]. The events do not depend on how the bytes are split.

use std::collections::VecDeque;

use super::body_reader::BodyReader;
use super::error::Error;
use super::event::{BodyProgress, ParserEvent, ParserOptions, StreamEnd};
use super::head_reader::{HeadReader, HeadStatus};
use super::syntax::quote;
use crate::error::ExitCode;

/// The most interim responses (1xx) before the final one.
const MAX_INTERIMS: usize = 20;
/// The hint where the response may be one of HTTP/0.9.
const HTTP09: &str = "--http0.9 accepts it as an HTTP/0.9 response";

/// Parses one response.
pub struct ResponseParser {
    options: ParserOptions,
    head_reader: HeadReader,
    interims: usize,
    interim_bytes: usize,
    /// Set when the head is complete.
    body: Option<BodyReader>,
    is_ended: bool,
    notes: VecDeque<String>,
}

impl ResponseParser {
    /// A parser at the first byte.
    pub fn new(options: ParserOptions) -> ResponseParser {
        ResponseParser {
            head_reader: HeadReader::new(options.max_header, options.leniency),
            options,
            interims: 0,
            interim_bytes: 0,
            body: None,
            is_ended: false,
            notes: VecDeque::new(),
        }
    }

    /// How much of the body has been received.
    pub fn progress(&self) -> BodyProgress {
        self.body.as_ref().map(|body| body.progress).unwrap_or_default()
    }

    /// The next event of `input`, which shrinks by what was used. To be called until
    /// [`ParserEvent::NeedInput`] or [`ParserEvent::Done`]; nothing follows an error.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<ParserEvent<'a>, Error> {
        if let Some(note) = self.notes.pop_front() {
            return Ok(ParserEvent::Note(note));
        }
        if self.body.is_none() {
            return self.next_head(input);
        }
        match &mut self.body {
            Some(body) => body.next(input, &mut self.notes),
            None => Ok(ParserEvent::NeedInput),
        }
    }

    /// The stream has ended; further calls of [`ResponseParser::next`] without input lead to
    /// [`ParserEvent::Done`] or to the error that says what is missing.
    pub fn end(&mut self, end: StreamEnd) {
        self.is_ended = true;
        if let Some(body) = &mut self.body {
            body.end(end);
        }
    }

    /// Whether only the end of the stream ends the body.
    pub fn is_open_ended(&self) -> bool {
        self.body.as_ref().is_some_and(BodyReader::is_open_ended)
    }

    /// The number of body bytes that follow without framing or content coding. They may bypass
    /// [`ResponseParser::next`] if [`ResponseParser::advance_passthrough`] counts them.
    pub fn passthrough_len(&self) -> u64 {
        let body = self.body.as_ref().filter(|_| self.notes.is_empty());
        body.map_or(0, BodyReader::passthrough_len)
    }

    /// Counts body bytes that bypassed the parser; at most [`ResponseParser::passthrough_len`].
    pub fn advance_passthrough(&mut self, count: u64) {
        if let Some(body) = &mut self.body {
            body.advance_passthrough(count);
        }
    }

    fn next_head<'a>(&mut self, input: &mut &[u8]) -> Result<ParserEvent<'a>, Error> {
        let mut head = match self.head_reader.push(input)? {
            HeadStatus::Incomplete if self.is_ended => return self.end_in_head(),
            HeadStatus::Incomplete => return Ok(ParserEvent::NeedInput),
            HeadStatus::NotHttp => return self.not_http(),
            HeadStatus::Complete(head) => head,
        };
        self.notes.extend(head.notes.drain(..));
        if head.status == 101 {
            return Err(Error::protocol("101 Switching Protocols without an Upgrade request"));
        }
        if head.status < 200 {
            self.count_interim(head.raw.len())?;
            return Ok(ParserEvent::Interim(head));
        }
        self.body = Some(BodyReader::new(&head, &self.options, &mut self.notes)?);
        Ok(ParserEvent::Head(head))
    }

    /// Fails with 63 when the interim responses are too many or too large.
    fn count_interim(&mut self, bytes: usize) -> Result<(), Error> {
        self.interims += 1;
        self.interim_bytes += bytes;
        let max = self.options.max_header;
        if self.interims > MAX_INTERIMS {
            return Err(Error::limit(format!("more than {MAX_INTERIMS} interim responses")));
        }
        if self.interim_bytes > max {
            let text = format!("interim responses larger than the limit of {max} bytes");
            return Err(Error::limit(text));
        }
        Ok(())
    }

    /// Begins an HTTP/0.9 body, if that is allowed, or fails: the server speaks another protocol.
    fn not_http<'a>(&mut self) -> Result<ParserEvent<'a>, Error> {
        let may_be_http09 = !self.options.head_request && self.interims == 0;
        if self.options.http09 && may_be_http09 {
            return Ok(self.begin_http09());
        }
        let start = quote(&self.head_reader.take_raw());
        let error = Error::protocol(format!("not an HTTP/1 response: it begins {start}"));
        Err(if may_be_http09 { error.with_hint(HTTP09) } else { error })
    }

    /// The event of a stream that ended in the head: an error, or a short HTTP/0.9 body.
    fn end_in_head<'a>(&mut self) -> Result<ParserEvent<'a>, Error> {
        let ParserOptions { http09, head_request, .. } = self.options;
        if self.head_reader.bytes_read() == 0 {
            let text = "the server closed the connection without a response";
            return Err(Error::new(ExitCode::Empty, text));
        }
        if !http09 || head_request || self.head_reader.has_prefix() {
            return Err(Error::truncated("the connection ended in the header"));
        }
        Ok(self.begin_http09())
    }

    fn begin_http09<'a>(&mut self) -> ParserEvent<'a> {
        let raw = self.head_reader.take_raw();
        let body = self.body.insert(BodyReader::http09(raw.len()));
        if self.is_ended {
            body.end(StreamEnd::Clean);
        }
        ParserEvent::Http09(raw)
    }
}

#[cfg(test)]
mod tests;
