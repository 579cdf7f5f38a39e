//! The failures of a response that is read.

use std::io;

use super::ResponseReader;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::{Error, StreamEnd};

impl ResponseReader<'_> {
    /// The failure of a response that cannot be parsed.
    pub fn parse_error(&self, error: &Error) -> Failure {
        let url = self.policy.url;
        let failure = error.failure(url);
        let failure = match (self.first_bytes, url.is_tls(), error.code) {
            ([0x15 | 0x16, 3], false, ExitCode::Protocol) => {
                failure.with_hint("the server speaks TLS: use https://")
            }
            _ => failure,
        };
        self.with_progress(failure)
    }

    /// The failure of a connection that broke, after the decoders have delivered what they hold.
    pub fn read_error(&mut self, e: io::Error) -> Failure {
        self.parser.end(StreamEnd::Truncated);
        if let Err(failure) = self.parse(&[])
            && failure.phase != Phase::Receive
        {
            return failure;
        }
        if let Some(failure) = self.connection.send_failure() {
            return failure;
        }
        let failure = Failure::new(Phase::Receive, self.policy.url, e);
        let began = self.connection.bytes_in > 0 || self.connection.is_partly_delivered();
        // The phase of a layer's own failure (TLS) stays.
        if began && failure.phase == Phase::Receive {
            return self.with_progress(failure.with_code(ExitCode::Partial));
        }
        failure
    }

    /// Adds «got N of M» to a failure where a body had begun.
    pub fn with_progress(&self, failure: Failure) -> Failure {
        if !self.has_head || failure.phase != Phase::Receive {
            return failure;
        }
        let progress = self.parser.progress();
        let expected = match progress.expected {
            Some(bytes) => format!("{bytes} bytes"),
            None => "an unknown number of bytes".to_string(),
        };
        let text = format!("{}; got {} of {expected}", failure.cause(), progress.received);
        let mut counted = Failure::new(failure.phase, &failure.target, text);
        (counted.code, counted.hint) = (failure.code, failure.hint);
        counted
    }
}
