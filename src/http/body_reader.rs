//! The body of one response: removes its framing and content codings, and checks that it is
//! complete.

use std::collections::VecDeque;

use super::body_framing::{BodyFraming, framing};
use super::chunked::ChunkedDecoder;
use super::coding::DecoderChain;
use super::error::Error;
use super::event::{BodyProgress, ParserEvent, ParserOptions, StreamEnd};
use super::head::Head;
use super::range::range_len;
use super::syntax::Leniency;

#[derive(Debug)]
enum State {
    /// Bytes of the body follow, or framing.
    Body,
    /// Everything was received, or all that will be; the decoders may hold more.
    Tail(Result<(), Error>),
    Done,
}

/// Reads the body of one response.
pub struct BodyReader {
    /// How much of the body has been received.
    pub progress: BodyProgress,
    state: State,
    /// With the number of missing bytes, if that is known.
    framing: BodyFraming,
    chunks: ChunkedDecoder,
    /// The length that Content-Range announces.
    range_len: Option<u64>,
    decoders: DecoderChain,
    /// HTTP/0.9: the first bytes of the body, which the head reader has taken.
    first_bytes: Vec<u8>,
}

impl BodyReader {
    /// The reader of the body after `head`.
    ///
    /// Fails with 8 on contradicting lengths, with 61 on too many content codings.
    pub fn new(
        head: &Head,
        options: &ParserOptions,
        notes: &mut VecDeque<String>,
    ) -> Result<BodyReader, Error> {
        let framing = if options.head_request { BodyFraming::None } else { framing(head, notes)? };
        let mut body = BodyReader::with_framing(framing);
        if framing == BodyFraming::None {
            return Ok(body);
        }
        body.chunks = ChunkedDecoder::new(options.max_header, options.leniency);
        if options.decode {
            body.decoders = DecoderChain::new(head, options.max_decoded, notes)?;
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

    /// The reader of an HTTP/0.9 body that begins with `first_bytes`.
    pub fn http09(first_bytes: Vec<u8>) -> BodyReader {
        BodyReader { first_bytes, ..BodyReader::with_framing(BodyFraming::Close) }
    }

    /// The reader of a response without a body, which fails.
    pub fn failed(error: Error) -> BodyReader {
        BodyReader { state: State::Tail(Err(error)), ..BodyReader::with_framing(BodyFraming::None) }
    }

    fn with_framing(framing: BodyFraming) -> BodyReader {
        let is_empty = matches!(framing, BodyFraming::None | BodyFraming::Length(0));
        BodyReader {
            progress: BodyProgress::default(),
            state: if is_empty { State::Tail(Ok(())) } else { State::Body },
            framing,
            chunks: ChunkedDecoder::new(0, Leniency::Strict),
            range_len: None,
            decoders: DecoderChain::default(),
            first_bytes: Vec::new(),
        }
    }

    /// Whether only the end of the stream ends the body.
    pub fn is_open_ended(&self) -> bool {
        matches!((&self.state, self.framing), (State::Body, BodyFraming::Close))
    }

    /// The next event of `input`, which shrinks by what was used; notes of the end are added.
    ///
    /// An error waits until the bytes before it are delivered.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        notes: &mut VecDeque<String>,
    ) -> Result<ParserEvent<'a>, Error> {
        if self.has_first_bytes() {
            self.advance_passthrough(self.first_bytes.len() as u64);
            return Ok(ParserEvent::Body(&self.first_bytes));
        }
        loop {
            let len = usize::try_from(self.unframed_len()).unwrap_or(usize::MAX).min(input.len());
            let data = &input[..len];
            if self.decoders.is_empty() && len > 0 {
                *input = &input[len..];
                self.advance_passthrough(len as u64);
                return Ok(ParserEvent::Body(data));
            }
            let mut rest = data;
            let has_output = self.decoders.step(&mut rest)?;
            let taken = len - rest.len();
            if taken > 0 {
                *input = &input[taken..];
                self.advance(taken as u64);
            }
            if has_output {
                self.progress.decoded += self.decoders.output().len() as u64;
                return Ok(ParserEvent::Body(self.decoders.output()));
            }
            if taken == 0
                && let Some(event) = self.read_framing(input, notes)?
            {
                return Ok(event);
            }
        }
    }

    /// The stream has ended.
    pub fn end(&mut self, end: StreamEnd) {
        let result = match (&self.state, self.framing) {
            (State::Tail(_) | State::Done, _) => return,
            (_, BodyFraming::Close) if end == StreamEnd::Clean => Ok(()),
            (_, BodyFraming::Close) => {
                Err(Error::truncated("the TLS stream ended without close_notify"))
            }
            (_, BodyFraming::Chunked) => {
                let position = self.chunks.position();
                Err(Error::truncated(format!("the connection ended {position}")))
            }
            _ => Err(Error::truncated("the connection ended before the body did")),
        };
        self.finish_framing(result);
    }

    fn has_first_bytes(&self) -> bool {
        self.progress.received == 0 && !self.first_bytes.is_empty()
    }

    /// The number of body bytes that follow without framing or content coding.
    pub fn passthrough_len(&self) -> u64 {
        let is_plain = self.decoders.is_empty() && !self.has_first_bytes();
        if is_plain { self.unframed_len() } else { 0 }
    }

    /// Counts body bytes that need no decoding as received and delivered.
    pub fn advance_passthrough(&mut self, count: u64) {
        self.progress.decoded += count;
        self.advance(count);
    }

    /// The number of body bytes, encoded or not, that follow without framing.
    fn unframed_len(&self) -> u64 {
        self.framed_len().min(self.range_left())
    }

    /// The same, whatever range is announced.
    fn framed_len(&self) -> u64 {
        match (&self.state, self.framing) {
            (State::Tail(_) | State::Done, _) | (_, BodyFraming::None) => 0,
            (_, BodyFraming::Length(left)) => left,
            (_, BodyFraming::Chunked) => self.chunks.data_len(),
            (_, BodyFraming::Close) => u64::MAX,
        }
    }

    /// How much of the announced range is missing.
    fn range_left(&self) -> u64 {
        self.range_len.map_or(u64::MAX, |len| len.saturating_sub(self.progress.received))
    }

    fn advance(&mut self, count: u64) {
        self.progress.received += count;
        match &mut self.framing {
            BodyFraming::Length(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.finish_framing(Ok(()));
                }
            }
            BodyFraming::Chunked => self.chunks.advance(count),
            BodyFraming::None | BodyFraming::Close => {}
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

    /// Reads framing from `input`; returns nothing when body bytes may follow now.
    fn read_framing<'a>(
        &mut self,
        input: &mut &[u8],
        notes: &mut VecDeque<String>,
    ) -> Result<Option<ParserEvent<'a>>, Error> {
        if self.framed_len() > 0 && !input.is_empty() && self.range_left() == 0 {
            let text = "more bytes than the Content-Range announces";
            self.finish_framing(Err(Error::protocol(text)));
        }
        match (&self.state, self.framing) {
            (State::Tail(_) | State::Done, _) => return self.check_complete(notes).map(Some),
            (State::Body, BodyFraming::Chunked) => match self.chunks.read_framing(input) {
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
            self.decoders.finish(self.framing, notes)?;
        }
        Ok(notes.pop_front().map_or(ParserEvent::Done, ParserEvent::Note))
    }
}
