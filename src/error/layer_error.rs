//! The error of a layer (TLS) below code that handles only [`io::Error`].

use std::io;

use super::{ExitCode, Phase};

/// An error of a layer (TLS) inside an [`io::Error`], which carries phase and exit code through code
/// that only reads or writes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct LayerError {
    /// The phase that failed.
    pub phase: Phase,
    /// The exit code.
    pub code: ExitCode,
    /// The cause, in one line.
    pub why: String,
    /// A line of advice.
    pub hint: Option<&'static str>,
}

impl LayerError {
    /// Returns the layer error inside `error`, if there is one.
    pub fn of(error: &io::Error) -> Option<&LayerError> {
        error.get_ref()?.downcast_ref()
    }
}
