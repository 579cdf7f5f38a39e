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
    framing: BodyFraming,
    chunks: ChunkedDecoder,
    /// The number of body bytes before the next framing, or before the end.
    left: u64,
    /// None if the body is not encoded.
    decoders: Option<DecoderChain>,
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
        body.progress.expected = match (framing, range_len(head)) {
            (BodyFraming::Length(length), Some(range_len)) if length != range_len => {
                return Err(Error::protocol("Content-Range and Content-Length differ"));
            }
            (BodyFraming::Length(length), _) => Some(length),
            (_, range_len) => range_len,
        };
        Ok(body)
    }

    /// The reader of an HTTP/0.9 body, of which `received` bytes have been read.
    pub fn http09(received: usize) -> BodyReader {
        let mut body = BodyReader::with_framing(BodyFraming::Close);
        body.advance_passthrough(received as u64);
        body
    }

    fn with_framing(framing: BodyFraming) -> BodyReader {
        BodyReader {
            progress: BodyProgress::default(),
            state: State::Body,
            framing,
            chunks: ChunkedDecoder::new(0, Leniency::Strict),
            left: match framing {
                BodyFraming::None | BodyFraming::Chunked => 0,
                BodyFraming::Length(length) => length,
                BodyFraming::Close => u64::MAX,
            },
            decoders: None,
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
        loop {
            let len = usize::try_from(self.data_len()).unwrap_or(usize::MAX).min(input.len());
            let data = &input[..len];
            let mut undecoded = data;
            let has_output = match &mut self.decoders {
                Some(decoders) => decoders.step(&mut undecoded)?,
                None if len > 0 => {
                    *input = &input[len..];
                    self.advance_passthrough(len as u64);
                    return Ok(ParserEvent::Body(data));
                }
                None => false,
            };
            let taken = len - undecoded.len();
            *input = &input[taken..];
            self.progress.received += taken as u64;
            self.left -= taken as u64;
            if has_output {
                let output = self.decoders.as_ref().map(DecoderChain::output).unwrap_or_default();
                self.progress.decoded += output.len() as u64;
                return Ok(ParserEvent::Body(output));
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
                let position = self.chunks.position(self.left);
                Err(Error::truncated(format!("the connection ended {position}")))
            }
            _ => Err(Error::truncated("the connection ended before the body did")),
        };
        self.finish_framing(result);
    }

    /// The number of body bytes that follow without framing or content coding.
    pub fn passthrough_len(&self) -> u64 {
        if self.decoders.is_none() { self.data_len() } else { 0 }
    }

    /// Counts body bytes that need no decoding as received and delivered.
    pub fn advance_passthrough(&mut self, count: u64) {
        self.progress.decoded += count;
        self.progress.received += count;
        self.left = self.left.saturating_sub(count);
    }

    /// The number of body bytes, encoded or not, that follow without framing, up to the end of the
    /// range that is announced.
    fn data_len(&self) -> u64 {
        let BodyProgress { received, expected, .. } = self.progress;
        expected.map_or(self.left, |expected| self.left.min(expected.saturating_sub(received)))
    }

    fn finish_framing(&mut self, result: Result<(), Error>) {
        let BodyProgress { received, expected, .. } = self.progress;
        let result = result.and_then(|()| match expected {
            Some(expected) if received < expected => {
                Err(Error::truncated("the body ended before its Content-Range does"))
            }
            _ => Ok(()),
        });
        if let (Err(_), Some(decoders)) = (&result, &mut self.decoders) {
            decoders.flush_truncated();
        }
        self.left = 0;
        self.state = State::Tail(result);
    }

    /// Reads framing from `input`; returns nothing when body bytes may follow now.
    fn read_framing<'a>(
        &mut self,
        input: &mut &[u8],
        notes: &mut VecDeque<String>,
    ) -> Result<Option<ParserEvent<'a>>, Error> {
        match (&self.state, self.framing) {
            (State::Tail(_) | State::Done, _) => return self.check_complete(notes).map(Some),
            _ if self.left > 0 && self.data_len() == 0 && !input.is_empty() => {
                let text = "more bytes than the Content-Range announces";
                self.finish_framing(Err(Error::protocol(text)));
            }
            (_, BodyFraming::Chunked) if self.left == 0 => match self.chunks.read_framing(input) {
                Ok(Some(0)) => self.finish_framing(Ok(())),
                Ok(Some(size)) => self.left = size,
                Ok(None) => return Ok(Some(ParserEvent::NeedInput)),
                Err(error) => self.finish_framing(Err(error)),
            },
            (_, BodyFraming::None | BodyFraming::Length(_)) if self.left == 0 => {
                self.finish_framing(Ok(()));
            }
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
            if let Some(decoders) = &self.decoders {
                decoders.finish(self.framing, notes)?;
            }
        }
        Ok(notes.pop_front().map_or(ParserEvent::Done, ParserEvent::Note))
    }
}
