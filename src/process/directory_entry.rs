//! A name in a directory that stays open, whatever other processes rename meanwhile.
//!
//! A file whose name this program makes up (`FILE.part`) must be a regular file of the current user
//! with one name: [`DirectoryEntry::lock_or_create`].

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::fs::{fstat, openat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Attempts to open a name that other processes keep renaming.
pub(super) const MAX_TRIES: usize = 20;
/// Flags for opening a directory, which need no permission to list it.
#[cfg(target_os = "linux")]
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// What a file of the current user is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading; the file may have further names (hard links).
    Read,
    /// Writing; the file may have no further name.
    Write,
}

/// A name in an open directory.
#[derive(Debug, Clone)]
pub struct DirectoryEntry {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) name: OsString,
    path: PathBuf,
}

impl DirectoryEntry {
    /// The last component of `path`, in the directory that the rest leads to now.
    ///
    /// Fails with EISDIR on a path that ends in a slash, as open(2) does.
    pub fn of(path: &Path) -> io::Result<DirectoryEntry> {
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(Errno::ISDIR.into());
        }
        let name = path.file_name().ok_or(Errno::ISDIR)?.to_os_string();
        let directory = openat(rustix::fs::CWD, directory_of(path), DIRECTORY, Mode::empty())?;
        Ok(DirectoryEntry { directory: Arc::new(directory), name, path: path.to_path_buf() })
    }

    /// The entry beside this one whose name ends in `suffix` too.
    pub fn with_suffix(&self, suffix: &str) -> DirectoryEntry {
        let mut entry = self.clone();
        entry.name.push(suffix);
        entry.path.as_mut_os_string().push(suffix);
        entry
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file that is there, if one is; never waits, not for the reader of a FIFO either.
    ///
    /// Fails if it is not a regular file of the current user.
    pub fn open_own(&self, access: Access) -> io::Result<Option<File>> {
        let Some(found) = self.stat()? else { return Ok(None) };
        // Opening a device or a FIFO may have effects of its own.
        check_own(&found, access)?;
        let mode = if access == Access::Read { OFlags::RDONLY } else { OFlags::WRONLY };
        match self.open_at(mode | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0) {
            Ok(file) => {
                check_own(&fstat(&file)?, access)?;
                Ok(Some(file))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Opens the file that is there for writing, if one is, and locks it until the last copy of
    /// the descriptor is closed.
    ///
    /// Fails as [`DirectoryEntry::open_own`] does, and if another process holds the lock.
    pub fn lock_existing(&self) -> io::Result<Option<File>> {
        for _ in 0..MAX_TRIES {
            let Some(file) = self.open_own(Access::Write)? else { return Ok(None) };
            lock(&file)?;
            // The process that held the lock may have given the file another name.
            if self.is(&file)? {
                return Ok(Some(file));
            }
        }
        Err(in_use())
    }

    /// As [`DirectoryEntry::lock_existing`], for a new file if none is there.
    pub fn lock_or_create(&self) -> io::Result<File> {
        for _ in 0..MAX_TRIES {
            if let Some(file) = self.lock_existing()? {
                return Ok(file);
            }
            match self.open_at(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o666) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                created => {
                    let file = created?;
                    lock(&file)?;
                    return Ok(file);
                }
            }
        }
        Err(in_use())
    }

    /// Renames it; a file of the new name is replaced.
    pub fn rename(&self, to: &DirectoryEntry) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.directory, &self.name, &to.directory, &to.name)?)
    }

    /// Removes it.
    pub fn remove(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty())?)
    }

    /// The entry itself, not what it links to.
    pub(super) fn stat(&self) -> io::Result<Option<Stat>> {
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    fn is(&self, file: &File) -> io::Result<bool> {
        let opened = fstat(file)?;
        let found = self.stat()?;
        Ok(found.is_some_and(|f| (f.st_dev, f.st_ino) == (opened.st_dev, opened.st_ino)))
    }

    pub(super) fn open_at(&self, flags: OFlags, mode: u32) -> io::Result<File> {
        let mode = Mode::from_raw_mode(mode as _);
        Ok(openat(&self.directory, &self.name, flags | OFlags::CLOEXEC, mode)?.into())
    }
}

/// The directory that `path` is in.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether `error` is a refusal of this module, rather than the system's.
pub fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() == io::ErrorKind::PermissionDenied
}

fn lock(file: &File) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(in_use()),
        // Or a file system without locks.
        _ => Ok(()),
    }
}

fn check_own(found: &Stat, access: Access) -> io::Result<()> {
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return Err(refused("it is a symbolic link")),
        _ => return Err(refused("it is not a regular file")),
    }
    if found.st_uid != geteuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    if access == Access::Write && found.st_nlink > 1 {
        return Err(refused("it has another name too (a hard link)"));
    }
    Ok(())
}

pub(super) fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

pub(super) fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another run is writing it")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A temporary directory, and the path of a file in it that does not exist.
    pub fn place() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        (place, path)
    }

    fn fifo(path: &Path) {
        use rustix::fs::{CWD, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    }

    #[test]
    fn only_a_regular_file_with_one_name_is_opened() {
        let (place, path) = place();
        let other = place.path().join("other");
        fs::write(&other, "precious").unwrap();
        let plants: [(&dyn Fn(), &str); 4] = [
            (&|| symlink(&other, &path).unwrap(), "symbolic link"),
            (&|| fs::hard_link(&other, &path).unwrap(), "hard link"),
            (&|| fifo(&path), "not a regular file"),
            (&|| fs::create_dir(&path).unwrap(), "not a regular file"),
        ];
        for (plant, why) in plants {
            plant();
            let error = DirectoryEntry::of(&path).unwrap().lock_or_create().unwrap_err();
            assert!(is_refusal(&error) && error.to_string().contains(why), "{error}");
            let _ = fs::remove_file(&path);
        }
        assert_eq!(fs::read(&other).unwrap(), b"precious");
    }

    #[test]
    fn name_that_ends_in_a_slash_is_a_directory() {
        let (place, _path) = place();
        let error = DirectoryEntry::of(&place.path().join("new/")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn lock_lasts_until_the_file_is_closed() {
        let (_place, path) = place();
        let entry = DirectoryEntry::of(&path).unwrap();
        assert!(entry.lock_existing().unwrap().is_none());
        let held = entry.lock_or_create().unwrap();
        let error = entry.lock_or_create().unwrap_err();
        assert!(error.to_string().contains("another run"), "{error}");
        drop(held);
        assert!(entry.lock_existing().unwrap().is_some());
    }
}
