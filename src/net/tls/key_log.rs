//! TLS secrets in the file that `SSLKEYLOGFILE` names, for tools that decrypt captures.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustls::{KeyLog, NoKeyLog};

use super::fingerprint::hex;
use crate::error::Failure;
use crate::process::{directory_entry, output_file};

/// Appends a line per secret, in the NSS key log format.
#[derive(Debug)]
struct LogFile(File);

impl KeyLog for LogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        // One write, so that lines of several processes do not mix; errors are ignored.
        let _ = (&self.0).write_all(line.as_bytes());
    }
}

/// Opens the key log. Nothing is logged unless `SSLKEYLOGFILE` names a file that can be written.
///
/// Fails at [`Phase::File`] with 23 if another user has put the file there.
pub fn key_log() -> Result<Arc<dyn KeyLog>, Failure> {
    let Some(path) = std::env::var_os("SSLKEYLOGFILE") else { return Ok(Arc::new(NoKeyLog {})) };
    let path = Path::new(&path);
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    match output_file::open(path, flags, 0o600) {
        Ok(file) => Ok(Arc::new(LogFile(file))),
        Err(e) if directory_entry::is_refusal(&e) => Err(Failure::write_file(path.display(), e)),
        Err(_) => Ok(Arc::new(NoKeyLog {})),
    }
}
