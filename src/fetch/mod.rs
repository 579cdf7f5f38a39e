//! http-get: downloads URLs one after the other, each with redirects, retries and resumption.
//!
//! [`download`] makes one exchange after the other, [`attempts`] counts them; [`connect`]
//! connects and makes the request of one. [`transaction`] reads its response from a [`connection`];
//! [`exchange`] and [`response`] decide at its head what is done, [`output`] writes its body.
//! [`partial_file`], [`resume`] and [`resume_tag`] are the file that can be continued.

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

pub use options::FetchOptions;

use crate::error::{ExitCode, Failure};
use crate::http::HttpUrl;
use crate::net::stdout::Stdout;
use crate::report::context::Context;
use download::Download;
use output::{BodyOutput, Destination};

/// Downloads each URL in turn to its destination. The first failure decides the exit code, further
/// ones are printed.
pub fn run(
    context: &Context,
    options: &FetchOptions,
    downloads: Vec<(HttpUrl, Destination)>,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let mut first = Ok(ExitCode::Done);
    for (url, destination) in downloads {
        let output = BodyOutput::new(destination, stdout, context);
        let result = Download::new(context, options, url).run(output);
        match (&first, result) {
            (Ok(_), result) => first = result,
            (Err(_), Err(failure)) => context.report.failure(None, &failure),
            (Err(_), Ok(_)) => {}
        }
        if context.shutdown.reason().is_some() {
            break;
        }
    }
    first
}

#[cfg(test)]
mod tests;
