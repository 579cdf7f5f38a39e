//! A file, or a part of it, to each guest: whole, or visibly not.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Phase};
use crate::net::stream::EndedBy;
use crate::service::{Connection, Service, ServiceOutcome};

/// The most that is sent by one call.
const PIECE: usize = 1 << 20;
/// What is read at once where the kernel cannot send the file by itself.
const COPIED: usize = 256 << 10;

/// Sends `count` bytes of the file from `offset` on, and closes.
#[derive(Debug)]
pub struct Send {
    path: PathBuf,
    offset: u64,
    count: Option<u64>,
}

/// A file open for one guest, and the part of it that is to be sent.
struct FileRange {
    file: File,
    offset: u64,
    left: u64,
    /// Its size says nothing (proc(5)): all of it is what comes until there is no more.
    sizeless: bool,
}

impl Send {
    /// The file at `path`, from `offset` on to its end or for at most `count` bytes. It is opened
    /// anew for each guest.
    ///
    /// Fails at [`Stage::File`] with code 26 when it cannot be read, is no regular file or ends
    /// before `offset`.
    pub fn new(path: &Path, offset: u64, count: Option<u64>) -> Result<Send, Failure> {
        let send = Send { path: path.to_path_buf(), offset, count };
        send.open()?;
        Ok(send)
    }

    fn open(&self) -> Result<FileRange, Failure> {
        let failed = |e: io::Error| self.failure(e);
        // Whoever replaces the file by a FIFO must not make us wait for its writer.
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let file = file.map_err(failed)?;
        let facts = file.metadata().map_err(failed)?;
        if facts.is_dir() {
            return Err(failed(io::Error::from_raw_os_error(libc::EISDIR)));
        }
        if !facts.is_file() {
            return Err(self.failure("not a regular file"));
        }
        let rest = facts.len().checked_sub(self.offset).ok_or_else(|| {
            self.failure(format!("its {} bytes end before --offset", facts.len()))
        })?;
        let sizeless = facts.len() == 0;
        let most = if sizeless { u64::MAX } else { rest };
        let left = self.count.unwrap_or(most).min(most);
        Ok(FileRange { file, offset: self.offset, left, sizeless })
    }

    fn failure(
        &self,
        why: impl Into<Box<dyn std::error::Error + std::marker::Send + Sync>>,
    ) -> Failure {
        Failure::new(Phase::File, self.path.display(), why)
    }

    /// Sends what can be sent at once; 0 when the file has no more.
    fn send_chunk(&self, guest: &mut Connection, part: &FileRange) -> Result<usize, Failure> {
        #[cfg(target_os = "linux")]
        if let Some(socket) = guest.stream.writer.raw() {
            use rustix::io::Errno;
            let mut offset = part.offset;
            let most = usize::try_from(part.left).unwrap_or(PIECE).min(PIECE);
            match rustix::fs::sendfile(socket, part.file.as_fd(), Some(&mut offset), most) {
                Ok(n) => {
                    guest.bytes_out += n as u64;
                    return Ok(n);
                }
                // The file system cannot: the plain way can.
                Err(Errno::INVAL | Errno::NOSYS) => {}
                Err(Errno::INTR) => return self.send_chunk(guest, part),
                Err(e @ Errno::IO) => return Err(self.failure(io::Error::from(e))),
                Err(e) => return Err(guest.send_failed(e.into())),
            }
        }
        let most = usize::try_from(part.left).unwrap_or(COPIED).min(COPIED);
        let mut bytes = vec![0; most];
        let n = part.file.read_at(&mut bytes, part.offset).map_err(|e| self.failure(e))?;
        guest.write_all(&bytes[..n])?;
        Ok(n)
    }

    fn send(&self, guest: &mut Connection) -> Result<(), Failure> {
        let mut part = self.open()?;
        let whole = part.left;
        while part.left > 0 {
            let n = self.send_chunk(guest, &part)?;
            if n == 0 && part.sizeless {
                break;
            }
            if n == 0 {
                let sent = whole - part.left;
                let why = format!("the file became shorter: {sent} of {whole} bytes were sent");
                return Err(self.failure(why));
            }
            part.offset += n as u64;
            part.left -= n as u64;
        }
        Ok(())
    }
}

impl Service for Send {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        if let Err(failure) = self.send(guest) {
            // A clean end would make a part look whole.
            guest.stream.hangup.abort();
            return Err(failure);
        }
        guest.close_gracefully()?;
        Ok(EndedBy::Us.into())
    }
}
