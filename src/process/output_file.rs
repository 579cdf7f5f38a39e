//! Output files, opened so that another user of the machine cannot choose what is overwritten.
//!
//! A file that the user names ([`open`]) may be anything, also behind symbolic links; but in a
//! directory where other users can create files, what another user has put there is refused.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat, fstat, readlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::directory_entry::{DirectoryEntry, MAX_TRIES, directory_of, in_use, refused};

/// Symbolic links that are followed, as many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Opens the file at `path` that the user named, by `flags`; a new one gets `mode` less the umask.
///
/// Fails as open(2) does, and on a file of another user in a directory where other users can create
/// files.
pub fn open(path: &Path, flags: OFlags, mode: u32) -> io::Result<File> {
    let entry = DirectoryEntry::of(&follow_links(path)?)?;
    match shared_directory(&entry)? {
        Some(owner) => open_shared(&entry, owner, flags, mode),
        None => entry.open_at(flags, mode),
    }
}

/// The path behind symbolic links at the end of `path`, even if nothing is there yet.
///
/// Fails on a link of another user in a directory where other users can create files.
pub fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(entry) = DirectoryEntry::of(&path) else { return Ok(path) };
        let link = entry.stat()?.filter(|s| FileType::from_raw_mode(s.st_mode).is_symlink());
        let Some(link) = link else { return Ok(path) };
        if shared_directory(&entry)?.is_some() && !is_trusted(link.st_uid) {
            return Err(refused("it is a symbolic link that another user has made"));
        }
        let text = readlinkat(&entry.directory, &entry.name, Vec::new())?;
        let next = directory_of(&path).join(OsString::from_vec(text.into_bytes()));
        // Links of /proc lead to what has no path.
        if next.symlink_metadata().is_err() && path.metadata().is_ok() {
            return Ok(path);
        }
        path = next;
    }
    Err(Errno::LOOP.into())
}

/// Returns the owner of the directory, if users other than the current one and root can create
/// files in it.
fn shared_directory(entry: &DirectoryEntry) -> io::Result<Option<u32>> {
    let directory = fstat(&entry.directory)?;
    let is_shared = directory.st_mode & 0o022 != 0 || !is_trusted(directory.st_uid);
    Ok(is_shared.then_some(directory.st_uid))
}

/// Opens the file in a directory of `owner` where other users can create files.
fn open_shared(entry: &DirectoryEntry, owner: u32, flags: OFlags, mode: u32) -> io::Result<File> {
    for _ in 0..MAX_TRIES {
        let Some(found) = entry.stat()? else {
            match entry.open_at(flags | OFlags::EXCL, mode) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                created => return created,
            }
        };
        check_shared(&found, owner)?;
        let is_fifo = FileType::from_raw_mode(found.st_mode) == FileType::Fifo;
        let wait = if is_fifo { OFlags::empty() } else { OFlags::NONBLOCK };
        let existing = flags.difference(OFlags::CREATE | OFlags::TRUNC);
        let file = entry.open_at(existing | OFlags::NOFOLLOW | wait, 0)?;
        check_shared(&fstat(&file)?, owner)?;
        if flags.contains(OFlags::TRUNC) && file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        return Ok(file);
    }
    Err(in_use())
}

fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// Checks a file in a directory of `owner`, who may create any file there.
fn check_shared(found: &Stat, owner: u32) -> io::Result<()> {
    let kind = FileType::from_raw_mode(found.st_mode);
    // Only root makes devices; in a user namespace root's own files seem to be of another user.
    if kind.is_char_device() || kind.is_block_device() {
        return Ok(());
    }
    let is_regular = kind.is_file();
    if !is_trusted(found.st_uid) && (found.st_uid != owner || !is_regular) {
        return Err(refused("another user has put it into a directory that others can write to"));
    }
    if is_regular && found.st_nlink > 1 {
        let why = "it has another name too (a hard link), in a directory that others can write to";
        return Err(refused(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::directory_entry::is_refusal;
    use crate::process::directory_entry::tests::place;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn hard_link_is_refused_in_shared_directories() {
        let (place, path) = place();
        let other = place.path().join("other");
        fs::write(&other, "precious").unwrap();
        fs::hard_link(&other, &path).unwrap();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o1777)).unwrap();
        assert!(is_refusal(&open(&path, flags, 0o666).unwrap_err()));
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o700)).unwrap();
        open(&path, flags, 0o666).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"");
    }

    #[test]
    fn own_links_and_those_of_the_kernel_are_followed() {
        let (place, path) = place();
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o1777)).unwrap();
        symlink("behind", &path).unwrap();
        assert_eq!(follow_links(&path).unwrap(), place.path().join("behind"));
        open(&path, OFlags::WRONLY | OFlags::CREATE, 0o600).unwrap();
        assert!(place.path().join("behind").exists());
        symlink("f", place.path().join("behind2")).unwrap();
        fs::remove_file(&path).unwrap();
        symlink("behind2", &path).unwrap();
        assert_eq!(follow_links(&path).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert!(open(Path::new("/dev/null"), OFlags::WRONLY | OFlags::TRUNC, 0).is_ok());
    }
}
