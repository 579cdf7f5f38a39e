//! Sends a file, or a part of it, to each connection; a connection is reset if that fails.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Phase};
use crate::net::source::Source;
use crate::net::stream::EndedBy;
use crate::service::{Connection, Service, ServiceOutcome};
use crate::transfer::{TransferError, TransferOptions, pump};

/// The file service that sends.
#[derive(Debug)]
pub struct SendFile {
    path: PathBuf,
    offset: u64,
    count: Option<u64>,
}

impl SendFile {
    /// Sends the file at `path` from `offset` to its end, or at most `count` bytes. It is opened
    /// for each connection.
    ///
    /// Fails at [`Phase::File`] with code 26 when it cannot be read, is not a regular file or ends
    /// before `offset`.
    pub fn new(path: &Path, offset: u64, count: Option<u64>) -> Result<SendFile, Failure> {
        let send = SendFile { path: path.to_path_buf(), offset, count };
        send.open()?;
        Ok(send)
    }

    /// Opens the file at the offset.
    fn open(&self) -> Result<File, Failure> {
        let failed = |e: io::Error| self.failure(e);
        // If the file has been replaced by a FIFO, opening it must not wait for a writer.
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let mut file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::Error::from_raw_os_error(libc::EISDIR)));
        }
        if !metadata.is_file() {
            return Err(self.failure("not a regular file"));
        }
        if metadata.len() < self.offset {
            return Err(self.failure(format!("its {} bytes end before --offset", metadata.len())));
        }
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        Ok(file)
    }

    fn failure(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        Failure::new(Phase::File, self.path.display(), why)
    }

    fn send(&self, connection: &mut Connection) -> Result<(), Failure> {
        let mut source = Source::new(self.open()?, self.count);
        let mut options = TransferOptions::default();
        let sent = pump(&mut source, connection.stream.writer.as_mut(), &mut options);
        connection.bytes_out += options.meter.total();
        sent.map_err(|e| match e {
            TransferError::Read(e) => self.failure(e),
            TransferError::Write(e) => connection.send_failed(e),
        })
    }
}

impl Service for SendFile {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        if let Err(failure) = self.send(connection) {
            // An orderly close would make a part look complete.
            connection.stream.handle.abort();
            return Err(failure);
        }
        connection.close_gracefully()?;
        Ok(EndedBy::Local.into())
    }
}
