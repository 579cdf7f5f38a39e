//! One answer: bytes in, in pieces of any size, facts out, until it is whole or refused.
//!
//! The chart is in [`super`]. The same bytes give the same facts however they are split.

use std::collections::VecDeque;

use super::body_framing::{Framing, framing};
use super::chunked::ChunkedDecoder;
use super::coding::{self, DecoderChain};
use super::error::{Error, ErrorKind};
use super::event::{BodyProgress, Event, ParserOptions, StreamEnd};
use super::head::Head;
use super::head_reader::{HeadReader, HeadStatus};
use super::range::piece_length;
use super::syntax::quote;

/// Interim answers (1xx) that may precede the one we want.
const INTERIMS: usize = 20;
/// The hint where the answer may be one of HTTP/0.9.
const HTTP09: &str = "--http0.9 takes it as the body of an HTTP/0.9 answer";

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    Close,
    /// All of the body came, or as much as ever will; the codings have the last word.
    Tail(Result<(), Error>),
    Done,
}

/// The reader of one answer.
pub struct ResponseParser {
    rules: ParserOptions,
    state: State,
    gatherer: HeadReader,
    head: Option<Head>,
    interims: usize,
    interim_bytes: usize,
    /// HTTP/0.9: bytes that were first taken for a head.
    spilled: Vec<u8>,
    held: Vec<u8>,
    framing: Framing,
    /// How many bytes its Content-Range announces.
    piece: Option<u64>,
    chain: DecoderChain,
    notes: VecDeque<String>,
    progress: BodyProgress,
    over: Option<Error>,
}

impl ResponseParser {
    /// A reader that stands before the first byte.
    pub fn new(rules: ParserOptions) -> ResponseParser {
        let gatherer = HeadReader::new(rules.max_header, rules.leniency);
        ResponseParser {
            rules,
            state: State::Head,
            gatherer,
            head: None,
            interims: 0,
            interim_bytes: 0,
            spilled: Vec::new(),
            held: Vec::new(),
            framing: Framing::Close,
            piece: None,
            chain: DecoderChain::default(),
            notes: VecDeque::new(),
            progress: BodyProgress::default(),
            over: None,
        }
    }

    /// The head, once its fact was told.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// How far the body has come.
    pub fn progress(&self) -> BodyProgress {
        self.progress
    }

    /// The next fact about `input`, which shrinks by what was understood. Ask again until
    /// [`Fact::More`] or [`Fact::Done`]; after an error there are no more facts.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error> {
        if let Some(note) = self.notes.pop_front() {
            return Ok(Event::Note(note));
        }
        if let Some(error) = self.over.take() {
            return Err(error);
        }
        match self.state {
            State::Head => self.next_head(input),
            State::Done => Ok(Event::Done),
            _ if !self.spilled.is_empty() => Ok(self.next_spilled()),
            _ if self.chain.is_plain() => self.next_plain(input),
            _ => self.next_coded(input),
        }
    }

    /// Tells that the stream ended; further calls of [`ResponseParser::next`] with nothing end in
    /// [`Fact::Done`] or the error that says what is missing.
    pub fn end(&mut self, ending: StreamEnd) {
        let verdict = match &self.state {
            State::Head => return self.end_in_head(),
            State::Close if ending == StreamEnd::Clean => Ok(()),
            State::Close => Err(Error::truncated("the TLS stream ended without close_notify")),
            State::Length(_) => Err(Error::truncated("the connection ended before the body did")),
            State::Chunked(chunks) => {
                Err(Error::truncated(format!("the connection ended {}", chunks.position())))
            }
            State::Tail(_) | State::Done => return,
        };
        self.tail(verdict);
    }

    /// Whether only the end of the stream ends the body.
    pub fn is_open_ended(&self) -> bool {
        matches!(self.state, State::Close)
    }

    /// Bytes of body that come next with nothing to undo and no framing between them: they may
    /// take another way than through [`ResponseParser::next`], if [`ResponseParser::pass`] is told.
    pub fn passthrough_len(&self) -> u64 {
        let quiet = self.notes.is_empty() && self.spilled.is_empty();
        if quiet && self.chain.is_plain() { self.framed_ahead() } else { 0 }
    }

    /// Counts `count` bytes of body that went another way; at most [`ResponseParser::ahead`].
    pub fn advance_passthrough(&mut self, count: u64) {
        self.progress.decoded += count;
        self.advance(count);
    }

    /// Body bytes, coded or not, that come next with no framing between them.
    fn framed_ahead(&self) -> u64 {
        let ahead = match &self.state {
            State::Length(left) => *left,
            State::Chunked(chunks) => chunks.ahead(),
            State::Close => u64::MAX,
            _ => 0,
        };
        ahead.min(self.piece_left())
    }

    /// How much of the announced piece is still to come.
    fn piece_left(&self) -> u64 {
        self.piece.map_or(u64::MAX, |piece| piece.saturating_sub(self.progress.received))
    }

    /// Whether `input` goes on with the body behind the end of the piece.
    fn is_beyond_piece(&self, input: &[u8]) -> bool {
        let goes_on = match &self.state {
            State::Chunked(chunks) => chunks.ahead() > 0,
            state => matches!(state, State::Close),
        };
        goes_on && !input.is_empty() && self.piece_left() == 0
    }

    fn advance(&mut self, count: u64) {
        self.progress.received += count;
        match &mut self.state {
            State::Length(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.tail(Ok(()));
                }
            }
            State::Chunked(chunks) => chunks.advance(count),
            _ => {}
        }
    }

    fn next_head<'a>(&mut self, input: &mut &[u8]) -> Result<Event<'a>, Error> {
        match self.gatherer.push(input)? {
            HeadStatus::Incomplete => return Ok(Event::NeedInput),
            HeadStatus::NotHttp => return self.not_http(),
            HeadStatus::Complete => {}
        }
        self.interim_bytes += self.gatherer.len();
        let mut head = self.gatherer.finish()?;
        self.notes.extend(head.notes.drain(..));
        if head.status == 101 {
            return Err(Error::protocol("101 Switching Protocols, which nobody asked for"));
        }
        if head.status < 200 {
            self.interims += 1;
            let most = self.rules.max_header;
            if self.interims > INTERIMS {
                return Err(Error::limit(format!("more than {INTERIMS} interim answers")));
            }
            if self.interim_bytes > most {
                let text = format!("interim answers larger than the limit of {most} bytes");
                return Err(Error::limit(text));
            }
            return Ok(Event::Interim(head));
        }
        self.begin_body(head)?;
        Ok(Event::Head)
    }

    fn begin_body(&mut self, head: Head) -> Result<(), Error> {
        let mut notes = Vec::new();
        let bodiless = self.rules.head_request;
        let framing = if bodiless { Framing::None } else { framing(&head, &mut notes)? };
        if framing != Framing::None && self.rules.decode {
            self.chain = DecoderChain::new(&head, &mut notes)?;
        }
        self.framing = framing;
        self.piece = piece_length(&head).filter(|_| framing != Framing::None);
        self.state = match framing {
            Framing::None | Framing::Length(0) => State::Tail(Ok(())),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Box::new(ChunkedDecoder::new(
                self.rules.max_header,
                self.rules.leniency,
            ))),
            Framing::Close => State::Close,
        };
        self.progress.expected = match (framing, self.piece) {
            (Framing::Length(length), Some(piece)) if length != piece => {
                return Err(Error::protocol("Content-Range and Content-Length differ"));
            }
            (Framing::Length(length), _) => Some(length),
            (_, piece) => piece,
        };
        self.notes.extend(notes);
        self.head = Some(head);
        Ok(())
    }

    /// What came is no head: HTTP/0.9, if that is allowed, or another protocol.
    fn not_http<'a>(&mut self) -> Result<Event<'a>, Error> {
        let raw = self.gatherer.push_raw();
        let may_be_http09 = !self.rules.head_request && self.interims == 0;
        if !(self.rules.http09 && may_be_http09) {
            let start = quote(&raw);
            let error = Error::protocol(format!("not an HTTP/1 answer: it begins {start}"));
            return Err(if may_be_http09 { error.with_hint(HTTP09) } else { error });
        }
        self.spilled = raw;
        self.state = State::Close;
        Ok(Event::Head)
    }

    fn end_in_head(&mut self) {
        let error = if self.gatherer.is_empty() {
            Error::new(ErrorKind::Empty, "the peer closed without an answer")
        } else if self.rules.http09 && !self.rules.head_request && !self.gatherer.is_known() {
            self.spilled = self.gatherer.push_raw();
            return self.tail(Ok(()));
        } else {
            Error::truncated("the connection ended in the header")
        };
        self.over = Some(error);
    }

    fn tail(&mut self, verdict: Result<(), Error>) {
        let missing = self.piece.is_some() && self.piece_left() > 0;
        let verdict = match verdict {
            Ok(()) if missing => {
                Err(Error::truncated("the body ended before its Content-Range does"))
            }
            verdict => verdict,
        };
        if verdict.is_err() {
            self.chain.flush_truncated();
        }
        self.state = State::Tail(verdict);
    }

    /// Hands out what was first taken for a head.
    fn next_spilled(&mut self) -> Event<'_> {
        self.held = std::mem::take(&mut self.spilled);
        self.advance_passthrough(self.held.len() as u64);
        Event::Body(&self.held)
    }

    fn next_plain<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error> {
        loop {
            let count = at_hand(self.framed_ahead(), input);
            if count > 0 {
                let (data, rest) = input.split_at(count);
                *input = rest;
                self.advance_passthrough(count as u64);
                return Ok(Event::Body(data));
            }
            if let Some(fact) = self.read_framing(input)? {
                return Ok(fact);
            }
        }
    }

    fn next_coded<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error> {
        loop {
            let count = at_hand(self.framed_ahead(), input);
            let mut data = &input[..count];
            let made = self.chain.step(&mut data)?;
            let taken = count - data.len();
            *input = &input[taken..];
            if taken > 0 {
                self.advance(taken as u64);
            }
            if made {
                return self.emit_decoded();
            }
            if taken == 0
                && let Some(fact) = self.read_framing(input)?
            {
                return Ok(fact);
            }
        }
    }

    /// The piece the chain has made, as far as the limits let it out.
    fn emit_decoded(&mut self) -> Result<Event<'_>, Error> {
        let (length, taken) = (self.chain.piece().len() as u64, self.chain.taken());
        let most = self.rules.max_decoded.unwrap_or(coding::bomb_size(taken));
        let room = most.saturating_sub(self.progress.decoded);
        let out = length.min(room);
        if out < length {
            self.over = Some(match self.rules.max_decoded {
                Some(most) => Error::limit(format!("more than --max-decoded {most} bytes")),
                None => coding::bomb(most, taken),
            });
        }
        self.progress.decoded += out;
        match usize::try_from(out) {
            Ok(out) if out > 0 => Ok(Event::Body(&self.chain.piece()[..out])),
            _ => self.over.take().map_or(Ok(Event::NeedInput), Err),
        }
    }

    /// Takes framing from `input`. None when body bytes may be at hand now; a broken framing
    /// waits in the tail until what came before it is out.
    fn read_framing<'a>(&mut self, input: &mut &[u8]) -> Result<Option<Event<'a>>, Error> {
        if self.is_beyond_piece(input) {
            self.tail(Err(Error::protocol("more bytes than the Content-Range announces")));
        }
        match &mut self.state {
            State::Tail(_) => return self.verdict().map(Some),
            State::Chunked(chunks) => match chunks.frame(input) {
                Ok(true) => self.tail(Ok(())),
                Ok(false) if input.is_empty() => return Ok(Some(Event::NeedInput)),
                Ok(false) => {}
                Err(error) => self.tail(Err(error)),
            },
            _ => return Ok(Some(Event::NeedInput)),
        }
        Ok(None)
    }

    /// Everything that came is out: is it all?
    fn verdict<'a>(&mut self) -> Result<Event<'a>, Error> {
        if let State::Tail(verdict) = std::mem::replace(&mut self.state, State::Done) {
            verdict?;
            let mut notes = Vec::new();
            self.chain.finish(self.framing, &mut notes)?;
            self.notes.extend(notes);
        }
        Ok(self.notes.pop_front().map_or(Event::Done, Event::Note))
    }
}

/// How much of `input` is within the `ahead` bytes.
fn at_hand(ahead: u64, input: &[u8]) -> usize {
    input.len().min(usize::try_from(ahead).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
