//! The options and the events of the response parser.

use super::head::Head;
use super::syntax::Leniency;

/// What the parser accepts, and its limits.
#[derive(Debug, Clone)]
pub struct ParserOptions {
    /// The request was HEAD: no body follows, whatever the header contains.
    pub head_request: bool,
    /// The most bytes of header, interim responses and trailers, each.
    pub max_header: usize,
    /// The most decoded bytes; none means that only decompression bombs fail.
    pub max_decoded: Option<u64>,
    /// Whether content codings are decoded.
    pub decode: bool,
    /// Whether malformed but harmless syntax is accepted; wrong framing never is.
    pub leniency: Leniency,
    /// Whether a response without an HTTP/1 status line is accepted as HTTP/0.9.
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

/// The meaning of the next bytes.
#[derive(Debug)]
pub enum ParserEvent<'a> {
    /// All input is used; more is needed.
    NeedInput,
    /// An interim response (1xx); the final one follows.
    Interim(Head),
    /// The head of the response.
    Head(Head),
    /// The response has no head but these first bytes of its body: HTTP/0.9.
    Http09(Vec<u8>),
    /// Bytes of the body, decoded.
    Body(&'a [u8]),
    /// A deviation that was tolerated.
    Note(String),
    /// The response is complete.
    Done,
}

/// How the stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// With FIN, under TLS after close_notify.
    Clean,
    /// Without close_notify of its TLS layer, or by an error.
    Truncated,
}

/// How much of a body has been received, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyProgress {
    /// Body bytes received, without chunk framing, before decoding.
    pub received: u64,
    /// The number of them that the header announces.
    pub expected: Option<u64>,
    /// Body bytes delivered, after decoding.
    pub decoded: u64,
}
