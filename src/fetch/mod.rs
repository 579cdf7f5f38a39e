//! http-get: downloads URLs one after the other, each with redirects, retries and resumption.
//!
//! [`download`] makes one exchange after the other, [`attempts`] counts them; [`connect`]
//! connects and makes the request of one. [`transaction`] reads its response from a [`connection`];
//! [`exchange`] and [`response`] decide at its head what is done, [`output`] writes its body.
//! [`partial_file`], [`resume`] and [`resume_tag`] are the file that can be continued.

pub mod attempts;
pub mod binary_body;
pub mod body_splice;
pub mod condition;
pub mod connect;
pub mod connection;
pub mod download;
pub mod exchange;
pub mod limits;
pub mod options;
pub mod output;
pub mod partial_file;
pub mod response;
pub mod resume;
pub mod resume_tag;
pub mod send;
pub mod status;
pub mod timings;
pub mod transaction;

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
