//! http-get: downloads URLs one after the other, each with redirects, retries and resumption.
//!
//! [`download`] makes one exchange after the other, [`download_state`] decides which; [`transaction`]
//! reads the response of one, [`exchange`] decides at its head what is done, [`response_handler`] and
//! [`output`] write its body; [`partial_file`], [`resume`] and [`resume_tag`] are the file that can be continued.

pub mod binary_body;
pub mod condition;
pub mod connection;
pub mod download;
pub mod download_state;
pub mod exchange;
pub mod limits;
pub mod options;
pub mod output;
pub mod partial_file;
pub mod read_watchdog;
pub mod response_handler;
pub mod resume;
pub mod resume_tag;
pub mod speed_limit;
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
