//! The outcome of a session.

use std::io::{self, ErrorKind};

use super::local::LocalFile;
use crate::error::{ExitCode, Failure, LayerError, Phase};
use crate::net::stream::EndedBy;

/// How a session ended.
#[derive(Debug)]
pub struct DuplexOutcome {
    /// What ended it.
    pub by: EndedBy,
    /// Whether everything was delivered in both directions.
    pub outcome: Result<(), Failure>,
}

impl DuplexOutcome {
    /// Everything was delivered.
    pub(super) fn success(by: EndedBy) -> DuplexOutcome {
        DuplexOutcome { by, outcome: Ok(()) }
    }

    /// Something was not.
    pub(super) fn failure(by: EndedBy, failure: Failure) -> DuplexOutcome {
        DuplexOutcome { by, outcome: Err(failure) }
    }

    /// A local file failed. That the reader of stdout has closed is no failure.
    pub(super) fn local_failed(file: &LocalFile, e: &io::Error, code: ExitCode) -> DuplexOutcome {
        if file.phase == Phase::Stdout && e.kind() == ErrorKind::BrokenPipe {
            return DuplexOutcome::success(EndedBy::Local);
        }
        let failure = Failure::new(file.phase, &file.name, clone_io_error(e)).with_code(code);
        DuplexOutcome::failure(EndedBy::Local, failure)
    }
}

/// Returns an error with the same number, layer or text.
pub(super) fn clone_io_error(e: &io::Error) -> io::Error {
    match (e.raw_os_error(), LayerError::of(e)) {
        (Some(number), _) => io::Error::from_raw_os_error(number),
        (None, Some(layer)) => io::Error::new(e.kind(), layer.clone()),
        (None, None) => io::Error::new(e.kind(), e.to_string()),
    }
}
