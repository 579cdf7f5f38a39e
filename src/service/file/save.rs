//! Saves what each connection sends in a new file. No file is overwritten, and the file is on the
//! disk before the connection is closed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Failure;
use crate::net::address::Address;
use crate::net::stdio::FdStream;
use crate::net::stream::EndedBy;
use crate::service::{Connection, Service, ServiceOutcome};
use crate::transfer::{TransferError, TransferOptions, pump};

/// The limit of names that are tried for one time and peer.
const MAX_NAMES: u32 = 1000;

/// The file service that saves.
#[derive(Debug)]
pub struct SaveFile {
    folder: PathBuf,
}

impl SaveFile {
    /// Saves into `folder`.
    ///
    /// Fails at `Phase::File` with code 23 when it is not a directory or not writable.
    pub fn new(folder: &Path) -> Result<SaveFile, Failure> {
        let save = SaveFile { folder: folder.to_path_buf() };
        let failed = |e| save.failure(folder, e);
        if !fs::metadata(folder).map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from_raw_os_error(libc::ENOTDIR)));
        }
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::access(folder, access).map_err(|e| failed(e.into()))?;
        Ok(save)
    }

    fn failure(&self, path: &Path, e: io::Error) -> Failure {
        Failure::write_file(path.display(), e)
    }

    /// Creates a file for this connection; its name ends in `.part` until it is complete.
    fn create(&self, connection: &Connection) -> Result<(File, PathBuf), Failure> {
        let name = format!("{}-{}", now(), peer_name(&connection.info().peer, connection.conn));
        for nth in 1..=MAX_NAMES {
            let path = self.folder.join(numbered(&name, nth) + ".part");
            // Only the user who runs the server may read what a client sent.
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok((file, path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(self.failure(&path, e)),
            }
        }
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(self.failure(&self.folder.join(name), taken))
    }

    /// Gives a complete file its final name, which no other file has.
    fn rename(&self, part: &Path) -> io::Result<PathBuf> {
        let name = part.file_stem().and_then(|name| name.to_str()).unwrap_or("part");
        for nth in 1..=MAX_NAMES {
            let path = self.folder.join(numbered(name, nth));
            match rename_to_new(part, &path) {
                Ok(()) => return Ok(path),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn save(&self, connection: &mut Connection) -> Result<PathBuf, Failure> {
        let (file, part) = self.create(connection)?;
        let mut flow = TransferOptions::default();
        let mut file = FdStream(OwnedFd::from(file));
        let result = pump(connection.stream.reader.as_mut(), &mut file, &mut flow);
        connection.bytes_in = flow.meter.total();
        match result {
            Ok(()) => connection.half_closed(EndedBy::Peer),
            Err(TransferError::Read(e)) => return Err(connection.receive_failed(e)),
            Err(TransferError::Write(e)) => return Err(self.failure(&part, e)),
        }
        connection
            .stream
            .handle
            .check_truncation(&connection.stream.info.peer, connection.bytes_in)?;
        let path = rustix::fs::fsync(&file.0).map_err(io::Error::from).and_then(|()| {
            let path = self.rename(&part)?;
            // The name is stored in the directory, which must reach the disk too (fsync(2)).
            File::open(&self.folder)?.sync_all()?;
            Ok(path)
        });
        path.map_err(|e| self.failure(&part, e))
    }
}

impl Service for SaveFile {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        match self.save(connection) {
            Ok(path) => {
                let by = connection.close_gracefully()?;
                let saved = Some(path.display().to_string());
                Ok(ServiceOutcome { by, exit_status: None, saved })
            }
            Err(failure) => {
                connection.stream.handle.abort();
                Err(failure)
            }
        }
    }
}

fn numbered(name: &str, nth: u32) -> String {
    if nth == 1 { name.to_string() } else { format!("{name}-{nth}") }
}

/// The local time with microseconds, in characters that every file system accepts.
fn now() -> impl std::fmt::Display {
    chrono::Local::now().format("%Y%m%dT%H%M%S.%6f")
}

/// The peer's address in such characters.
fn peer_name(peer: &Address, conn: u64) -> String {
    match peer.inet() {
        Some(peer) => format!("{}-{}", peer.ip().to_string().replace([':', '%'], "_"), peer.port()),
        None => format!("connection-{conn}"),
    }
}

/// `rename(2)` that fails if the target exists.
#[cfg(target_os = "linux")]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => link_to_new(from, to),
        done => Ok(done?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    link_to_new(from, to)
}

fn link_to_new(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn existing_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let save = SaveFile::new(folder.path()).unwrap();
        let part = folder.path().join("a.part");
        for expected in ["a", "a-2", "a-3"] {
            fs::write(&part, expected).unwrap();
            assert_eq!(save.rename(&part).unwrap(), folder.path().join(expected));
        }
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"a");
        for rename in [rename_to_new, link_to_new] {
            fs::write(&part, "x").unwrap();
            let error = rename(&part, &folder.path().join("a")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
    }

    #[test]
    fn missing_directory_is_write_error() {
        for path in ["/no/such/folder", "/etc/passwd"] {
            assert_eq!(SaveFile::new(Path::new(path)).unwrap_err().code, ExitCode::Write);
        }
    }

    #[test]
    fn peer_address_becomes_file_name() {
        let peer: std::net::SocketAddr = "[fe80::1]:80".parse().unwrap();
        assert_eq!(peer_name(&Address::Inet(peer), 1), "fe80__1-80");
        assert_eq!(peer_name(&Address::Unnamed, 7), "connection-7");
    }
}
