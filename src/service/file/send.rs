//! Sends a file, or a part of it, to each connection; a connection is reset if that fails.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Phase};
use crate::net::stream::EndedBy;
#[cfg(target_os = "linux")]
use crate::net::stream_observer::Observation;
use crate::service::{Connection, Service, ServiceOutcome};

/// Bytes of one sendfile(2).
const SENDFILE_SIZE: usize = 1 << 20;
/// Bytes of one read where sendfile(2) is not possible.
const CHUNK_SIZE: usize = 256 << 10;

/// The file service that sends.
#[derive(Debug)]
pub struct SendFile {
    path: PathBuf,
    offset: u64,
    count: Option<u64>,
}

/// An open file, and the part of it that is still to be sent.
struct FileRange {
    file: File,
    offset: u64,
    remaining: u64,
    /// The size is unknown, as in proc(5): the file is read to its end.
    is_sizeless: bool,
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

    fn open(&self) -> Result<FileRange, Failure> {
        let failed = |e: io::Error| self.failure(e);
        // If the file has been replaced by a FIFO, opening it must not wait for a writer.
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::Error::from_raw_os_error(libc::EISDIR)));
        }
        if !metadata.is_file() {
            return Err(self.failure("not a regular file"));
        }
        let rest = metadata.len().checked_sub(self.offset).ok_or_else(|| {
            self.failure(format!("its {} bytes end before --offset", metadata.len()))
        })?;
        let is_sizeless = metadata.len() == 0;
        let max = if is_sizeless { u64::MAX } else { rest };
        let remaining = self.count.unwrap_or(max).min(max);
        Ok(FileRange { file, offset: self.offset, remaining, is_sizeless })
    }

    fn failure(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        Failure::new(Phase::File, self.path.display(), why)
    }

    /// Sends the next bytes; returns 0 at the end of the file.
    fn send_chunk(&self, connection: &mut Connection, range: &FileRange) -> Result<usize, Failure> {
        #[cfg(target_os = "linux")]
        if let Some(socket) = connection.stream.writer.plain_fd()
            && connection.stream.writer.observation() < Observation::Bytes
        {
            use crate::transfer::splice::is_refusal;
            use rustix::io::Errno;
            let mut offset = range.offset;
            let max = usize::try_from(range.remaining).unwrap_or(SENDFILE_SIZE).min(SENDFILE_SIZE);
            match rustix::fs::sendfile(socket, range.file.as_fd(), Some(&mut offset), max) {
                Ok(n) => {
                    connection.bytes_out += n as u64;
                    if n > 0 {
                        connection.stream.writer.on_sendfile(range.offset, n);
                    }
                    return Ok(n);
                }
                // Not supported by the file system: read and write instead.
                Err(e) if is_refusal(&e.into()) => {}
                Err(Errno::INTR) => return self.send_chunk(connection, range),
                Err(e @ Errno::IO) => return Err(self.failure(io::Error::from(e))),
                Err(e) => return Err(connection.send_failed(e.into())),
            }
        }
        let max = usize::try_from(range.remaining).unwrap_or(CHUNK_SIZE).min(CHUNK_SIZE);
        let mut bytes = vec![0; max];
        let n = range.file.read_at(&mut bytes, range.offset).map_err(|e| self.failure(e))?;
        connection.write_all(&bytes[..n])?;
        Ok(n)
    }

    fn send(&self, connection: &mut Connection) -> Result<(), Failure> {
        let mut range = self.open()?;
        let total = range.remaining;
        while range.remaining > 0 {
            let n = self.send_chunk(connection, &range)?;
            if n == 0 && range.is_sizeless {
                break;
            }
            if n == 0 {
                let sent = total - range.remaining;
                let why = format!("the file became shorter: {sent} of {total} bytes were sent");
                return Err(self.failure(why));
            }
            range.offset += n as u64;
            range.remaining -= n as u64;
        }
        Ok(())
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
