//! http-get: downloads URLs one after the other, each with redirects, retries and resumption.
//!
//! `download` makes one exchange after the other, `attempts` counts them; `download/connect` connects and
//! makes the request of one. `response_reader` reads its response from a `connection`; `response_policy`
//! decides at its head what is done, `output` writes its body. `partial_file`, `resume` and `resume_tag`
//! are the file that can be continued.
//!
//! The bytes of a body pass, in the loop of `response_reader`:
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
mod connection;
mod download;
mod limits;
pub mod options;
pub mod output;
mod part_names;
pub mod partial_file;
mod response_policy;
mod response_reader;
mod resume;
mod resume_tag;
mod status;
mod timings;

pub use download::run;
pub use options::FetchOptions;

#[cfg(test)]
mod tests;
