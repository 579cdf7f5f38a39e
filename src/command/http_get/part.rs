//! A file on its way: bytes gather in `FILE.part`, which becomes FILE when it is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::memory::Memory;
use crate::failure::{Code, Failure, Stage};
use crate::net::unix::directory_of;

/// A file being written.
#[derive(Debug)]
pub struct Part {
    file: File,
    /// What is written to; the target itself where it cannot be replaced (a device, a pipe).
    path: PathBuf,
    target: Option<PathBuf>,
    memory: Memory,
}

impl Part {
    /// Opens the part of `target` and goes on at byte `start` of it, or begins anew at 0. The
    /// part remembers `memory` from here on, whatever may end us.
    ///
    /// Fails at [`Stage::File`] with code 23.
    pub fn open(target: &Path, start: u64, memory: Memory) -> Result<Part, Failure> {
        let target = through_links(target);
        let found = fs::metadata(&target).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let file = OpenOptions::new().write(true).open(&target);
            return Ok(Part {
                file: file.map_err(|e| failed(&target, e))?,
                path: target,
                target: None,
                memory,
            });
        }
        let path = part_of(&target);
        let mut options = OpenOptions::new();
        // Nobody else gets to choose what we write to by a link in our place.
        options.write(true).create(true).truncate(start == 0).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(|e| failed(&path, e))?;
        let mut part = Part { file, path, target: Some(target), memory };
        part.memory.tell(&part.file);
        if let Some(found) = found {
            let _ = part.file.set_permissions(found.permissions());
        }
        part.file.seek(SeekFrom::Start(start)).map_err(|e| part.failed(e))?;
        Ok(part)
    }

    /// Writes all of `bytes`. Fails at [`Stage::File`] with code 23 (disk full).
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|e| self.failed(e))
    }

    /// The descriptor, for the kernel to write to.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What is written to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a later run can go on where this one ends.
    pub fn can_be_continued(&self) -> bool {
        self.memory.can_be_continued()
    }

    /// Everything came: the part becomes the target.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|e| self.failed(e))?;
        if self.memory != Memory::Lone {
            self.memory = Memory::Unnamed;
        }
        if self.target.is_some() {
            self.memory.tell(&self.file);
            self.memory.date(&self.file);
        }
        self.move_on()
    }

    /// The transfer broke: the part stays, with what it is part of, or becomes the target anyway.
    pub fn keep(self, as_target: bool) -> Result<(), Failure> {
        if self.target.is_some() {
            self.memory.date(&self.file);
        }
        if as_target { self.move_on() } else { Ok(()) }
    }

    fn move_on(self) -> Result<(), Failure> {
        let Some(target) = &self.target else { return Ok(()) };
        fs::rename(&self.path, target).map_err(|e| failed(target, e))
    }

    /// A failure of the file (23).
    pub fn failed(&self, e: io::Error) -> Failure {
        failed(&self.path, e)
    }
}

/// Where the part of `target` is.
pub fn part_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(".part");
    PathBuf::from(name)
}

/// The file behind symbolic links, which the user put there to be written through, even if it is
/// not there yet.
pub fn through_links(target: &Path) -> PathBuf {
    /// More than the kernel itself would follow.
    const LINKS: usize = 40;
    let mut path = target.to_path_buf();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = directory_of(&path).join(next),
            Err(_) => return path,
        }
    }
    target.to_path_buf()
}

/// The directory in which the part of `target` is made; `None` when what stands there is no plain
/// file.
pub fn folder_of(target: &Path) -> Option<PathBuf> {
    let target = through_links(target);
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return None;
    }
    Some(directory_of(&target).to_path_buf())
}

/// The failure of the file at `path` (23).
pub fn failed(path: &Path, e: io::Error) -> Failure {
    Failure::new(Stage::File, path.display(), e).with_code(Code::Write)
}

#[cfg(test)]
mod tests {
    use super::super::standing::Standing;
    use super::*;

    #[test]
    fn a_part_becomes_the_target_only_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        fs::write(&target, "old").unwrap();
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        let mut part = Part::open(&target, 0, Memory::Named(date.into())).unwrap();
        part.write(b"new").unwrap();
        part.keep(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");

        let standing = Standing::find(&target).unwrap();
        assert_eq!(standing.length, 3);
        assert_eq!(standing.validator, date);
        let mut part = Part::open(&target, 3, standing.memory).unwrap();
        part.write(b"er").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"newer");
        assert!(!place.path().join("f.part").exists());
    }

    #[test]
    fn a_link_is_written_through_even_where_it_leads_to_nothing_yet() {
        let place = tempfile::tempdir().unwrap();
        let (link, behind) = (place.path().join("link"), place.path().join("behind"));
        std::os::unix::fs::symlink("behind", &link).unwrap();
        assert_eq!(folder_of(&link).unwrap(), place.path());
        let mut part = Part::open(&link, 0, Memory::Unnamed).unwrap();
        part.write(b"x").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&behind).unwrap(), b"x");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn devices_are_written_to_directly() {
        let mut part = Part::open(Path::new("/dev/null"), 0, Memory::Lone).unwrap();
        part.write(b"x").unwrap();
        part.finish().unwrap();
        assert!(!Path::new("/dev/null.part").exists());
    }

    #[test]
    fn a_link_in_the_parts_place_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        std::os::unix::fs::symlink(place.path().join("victim"), place.path().join("f.part"))
            .unwrap();
        assert_eq!(Part::open(&target, 0, Memory::Unnamed).unwrap_err().code, Code::Write);
        assert!(!place.path().join("victim").exists());
    }
}
