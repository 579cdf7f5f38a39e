//! The body of one response: removes its framing and content codings, and checks that it is
//! complete.

use std::collections::VecDeque;

use super::body_framing::{BodyFraming, framing};
use super::chunked::ChunkedDecoder;
use super::coding::{self, DecoderChain};
use super::error::Error;
use super::event::{BodyProgress, ParserEvent, ParserOptions, StreamEnd};
use super::head::Head;
use super::range::range_len;

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    Close,
    /// Everything was received, or all that will be; the decoders may hold more.
    Tail(Result<(), Error>),
    Done,
}

/// Reads the body of one response.
pub struct BodyReader {
    state: State,
    framing: BodyFraming,
    /// The length that Content-Range announces.
    range_len: Option<u64>,
    decoders: DecoderChain,
    max_decoded: Option<u64>,
    progress: BodyProgress,
    /// HTTP/0.9: the first bytes of the body, which the head reader has taken.
    unread: Vec<u8>,
    delivered: Vec<u8>,
    /// Returned after the bytes before it are delivered.
    pending_error: Option<Error>,
}

impl BodyReader {
    /// The reader of the body after `head`.
    ///
    /// Fails with 8 on contradicting lengths, with 61 on too many content codings.
    pub fn new(
        head: &Head,
        options: &ParserOptions,
        notes: &mut Vec<String>,
    ) -> Result<BodyReader, Error> {
        let framing = if options.head_request { BodyFraming::None } else { framing(head, notes)? };
        let mut body = BodyReader::with_framing(framing);
        body.max_decoded = options.max_decoded;
        body.state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::Tail(Ok(())),
            BodyFraming::Length(length) => State::Length(length),
            BodyFraming::Chunked => {
                State::Chunked(Box::new(ChunkedDecoder::new(options.max_header, options.leniency)))
            }
            BodyFraming::Close => State::Close,
        };
        if framing == BodyFraming::None {
            return Ok(body);
        }
        if options.decode {
            body.decoders = DecoderChain::new(head, notes)?;
        }
        body.range_len = range_len(head);
        body.progress.expected = match (framing, body.range_len) {
            (BodyFraming::Length(length), Some(range_len)) if length != range_len => {
                return Err(Error::protocol("Content-Range and Content-Length differ"));
            }
            (BodyFraming::Length(length), _) => Some(length),
            (_, range_len) => range_len,
        };
        Ok(body)
    }

    /// The reader of an HTTP/0.9 body that begins with `bytes`.
    pub fn http09(bytes: Vec<u8>) -> BodyReader {
        BodyReader { unread: bytes, ..BodyReader::with_framing(BodyFraming::Close) }
    }

    fn with_framing(framing: BodyFraming) -> BodyReader {
        BodyReader {
            state: State::Close,
            framing,
            range_len: None,
            decoders: DecoderChain::default(),
            max_decoded: None,
            progress: BodyProgress::default(),
            unread: Vec::new(),
            delivered: Vec::new(),
            pending_error: None,
        }
    }

    /// How much of the body has been received.
    pub fn progress(&self) -> BodyProgress {
        self.progress
    }

    /// Whether only the end of the stream ends the body.
    pub fn is_open_ended(&self) -> bool {
        matches!(self.state, State::Close)
    }

    /// The next event of `input`, which shrinks by what was used; notes of the end are added.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        notes: &mut VecDeque<String>,
    ) -> Result<ParserEvent<'a>, Error> {
        if let Some(error) = self.pending_error.take() {
            return Err(error);
        }
        match self.state {
            State::Done => Ok(ParserEvent::Done),
            _ if !self.unread.is_empty() => Ok(self.next_unread()),
            _ => self.next_body(input, notes),
        }
    }

    /// The stream has ended.
    pub fn end(&mut self, end: StreamEnd) {
        let result = match &self.state {
            State::Close if end == StreamEnd::Clean => Ok(()),
            State::Close => Err(Error::truncated("the TLS stream ended without close_notify")),
            State::Length(_) => Err(Error::truncated("the connection ended before the body did")),
            State::Chunked(chunks) => {
                Err(Error::truncated(format!("the connection ended {}", chunks.position())))
            }
            State::Tail(_) | State::Done => return,
        };
        self.finish_framing(result);
    }

    /// The number of body bytes that follow without framing or content coding.
    pub fn passthrough_len(&self) -> u64 {
        if self.unread.is_empty() && self.decoders.is_empty() { self.unframed_len() } else { 0 }
    }

    /// Counts body bytes that were delivered without [`BodyReader::next`].
    pub fn advance_passthrough(&mut self, count: u64) {
        self.progress.decoded += count;
        self.advance(count);
    }

    /// The number of body bytes, encoded or not, that follow without framing.
    fn unframed_len(&self) -> u64 {
        let len = match &self.state {
            State::Length(left) => *left,
            State::Chunked(chunks) => chunks.data_len(),
            State::Close => u64::MAX,
            _ => 0,
        };
        len.min(self.range_left())
    }

    /// How much of the announced range is missing.
    fn range_left(&self) -> u64 {
        self.range_len.map_or(u64::MAX, |len| len.saturating_sub(self.progress.received))
    }

    /// Whether `input` has body bytes after the end of the announced range.
    fn exceeds_range(&self, input: &[u8]) -> bool {
        let has_body = match &self.state {
            State::Chunked(chunks) => chunks.data_len() > 0,
            state => matches!(state, State::Close),
        };
        has_body && !input.is_empty() && self.range_left() == 0
    }

    fn advance(&mut self, count: u64) {
        self.progress.received += count;
        match &mut self.state {
            State::Length(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.finish_framing(Ok(()));
                }
            }
            State::Chunked(chunks) => chunks.advance(count),
            _ => {}
        }
    }

    fn finish_framing(&mut self, result: Result<(), Error>) {
        let result = result.and_then(|()| match self.range_len {
            Some(_) if self.range_left() > 0 => {
                Err(Error::truncated("the body ended before its Content-Range does"))
            }
            _ => Ok(()),
        });
        if result.is_err() {
            self.decoders.flush_truncated();
        }
        self.state = State::Tail(result);
    }

    fn next_unread(&mut self) -> ParserEvent<'_> {
        self.delivered = std::mem::take(&mut self.unread);
        self.advance_passthrough(self.delivered.len() as u64);
        ParserEvent::Body(&self.delivered)
    }

    fn next_body<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        notes: &mut VecDeque<String>,
    ) -> Result<ParserEvent<'a>, Error> {
        loop {
            let data = &input[..available(self.unframed_len(), input)];
            let mut rest = data;
            let has_output = if self.decoders.is_empty() {
                rest = &[];
                false
            } else {
                self.decoders.step(&mut rest)?
            };
            let taken = data.len() - rest.len();
            *input = &input[taken..];
            if taken > 0 {
                self.advance(taken as u64);
            }
            if has_output {
                return self.emit_decoded();
            }
            if taken > 0 && self.decoders.is_empty() {
                self.progress.decoded += taken as u64;
                return Ok(ParserEvent::Body(data));
            }
            if taken == 0
                && let Some(event) = self.read_framing(input, notes)?
            {
                return Ok(event);
            }
        }
    }

    /// Delivers the output of the decoders, as far as the limits allow.
    fn emit_decoded(&mut self) -> Result<ParserEvent<'_>, Error> {
        let (length, encoded) = (self.decoders.output().len() as u64, self.decoders.consumed());
        let max = self.max_decoded.unwrap_or(coding::bomb_size(encoded));
        let out = length.min(max.saturating_sub(self.progress.decoded));
        if out < length {
            self.pending_error = Some(match self.max_decoded {
                Some(max) => Error::limit(format!("more than --max-decoded {max} bytes")),
                None => coding::bomb(max, encoded),
            });
        }
        self.progress.decoded += out;
        match usize::try_from(out) {
            Ok(out) if out > 0 => Ok(ParserEvent::Body(&self.decoders.output()[..out])),
            _ => self.pending_error.take().map_or(Ok(ParserEvent::NeedInput), Err),
        }
    }

    /// Reads framing from `input`; returns nothing when body bytes may follow now. An error waits
    /// in the tail until the bytes before it are delivered.
    fn read_framing<'a>(
        &mut self,
        input: &mut &[u8],
        notes: &mut VecDeque<String>,
    ) -> Result<Option<ParserEvent<'a>>, Error> {
        if self.exceeds_range(input) {
            self.finish_framing(Err(Error::protocol(
                "more bytes than the Content-Range announces",
            )));
        }
        match &mut self.state {
            State::Tail(_) => return self.check_complete(notes).map(Some),
            State::Chunked(chunks) => match chunks.read_framing(input) {
                Ok(true) => self.finish_framing(Ok(())),
                Ok(false) if input.is_empty() => return Ok(Some(ParserEvent::NeedInput)),
                Ok(false) => {}
                Err(error) => self.finish_framing(Err(error)),
            },
            _ => return Ok(Some(ParserEvent::NeedInput)),
        }
        Ok(None)
    }

    /// Checks, after everything was delivered, that it is the complete body.
    fn check_complete<'a>(
        &mut self,
        notes: &mut VecDeque<String>,
    ) -> Result<ParserEvent<'a>, Error> {
        if let State::Tail(result) = std::mem::replace(&mut self.state, State::Done) {
            result?;
            let mut found = Vec::new();
            self.decoders.finish(self.framing, &mut found)?;
            notes.extend(found);
        }
        Ok(notes.pop_front().map_or(ParserEvent::Done, ParserEvent::Note))
    }
}

/// How much of `input` is within the next `len` bytes.
fn available(len: u64, input: &[u8]) -> usize {
    input.len().min(usize::try_from(len).unwrap_or(usize::MAX))
}
