//! A directory for downloads.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;

use crate::support::origin::Origin;
use crate::support::sockit::{LIMIT, Sockit};

/// The directory; removed when dropped.
pub struct DownloadDir {
    dir: TempDir,
}

impl DownloadDir {
    /// Creates it.
    pub fn new() -> DownloadDir {
        DownloadDir { dir: tempfile::tempdir().unwrap() }
    }

    /// The path of `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The content of `name`, if it exists.
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// A run of http-get that saves the response of `server` as `f`.
    pub fn get(&self, server: &Origin, flags: &str) -> Sockit {
        server.get(flags).arg("-o").arg(self.path("f"))
    }

    /// The names of its files, sorted.
    pub fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Waits until the content of `name` is `text`.
    pub fn wait_for_content(&self, name: &str, text: &str) {
        let until = Instant::now() + LIMIT;
        while self.read(name).as_deref() != Some(text) {
            assert!(Instant::now() < until, "{name} never holds {text}");
            std::thread::yield_now();
        }
    }
}
