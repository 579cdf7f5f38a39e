//! http-get: downloads URLs one after the other, each with redirects, retries and resumption.
//!
//! `download` makes one exchange after the other, `attempts` counts them; `connect` connects and makes
//! the request of one, `send` sends it. `transaction` reads its response from a `connection`; `exchange`
//! and `response` decide at its head what is done, `output` writes its body. `partial_file`, `resume`
//! and `resume_tag` are the file that can be continued.
//!
//! The bytes of a body pass, in the loop of `transaction`:
//!
//! ```text
//! socket ─► connection ─► ResponseParser::next ────────────────────────────► output ─► file
//!    │      wait, read,     body_reader: chunked removes framing,           escapes   or stdout
//!    │      count                        coding decodes                     control      ▲
//!    └────────────────── body_splice: a plain body, by the kernel ───────────────────────┘
//! ```

mod attempts;
mod binary_body;
mod body_splice;
mod condition;
mod connect;
mod connection;
mod download;
mod exchange;
mod limits;
pub mod options;
pub mod output;
mod part_names;
pub mod partial_file;
mod peer_wait;
mod response;
mod response_error;
mod resume;
mod resume_tag;
mod send;
mod status;
mod timings;
mod transaction;

pub use download::run;
pub use options::FetchOptions;

#[cfg(test)]
mod tests;
