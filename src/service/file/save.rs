//! A file from each guest, in a folder of ours: new, never overwritten, and on the disk before
//! the guest is told that we have it.

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

/// Names of one moment and peer that are tried before we give up.
const TRIES: u32 = 1000;

/// Saves what each guest sends.
#[derive(Debug)]
pub struct Save {
    folder: PathBuf,
}

impl Save {
    /// Saves into `folder`.
    ///
    /// Fails at [`Stage::File`] with code 23 when it is no folder or we may not write there.
    pub fn new(folder: &Path) -> Result<Save, Failure> {
        let save = Save { folder: folder.to_path_buf() };
        let failed = |e| save.failure(folder, e);
        if !fs::metadata(folder).map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from_raw_os_error(libc::ENOTDIR)));
        }
        let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::access(folder, wanted).map_err(|e| failed(e.into()))?;
        Ok(save)
    }

    fn failure(&self, path: &Path, e: io::Error) -> Failure {
        Failure::write_file(path.display(), e)
    }

    /// A new file for this guest. Until it is whole it is called a part.
    fn create(&self, guest: &Connection) -> Result<(File, PathBuf), Failure> {
        let name = format!("{}-{}", now(), target_path(&guest.facts().peer, guest.conn));
        for nth in 1..=TRIES {
            let path = self.folder.join(numbered(&name, nth) + ".part");
            // What a client sent is for the user who runs the server.
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

    /// The part is whole: gives it its name, which nobody has.
    fn name(&self, part: &Path) -> io::Result<PathBuf> {
        let name = part.file_stem().and_then(|name| name.to_str()).unwrap_or("part");
        for nth in 1..=TRIES {
            let path = self.folder.join(numbered(name, nth));
            match rename_to_new(part, &path) {
                Ok(()) => return Ok(path),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn save(&self, guest: &mut Connection) -> Result<PathBuf, Failure> {
        let (file, part) = self.create(guest)?;
        let mut flow = TransferOptions::default();
        let mut file = FdStream(OwnedFd::from(file));
        let moved = pump(guest.stream.reader.as_mut(), &mut file, &mut flow);
        guest.bytes_in = flow.meter.total();
        match moved {
            Ok(()) => guest.half_closed(EndedBy::Peer),
            Err(TransferError::Read(e)) => return Err(guest.receive_failed(e)),
            Err(TransferError::Write(e)) => return Err(self.failure(&part, e)),
        }
        guest.stream.hangup.check_truncation(&guest.stream.facts.peer, guest.bytes_in)?;
        let path = rustix::fs::fsync(&file.0).map_err(io::Error::from).and_then(|()| {
            let path = self.name(&part)?;
            // The name is in the folder, and the folder too must reach the disk.
            File::open(&self.folder)?.sync_all()?;
            Ok(path)
        });
        path.map_err(|e| self.failure(&part, e))
    }
}

impl Service for Save {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        match self.save(guest) {
            Ok(path) => {
                let by = guest.ended_by();
                guest.close_gracefully()?;
                let saved = Some(path.display().to_string());
                Ok(ServiceOutcome { by, exit_status: None, saved })
            }
            Err(failure) => {
                guest.stream.hangup.abort();
                Err(failure)
            }
        }
    }
}

fn numbered(name: &str, nth: u32) -> String {
    if nth == 1 { name.to_string() } else { format!("{name}-{nth}") }
}

/// The local time, down to the microsecond, in characters that every file system takes.
fn now() -> impl std::fmt::Display {
    chrono::Local::now().format("%Y%m%dT%H%M%S.%6f")
}

/// The peer in such characters.
fn target_path(peer: &Address, conn: u64) -> String {
    match peer.inet() {
        Some(peer) => format!("{}-{}", peer.ip().to_string().replace([':', '%'], "_"), peer.port()),
        None => format!("connection-{conn}"),
    }
}

/// `rename(2)`, except that a file that is there already stays.
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
    fn a_name_that_is_taken_stays_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let save = Save::new(folder.path()).unwrap();
        let part = folder.path().join("a.part");
        for expected in ["a", "a-2", "a-3"] {
            fs::write(&part, expected).unwrap();
            assert_eq!(save.name(&part).unwrap(), folder.path().join(expected));
        }
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"a");
        for rename in [rename_to_new, link_to_new] {
            fs::write(&part, "x").unwrap();
            let error = rename(&part, &folder.path().join("a")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
    }

    #[test]
    fn only_a_folder_we_may_write_to_will_do() {
        for path in ["/no/such/folder", "/etc/passwd"] {
            assert_eq!(Save::new(Path::new(path)).unwrap_err().code, ExitCode::Write);
        }
    }

    #[test]
    fn peers_make_harmless_names() {
        let peer: std::net::SocketAddr = "[fe80::1]:80".parse().unwrap();
        assert_eq!(target_path(&Address::Inet(peer), 1), "fe80__1-80");
        assert_eq!(target_path(&Address::Unnamed, 7), "connection-7");
    }
}
