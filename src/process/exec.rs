//! Replacing this process by another program (execve(2)).

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::child;
use crate::error::{Failure, Phase};

/// A program that is to replace this process, found before.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    words: Vec<OsString>,
}

impl Replacement {
    /// Finds the program of `words`, in `PATH` unless it has a slash.
    ///
    /// Fails at [`Phase::File`] with code 26 when it does not exist or is not executable.
    pub fn find(words: Vec<OsString>) -> Result<Replacement, Failure> {
        let name = words.first().cloned().unwrap_or_default();
        let path = child::find(&name).map_err(|e| Failure::new(Phase::File, name.display(), e))?;
        Ok(Replacement { path, words })
    }

    /// Replaces this process; its descriptors and environment stay. Returns only if that fails, at
    /// [`Phase::File`] with code 26.
    pub fn exec(&self) -> Failure {
        let mut command = Command::new(&self.path);
        if let Some((name, arguments)) = self.words.split_first() {
            command.arg0(name).args(arguments);
        }
        Failure::new(Phase::File, self.path.display(), command.exec())
    }
}
