//! A file on its way: bytes gather in `FILE.part`, which becomes FILE when it is whole.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::resume::{ResumePoint, Source};
use super::resume_tag::{ResumeTag, Validators};
use crate::error::{Failure, Phase};
use crate::process::output_file;
use crate::process::output_file::directory_of;
use crate::process::output_file::{Entry, follow_links};
use crate::shutdown::Shutdown;

/// What the name of a part ends in.
pub const PART: &str = ".part";
/// What the name of a body ends in while the part of an earlier run is kept beside it.
const NEW: &str = ".new";

/// How often a FIFO is tried again that has no reader yet: there is nothing to poll.
const AGAIN: Duration = Duration::from_millis(20);

/// Where in its file a body begins.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// At the first byte; a part that is there is replaced.
    First,
    /// At the first byte, with `--continue`; what is there stays until there is more of the new.
    Again(Option<&'a ResumePoint>),
    /// Behind what is there.
    Behind(&'a ResumePoint),
}

/// What a file is to remember of its body.
#[derive(Debug, Clone, Default)]
pub struct Save {
    /// While it is a part.
    pub memory: ResumeTag,
    /// When it is complete.
    pub validators: Validators,
}

/// A file being written.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    /// None where the target itself is written, which cannot be replaced (a device, a pipe).
    names: Option<Names>,
    path: PathBuf,
    save: Save,
}

/// The names of a file being written.
#[derive(Debug)]
struct Names {
    /// Its name now.
    written: Entry,
    /// Its name if the transfer breaks.
    part: Entry,
    /// Its name when it is complete.
    target: Entry,
    /// The part of an earlier run under that name, which is not to become shorter.
    earlier: Option<File>,
    /// The target, too, is not to become shorter.
    continues: bool,
}

impl PartialFile {
    /// Opens the part of `target`, or a new one. The part remembers from here on what it is part
    /// of, however this run ends, and is locked until it is closed.
    ///
    /// Fails at [`Stage::File`] with code 23, also for a file of another user and one that another
    /// run is writing.
    pub fn open(
        target: &Path,
        start: Start<'_>,
        save: Save,
        stop: &Shutdown,
    ) -> Result<PartialFile, Failure> {
        let target = follow_links(target).map_err(|e| failed(target, e))?;
        let found = fs::metadata(&target).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let file = open_in_place(&target, stop)?;
            return Ok(PartialFile { file, names: None, path: target, save });
        }
        let entry = Entry::of(&target).map_err(|e| failed(&target, e))?;
        let (file, names) = open_part(entry, start)?;
        save.memory.store(&file);
        if let Some(found) = found {
            let _ = file.set_permissions(Permissions::from_mode(mode_like(&found)));
        }
        let path = names.written.path().to_path_buf();
        Ok(PartialFile { file, names: Some(names), path, save })
    }

    /// Writes all of `bytes`. Fails at [`Stage::File`] with code 23 (disk full).
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|e| self.failed(e))
    }

    /// The descriptor, for the kernel to write to.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether a later run can go on where this one ends.
    pub fn can_be_continued(&self) -> bool {
        self.save.memory.can_be_continued()
    }

    /// Everything came: the part becomes the target.
    pub fn finish(self) -> Result<(), Failure> {
        let Some(names) = &self.names else { return Ok(()) };
        self.save.memory.complete(&self.file, &self.save.validators);
        names.written.rename(&names.target).map_err(|e| failed(names.target.path(), e))?;
        match names.earlier {
            Some(_) => names.part.remove().map_err(|e| failed(names.part.path(), e)),
            None => Ok(()),
        }
    }

    /// The transfer broke: the part stays, with what it is part of, or becomes the target anyway.
    /// Returns where the bytes are; none if an earlier run left more.
    pub fn keep_partial(self, as_target: bool) -> Result<Option<PathBuf>, Failure> {
        let Some(names) = &self.names else { return Ok(Some(self.path)) };
        self.save.memory.store_as_mtime(&self.file);
        let length = self.file.metadata().map_err(|e| self.failed(e))?.len();
        let has_more = |earlier: &File| earlier.metadata().is_ok_and(|m| m.len() >= length);
        if names.earlier.as_ref().is_some_and(has_more) {
            names.written.remove().map_err(|e| self.failed(e))?;
            return Ok(None);
        }
        let target = names.target.path();
        let shrinks = fs::metadata(target).is_ok_and(|found| found.len() > length);
        let to = match as_target && !(names.continues && shrinks) {
            true => &names.target,
            false => &names.part,
        };
        names.written.rename(to).map_err(|e| failed(to.path(), e))?;
        Ok(Some(to.path().to_path_buf()))
    }

    /// The body is not wanted after all.
    pub fn discard(self) -> Result<(), Failure> {
        let Some(names) = &self.names else { return Ok(()) };
        names.written.remove().map_err(|e| self.failed(e))
    }

    /// A failure of the file (23).
    pub fn failed(&self, e: io::Error) -> Failure {
        failed(&self.path, e)
    }
}

/// Opens what cannot be replaced; waits until a FIFO has a reader.
fn open_in_place(target: &Path, stop: &Shutdown) -> Result<File, Failure> {
    let is_fifo = fs::metadata(target).is_ok_and(|found| found.file_type().is_fifo());
    loop {
        match output_file::open(target, OFlags::WRONLY | OFlags::NONBLOCK, 0) {
            Err(e) if is_fifo && e.raw_os_error() == Some(libc::ENXIO) => {
                let stopped = |reason| Failure::shutdown(Phase::File, target.display(), reason);
                stop.sleep(AGAIN).map_err(stopped)?;
            }
            opened => {
                let file = opened.map_err(|e| failed(target, e))?;
                let waits = rustix::fs::fcntl_setfl(&file, OFlags::empty());
                waits.map_err(|e| failed(target, e.into()))?;
                return Ok(file);
            }
        }
    }
}

/// The permissions of a file that replaces `found`. Set-user-ID was for the program that was there,
/// not for what a server sends; and another user does not decide who may write our file.
fn mode_like(found: &Metadata) -> u32 {
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    found.mode() & if is_own { 0o777 } else { 0o755 }
}

fn open_part(target: Entry, start: Start<'_>) -> Result<(File, Names), Failure> {
    let part = target.with_suffix(PART);
    let earlier = match start {
        Start::Again(standing) => {
            earlier_part(&part, standing).map_err(|e| failed(part.path(), e))?
        }
        _ => None,
    };
    let written = if earlier.is_some() { part.with_suffix(NEW) } else { part.clone() };
    let file = open_written(&written, start).map_err(|e| failed(written.path(), e))?;
    let continues = !matches!(start, Start::First);
    Ok((file, Names { written, part, target, earlier, continues }))
}

/// Opens what is written to; the next byte goes where `start` says.
fn open_written(written: &Entry, start: Start<'_>) -> io::Result<File> {
    let Start::Behind(standing) = start else {
        let file = written.lock_or_create()?;
        file.set_len(0)?;
        return Ok(file);
    };
    let mut file = match &standing.source {
        Source::Part(part) => part.try_clone()?,
        Source::Target(_) | Source::Complete => written.lock_or_create()?,
    };
    if let Source::Target(from) = &standing.source {
        file.set_len(0)?;
        if io::copy(&mut from.take(standing.length), &mut file)? < standing.length {
            return Err(io::Error::other("the file to continue has become shorter"));
        }
    }
    file.seek(SeekFrom::Start(standing.length))?;
    Ok(file)
}

/// The part of an earlier run, locked, if it has bytes.
fn earlier_part(part: &Entry, standing: Option<&ResumePoint>) -> io::Result<Option<File>> {
    let found = match standing {
        Some(ResumePoint { source: Source::Part(file), .. }) => Some(file.try_clone()?),
        _ => part.lock_existing()?,
    };
    Ok(found.filter(|file| file.metadata().is_ok_and(|found| found.len() > 0)))
}

/// The directory in which the part of `target` is made; `None` when what stands there is no plain
/// file.
pub fn target_dir(target: &Path) -> Option<PathBuf> {
    let target = follow_links(target).ok()?;
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return None;
    }
    Some(directory_of(&target).to_path_buf())
}

/// The failure of the file at `path` (23).
pub fn failed(path: &Path, e: io::Error) -> Failure {
    Failure::write_file(path.display(), e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    fn open(target: &Path, start: Start<'_>, memory: ResumeTag) -> Result<PartialFile, Failure> {
        PartialFile::open(
            target,
            start,
            Save { memory, ..Save::default() },
            &Shutdown::new(None).unwrap(),
        )
    }

    #[test]
    fn a_part_becomes_the_target_only_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        fs::write(&target, "old").unwrap();
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        let mut part = open(&target, Start::First, ResumeTag::Validator(date.into())).unwrap();
        part.write(b"new").unwrap();
        part.keep_partial(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");

        let standing = ResumePoint::find(&target).unwrap().unwrap();
        assert_eq!(standing.length, 3);
        assert_eq!(standing.validator, date);
        let mut part = open(&target, Start::Behind(&standing), standing.memory.clone()).unwrap();
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
        assert_eq!(target_dir(&link).unwrap(), place.path());
        let mut part = open(&link, Start::First, ResumeTag::None).unwrap();
        part.write(b"x").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&behind).unwrap(), b"x");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn devices_are_written_to_directly() {
        let mut part = open(Path::new("/dev/null"), Start::First, ResumeTag::NotResumable).unwrap();
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
        assert_eq!(open(&target, Start::First, ResumeTag::None).unwrap_err().code, ExitCode::Write);
        assert!(!place.path().join("victim").exists());
    }

    #[test]
    fn a_new_body_replaces_a_longer_part_only_when_it_is_complete() {
        let place = tempfile::tempdir().unwrap();
        let (target, part) = (place.path().join("f"), place.path().join("f.part"));
        fs::write(&part, "longer").unwrap();
        for (body, left) in [("new", "longer"), ("longest", "longest")] {
            let mut new = open(&target, Start::Again(None), ResumeTag::None).unwrap();
            let second = open(&target, Start::First, ResumeTag::None).unwrap_err();
            assert!(second.to_string().contains("another run is writing it"), "{second}");
            new.write(body.as_bytes()).unwrap();
            assert_eq!(new.keep_partial(false).unwrap().is_some(), left == body);
            assert_eq!(fs::read(&part).unwrap(), left.as_bytes());
        }
        let mut new = open(&target, Start::Again(None), ResumeTag::None).unwrap();
        new.write(b"all").unwrap();
        new.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"all");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn with_continue_a_part_never_becomes_a_longer_target() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        fs::write(&target, "longer").unwrap();
        let mut new = open(&target, Start::Again(None), ResumeTag::None).unwrap();
        new.write(b"new").unwrap();
        assert_eq!(new.keep_partial(true).unwrap(), Some(place.path().join("f.part")));
        assert_eq!(fs::read(&target).unwrap(), b"longer");
    }

    #[test]
    fn a_set_user_id_bit_is_not_inherited() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        fs::write(&target, "program").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o6750)).unwrap();
        open(&target, Start::First, ResumeTag::None).unwrap().finish().unwrap();
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o750);
    }
}
