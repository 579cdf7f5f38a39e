//! HTTP/1.1 for http-get and for proxies: bytes in, events out, no I/O.
//!
//! `url` parses a URL, `request` formats a GET. `response_parser` takes the bytes of the response, in
//! pieces of any size, and returns events: `head_reader` collects the head, `body_reader` removes
//! framing (`chunked`) and content codings (`coding`). `redirect` finds the next URL, `range` compares
//! the received range with the requested one.
//!
//! A response passes these states:
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
//!                                    the end ───────────────────► codings complete? ───► Done
//! ```
//!
//! The end of the stream in any state but Close is a truncation (18), and in Close too when a
//! content coding or TLS is not complete. The semantics are RFC 9110, the framing RFC 9112.
//!
//! A build without the feature `http` has no http-get; it parses heads for proxies only.

#[cfg(feature = "http")]
mod body_framing;
#[cfg(feature = "http")]
mod body_reader;
pub mod challenge;
#[cfg(feature = "http")]
mod chunked;
#[cfg(feature = "http")]
mod coding;
mod error;
mod event;
mod head;
pub mod head_reader;
pub mod range;
#[cfg(feature = "http")]
pub mod redirect;
#[cfg(feature = "http")]
pub mod request;
#[cfg(feature = "http")]
mod response_parser;
pub mod syntax;
#[cfg(feature = "http")]
pub mod url;

pub use error::Error;
pub use event::{BodyProgress, ParserEvent, ParserOptions, StreamEnd};
pub use head::{Field, Head};
#[cfg(feature = "http")]
pub use response_parser::ResponseParser;
pub use syntax::Leniency;
#[cfg(feature = "http")]
pub use url::HttpUrl;
