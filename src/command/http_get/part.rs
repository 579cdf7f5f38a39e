//! A file on its way: bytes gather in `FILE.part`, which becomes FILE when it is whole.
//!
//! A part remembers what it is part of, so that a later run can go on where it ends: the
//! validator (an ETag, or a date) in an extended attribute, the date in the file's own time too.
//! What no run can go on with is marked there as well.

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
/// What it holds instead where nothing can be gone on with: no validator looks like this.
const LONE: &str = "lone";

/// What a file remembers of where its bytes are from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Memory {
    /// They are the beginning of what this validator names: an ETag in quotes, or a date.
    Named(String),
    /// They are the beginning of something that has no name but the time they came.
    #[default]
    Unnamed,
    /// They are decoded: the whole is like any other, a part of it nothing to go on with.
    Decoded,
    /// They stand alone, whole or not: a piece from the middle, an answer as it came, a page that
    /// tells of an error.
    Lone,
}

impl Memory {
    /// Whether a later run can go on where a part ends.
    pub fn can_be_continued(&self) -> bool {
        matches!(self, Memory::Named(_) | Memory::Unnamed)
    }
}

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
        part.remember();
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
        match self.memory {
            Memory::Lone => self.date(),
            _ => self.memory = Memory::Unnamed,
        }
        self.remember();
        self.move_on()
    }

    /// The transfer broke: the part stays, with what it is part of, or becomes the target anyway.
    pub fn keep(self, as_target: bool) -> Result<(), Failure> {
        self.date();
        if as_target { self.move_on() } else { Ok(()) }
    }

    /// Tells the extended attribute.
    fn remember(&self) {
        if self.target.is_none() {
            return;
        }
        let word = match &self.memory {
            Memory::Named(validator) => validator,
            Memory::Decoded | Memory::Lone => LONE,
            Memory::Unnamed => {
                let _ = rustix::fs::fremovexattr(&self.file, ATTRIBUTE);
                return;
            }
        };
        let flags = rustix::fs::XattrFlags::empty();
        let _ = rustix::fs::fsetxattr(&self.file, ATTRIBUTE, word.as_bytes(), flags);
    }

    /// Tells the file's time, for file systems without attributes and programs without a sense
    /// for ours; the epoch is the date of nothing.
    fn date(&self) {
        if self.target.is_none() {
            return;
        }
        match &self.memory {
            Memory::Named(validator) => {
                if let Ok(date) = chrono::DateTime::parse_from_rfc2822(validator) {
                    let _ = self.file.set_modified(SystemTime::from(date));
                }
            }
            Memory::Unnamed => {}
            Memory::Decoded | Memory::Lone => {
                if attribute_of(|value| rustix::fs::fgetxattr(&self.file, ATTRIBUTE, value))
                    .is_none()
                {
                    let _ = self.file.set_modified(SystemTime::UNIX_EPOCH);
                }
            }
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
    /// The server gave us the validator; else it is the file's own time.
    named: bool,
    /// The file itself holds them, not its part.
    is_target: bool,
}

impl Standing {
    /// What is there of `target` to go on with: its part, or what a run with `--keep-partial`
    /// left.
    pub fn find(target: &Path) -> Option<Standing> {
        let target = through_links(target);
        let part = part_of(&target);
        let stands = |path: &Path| {
            fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0)
        };
        match (stands(&part), stands(&target)) {
            (true, _) => Standing::look(&part, false),
            (false, true) => Standing::look(&target, true),
            (false, false) => None,
        }
    }

    fn look(path: &Path, is_target: bool) -> Option<Standing> {
        let found = fs::symlink_metadata(path).ok()?;
        let (length, modified) = (found.len(), found.modified().ok()?);
        let told = attribute_of(|value| rustix::fs::getxattr(path, ATTRIBUTE, value));
        let named = told.is_some();
        let validator = match told {
            Some(word) if word == LONE => return None,
            Some(validator) => validator,
            None if modified == SystemTime::UNIX_EPOCH => return None,
            None => http_date(modified),
        };
        Some(Standing { length, validator, named, is_target })
    }

    /// What a part remembers that goes on with this.
    pub fn memory(&self) -> Memory {
        match self.named {
            true => Memory::Named(self.validator.clone()),
            false => Memory::Unnamed,
        }
    }

    /// Whether `etag` or `changed`, a date, of an answer tell that it is of something else.
    pub fn differs(&self, etag: Option<&[u8]>, changed: Option<&[u8]>) -> bool {
        let told = if self.validator.starts_with('"') { etag } else { changed };
        self.named && told.is_some_and(|told| told != self.validator.as_bytes())
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

/// The attribute that `get` puts into its buffer, if there is one that makes sense.
fn attribute_of(get: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>) -> Option<String> {
    let mut value = [0; 512];
    let length = get(&mut value).ok()?;
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

/// The file behind symbolic links, which the user put there to be written through, even if it is
/// not there yet.
fn through_links(target: &Path) -> PathBuf {
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
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        let mut part = Part::open(&target, 0, Memory::Named(date.into())).unwrap();
        part.write(b"new").unwrap();
        part.keep(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");

        let standing = Standing::find(&target).unwrap();
        assert_eq!(standing.length, 3);
        assert_eq!(standing.validator, date);
        let mut part = Part::open(&target, 3, standing.memory()).unwrap();
        part.write(b"er").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"newer");
        assert!(!place.path().join("f.part").exists());
    }

    #[test]
    fn what_stands_alone_is_never_gone_on_with() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        for (memory, part_stands, whole_stands) in [
            (Memory::Unnamed, true, true),
            (Memory::Decoded, false, true),
            (Memory::Lone, false, false),
        ] {
            let write = || {
                let mut part = Part::open(&target, 0, memory.clone()).unwrap();
                part.write(b"new").unwrap();
                part
            };
            write().keep(false).unwrap();
            assert_eq!(Standing::find(&target).is_some(), part_stands, "{memory:?}");
            write().finish().unwrap();
            assert_eq!(Standing::find(&target).is_some(), whole_stands, "{memory:?}");
        }
        // As a file system without attributes keeps it.
        let _ = rustix::fs::removexattr(&target, ATTRIBUTE);
        fs::File::options()
            .write(true)
            .open(&target)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(Standing::find(&target), None);
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
