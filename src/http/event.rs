//! What is asked of the reader of an answer, and what it tells.

use super::head::Head;
use super::syntax::Leniency;

/// What is expected of an answer, and what is put up with.
#[derive(Debug, Clone)]
pub struct ParserOptions {
    /// The request was HEAD: no body follows, whatever the header says.
    pub head_request: bool,
    /// The most bytes of header, interim answers and trailers, each.
    pub max_header: usize,
    /// The most decoded bytes; none means that only bombs are stopped.
    pub max_decoded: Option<u64>,
    /// Whether content codings are undone.
    pub decode: bool,
    /// How malformed but harmless syntax is read; a lie about the framing is always refused.
    pub leniency: Leniency,
    /// Takes what is no HTTP/1 for the body of HTTP/0.9.
    pub http09: bool,
}

impl Default for ParserOptions {
    fn default() -> ParserOptions {
        ParserOptions {
            head_request: false,
            max_header: 256 * 1024,
            max_decoded: None,
            decode: true,
            leniency: Leniency::Strict,
            http09: false,
        }
    }
}

/// What the next bytes mean.
#[derive(Debug)]
pub enum Event<'a> {
    /// All input is used; more is needed.
    NeedInput,
    /// An interim answer; the real one follows.
    Interim(Head),
    /// The head of the answer; [`super::Answer::head`] keeps it. None is HTTP/0.9, which has no head.
    Head,
    /// Bytes of the body, decoded.
    Body(&'a [u8]),
    /// Something odd but tolerable, in words.
    Note(String),
    /// The answer is complete.
    Done,
}

/// How the stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// Properly: FIN, and under TLS close_notify before it.
    Clean,
    /// Without close_notify of its TLS layer, or by an error.
    Truncated,
}

/// How far a body has come, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyProgress {
    /// Body bytes received, without chunk framing, before decoding.
    pub received: u64,
    /// The number of them that the header announces.
    pub expected: Option<u64>,
    /// Body bytes handed out.
    pub decoded: u64,
}
