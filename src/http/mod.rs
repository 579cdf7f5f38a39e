//! The HTTP/1.1 of http-get and of proxies: bytes in, facts out, no socket inside.
//!
//! Before a connection: [`link`] reads what the user called a URL, [`request`] turns it into
//! the bytes of one GET. While it lives: [`answer`] takes the peer's bytes, in pieces of any
//! size, and says what they mean. Afterwards: [`redirect`] decides where to go next, and
//! [`range`] whether a piece is the piece that was asked for.
//!
//! An answer passes these states; every arrow into `Refused` is an [`Error`] with its kind:
//!
//! ```text
//!            ┌──────── 1xx (counted) ───────┐
//!            ▼                              │
//!  start ─► Head ──── blank line ───────────┴─► framing ──┬─ none ─────────────────────────┐
//!    │       │                                            ├─ length ─► Length(left) ─ 0 ───┤
//!    │       └─ not HTTP, --http0.9 ─► Close ◄─ to end ───┤                                │
//!    │                                  │                 └─ chunked ─► Size ◄──────┐      │
//!    │                                  │                                │          │      │
//!    │ end of stream                    │ end of stream     last chunk ──┤── size ─►│      │
//!    ▼                                  │                                ▼        Data     │
//!  Empty (52)                           │                            Trailers       │      │
//!                                       │                                │        CR LF    │
//!                                       ▼                                ▼                 ▼
//!                                    the end ────────────────────────► codings whole? ─► Done
//! ```
//!
//! Body bytes pass through the codings ([`coding`]) on their way out. The end of the stream in
//! any state but Close is a truncation (18), and so it is in Close when a coding or the layer
//! below says that more was to come. What HTTP means is RFC 9110, how it is framed RFC 9112.
//!
//! A build without the feature `http` has no http-get; it reads heads for proxies all the same.

pub mod body_framing;
pub mod challenge;
pub mod chunked;
#[cfg(feature = "http")]
pub mod coding;
pub mod error;
pub mod event;
pub mod head;
pub mod head_reader;
pub mod header_fields;
pub mod line;
pub mod range;
#[cfg(feature = "http")]
pub mod redirect;
#[cfg(feature = "http")]
pub mod request;
#[cfg(feature = "http")]
pub mod response_parser;
pub mod syntax;
#[cfg(feature = "http")]
pub mod url;

pub use error::{Error, ErrorKind};
pub use event::{BodyProgress, Event, ParserOptions, StreamEnd};
pub use head::{Field, Head};
#[cfg(feature = "http")]
pub use response_parser::ResponseParser;
pub use syntax::Leniency;
#[cfg(feature = "http")]
pub use url::HttpUrl;
