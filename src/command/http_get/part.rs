//! A file on its way: bytes gather in `FILE.part`, which becomes FILE when it is whole.
//!
//! A part remembers what it is part of, so that a later run can go on where it ends: the
//! validator (an ETag, or a date) in an extended attribute, the date in the file's own time too.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::failure::{Code, Failure, Stage};
use crate::net::unix::directory_of;

/// The extended attribute that holds the validator.
const ATTRIBUTE: &str = "user.sockit.validator";

/// A file being written.
#[derive(Debug)]
pub struct Part {
    file: File,
    /// What is written to; the target itself where it cannot be replaced (a device, a pipe).
    path: PathBuf,
    target: Option<PathBuf>,
}

impl Part {
    /// Opens the part of `target` and goes on at byte `start` of it, or begins anew at 0.
    ///
    /// Fails at [`Stage::File`] with code 23.
    pub fn open(target: &Path, start: u64) -> Result<Part, Failure> {
        let target = through_links(target);
        let found = fs::metadata(&target).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let file = OpenOptions::new().write(true).open(&target);
            return Ok(Part {
                file: file.map_err(|e| failed(&target, e))?,
                path: target,
                target: None,
            });
        }
        let path = part_of(&target);
        let mut options = OpenOptions::new();
        // Nobody else gets to choose what we write to by a link in our place.
        options.write(true).create(true).truncate(start == 0).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(|e| failed(&path, e))?;
        let mut part = Part { file, path, target: Some(target) };
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

    /// Everything came: the part becomes the target.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|e| self.failed(e))?;
        if self.target.is_some() {
            let _ = rustix::fs::fremovexattr(&self.file, ATTRIBUTE);
        }
        self.move_on()
    }

    /// The transfer broke: the part stays, with what it is part of, or becomes the target anyway.
    pub fn keep(self, validator: Option<&str>, as_target: bool) -> Result<(), Failure> {
        if self.target.is_some() {
            self.remember(validator);
        }
        if as_target { self.move_on() } else { Ok(()) }
    }

    fn remember(&self, validator: Option<&str>) {
        let Some(validator) = validator else {
            let _ = rustix::fs::fremovexattr(&self.file, ATTRIBUTE);
            return;
        };
        let flags = rustix::fs::XattrFlags::empty();
        // A file system without attributes still keeps the file's time.
        let _ = rustix::fs::fsetxattr(&self.file, ATTRIBUTE, validator.as_bytes(), flags);
        if let Ok(date) = chrono::DateTime::parse_from_rfc2822(validator) {
            let _ = self.file.set_modified(SystemTime::from(date));
        }
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

/// What an earlier run left of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many bytes are there.
    pub length: u64,
    /// What they are part of: an ETag in quotes, or a date.
    pub validator: String,
    /// The file itself holds them, not its part.
    is_target: bool,
}

impl Standing {
    /// What is there of `target`: its part, or what a run with `--keep-partial` left.
    pub fn find(target: &Path) -> Option<Standing> {
        let target = through_links(target);
        let part = Standing::look(&part_of(&target), false);
        part.or_else(|| Standing::look(&target, true))
    }

    fn look(path: &Path, is_target: bool) -> Option<Standing> {
        let found = fs::symlink_metadata(path).ok()?;
        if !found.is_file() || found.len() == 0 {
            return None;
        }
        let validator = match attribute(path) {
            Some(validator) => validator,
            None => http_date(found.modified().ok()?),
        };
        Some(Standing { length: found.len(), validator, is_target })
    }

    /// Makes sure that the part holds what stands, so that it can be gone on with.
    ///
    /// Fails at [`Stage::File`] with code 23.
    pub fn prepare(&self, target: &Path) -> Result<(), Failure> {
        let target = through_links(target);
        let path = part_of(&target);
        if self.is_target {
            fs::copy(&target, &path).map_err(|e| failed(&path, e))?;
        }
        Ok(())
    }

    /// What stands is whole: it becomes the target, if it is not already.
    ///
    /// Fails at [`Stage::File`] with code 23.
    pub fn finish(&self, target: &Path) -> Result<(), Failure> {
        let target = through_links(target);
        match self.is_target {
            true => Ok(()),
            false => {
                let _ = rustix::fs::removexattr(part_of(&target), ATTRIBUTE);
                fs::rename(part_of(&target), &target).map_err(|e| failed(&target, e))
            }
        }
    }
}

fn attribute(path: &Path) -> Option<String> {
    let mut value = [0; 512];
    let length = rustix::fs::getxattr(path, ATTRIBUTE, &mut value[..]).ok()?;
    let text = std::str::from_utf8(value.get(..length)?).ok()?;
    // Whatever put it there: it becomes part of a request.
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_string())
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
fn http_date(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(".part");
    PathBuf::from(name)
}

/// The file behind a symbolic link, which the user put there to be written through.
fn through_links(target: &Path) -> PathBuf {
    let linked = fs::symlink_metadata(target).is_ok_and(|found| found.is_symlink());
    let there = linked.then(|| fs::canonicalize(target).ok()).flatten();
    there.unwrap_or_else(|| target.to_path_buf())
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

fn failed(path: &Path, e: io::Error) -> Failure {
    Failure::new(Stage::File, path.display(), e).with_code(Code::Write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_becomes_the_target_only_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        fs::write(&target, "old").unwrap();
        let mut part = Part::open(&target, 0).unwrap();
        part.write(b"new").unwrap();
        part.keep(Some("Tue, 15 Nov 1994 08:12:31 GMT"), false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");

        let standing = Standing::find(&target).unwrap();
        assert_eq!(standing.length, 3);
        assert_eq!(standing.validator, "Tue, 15 Nov 1994 08:12:31 GMT");
        let mut part = Part::open(&target, 3).unwrap();
        part.write(b"er").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"newer");
        assert!(!place.path().join("f.part").exists());
    }

    #[test]
    fn devices_are_written_to_directly() {
        let mut part = Part::open(Path::new("/dev/null"), 0).unwrap();
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
        assert_eq!(Part::open(&target, 0).unwrap_err().code, Code::Write);
        assert!(!place.path().join("victim").exists());
    }
}
