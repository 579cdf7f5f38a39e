//! A file being downloaded: bytes are written to `FILE.part`, which is renamed to FILE when it is
//! complete.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::part_names::{PartNames, Start};
use super::resume::file_error;
use super::resume_tag::{ResumeTag, Validators};
use crate::error::{Failure, Phase};
use crate::process::directory_entry::{DirectoryEntry, directory_of};
use crate::process::output_file::{self, follow_links};
use crate::shutdown::Shutdown;

/// The interval of attempts to open a FIFO that has no reader yet: there is nothing to poll.
const FIFO_INTERVAL: Duration = Duration::from_millis(20);

/// What a file records about its body, in extended attributes and its modification time.
#[derive(Debug, Clone, Default)]
pub struct BodyMetadata {
    /// While it is incomplete.
    pub tag: ResumeTag,
    /// When it is complete.
    pub validators: Validators,
}

/// The name of an incomplete file that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptName {
    /// `FILE.part`.
    Part,
    /// The name of the complete file.
    Target,
}

/// A file being written.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    /// None where the target itself is written because it cannot be replaced (a device, a pipe).
    names: Option<PartNames>,
    path: PathBuf,
    metadata: BodyMetadata,
}

impl PartialFile {
    /// Opens or creates the partial file of `target`. It has its tag from then on, however this run
    /// ends, and is locked until it is closed.
    ///
    /// Fails at [`Phase::File`] with code 23, also for a file of another user and one that another
    /// run is writing.
    pub fn open(
        target: &Path,
        start: Start<'_>,
        metadata: BodyMetadata,
        shutdown: &Shutdown,
    ) -> Result<PartialFile, Failure> {
        let target = follow_links(target).map_err(|e| file_error(target, e))?;
        let found = fs::metadata(&target).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let file = open_in_place(&target, shutdown)?;
            return Ok(PartialFile { file, names: None, path: target, metadata });
        }
        let entry = DirectoryEntry::of(&target).map_err(|e| file_error(&target, e))?;
        let names = PartNames::choose(entry, start)?;
        let path = names.written.path().to_path_buf();
        let file = names.open(start).map_err(|e| file_error(&path, e))?;
        metadata.tag.store(&file);
        if let Some(found) = found {
            let _ = file.set_permissions(Permissions::from_mode(mode_like(&found)));
        }
        Ok(PartialFile { file, names: Some(names), path, metadata })
    }

    /// Writes all of `bytes`. Fails at [`Phase::File`] with code 23 (disk full).
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|e| self.failed(e))
    }

    /// The descriptor, for the kernel to write to.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether a later run can continue this file.
    pub fn can_be_continued(&self) -> bool {
        self.metadata.tag.can_be_continued()
    }

    /// Gives the complete file its final name.
    pub fn finish(self) -> Result<(), Failure> {
        let Some(names) = &self.names else { return Ok(()) };
        self.metadata.tag.complete(&self.file, &self.metadata.validators);
        names.written.rename(&names.target).map_err(|e| file_error(names.target.path(), e))?;
        match names.earlier {
            Some(_) => names.part.remove().map_err(|e| file_error(names.part.path(), e)),
            None => Ok(()),
        }
    }

    /// Keeps the incomplete file under `name`, but never replaces a longer file. Returns its path;
    /// none if an earlier run left more bytes.
    ///
    /// Fails at [`Phase::File`] with code 23.
    pub fn keep_partial(self, name: KeptName) -> Result<Option<PathBuf>, Failure> {
        let Some(names) = &self.names else { return Ok(Some(self.path)) };
        self.metadata.tag.store_as_mtime(&self.file);
        let length = self.file.metadata().map_err(|e| self.failed(e))?.len();
        let has_more = |earlier: &File| earlier.metadata().is_ok_and(|m| m.len() >= length);
        if names.earlier.as_ref().is_some_and(has_more) {
            names.written.remove().map_err(|e| self.failed(e))?;
            return Ok(None);
        }
        let target = names.target.path();
        let shrinks = fs::metadata(target).is_ok_and(|found| found.len() > length);
        let final_name = name == KeptName::Target && !(names.continues && shrinks);
        let to = if final_name { &names.target } else { &names.part };
        names.written.rename(to).map_err(|e| file_error(to.path(), e))?;
        Ok(Some(to.path().to_path_buf()))
    }

    /// Deletes the file.
    pub fn discard(self) -> Result<(), Failure> {
        let Some(names) = &self.names else { return Ok(()) };
        names.written.remove().map_err(|e| self.failed(e))
    }

    /// The failure of an operation on this file (23).
    pub fn failed(&self, e: io::Error) -> Failure {
        file_error(&self.path, e)
    }
}

/// Opens a file that cannot be replaced; waits until a FIFO has a reader.
fn open_in_place(target: &Path, shutdown: &Shutdown) -> Result<File, Failure> {
    let is_fifo = fs::metadata(target).is_ok_and(|found| found.file_type().is_fifo());
    loop {
        match output_file::open(target, OFlags::WRONLY | OFlags::NONBLOCK, 0) {
            Err(e) if is_fifo && e.raw_os_error() == Some(libc::ENXIO) => {
                let stopped = |reason| Failure::shutdown(Phase::File, target.display(), reason);
                shutdown.sleep(FIFO_INTERVAL).map_err(stopped)?;
            }
            opened => {
                let file = opened.map_err(|e| file_error(target, e))?;
                let blocking = rustix::fs::fcntl_setfl(&file, OFlags::empty());
                blocking.map_err(|e| file_error(target, e.into()))?;
                return Ok(file);
            }
        }
    }
}

/// The permissions of a file that replaces `found`, without set-user-ID, and without write
/// permissions chosen by another user.
fn mode_like(found: &Metadata) -> u32 {
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    found.mode() & if is_own { 0o777 } else { 0o755 }
}

/// The directory of the partial file of `target`; none when `target` exists and is not a regular
/// file.
pub fn target_dir(target: &Path) -> Option<PathBuf> {
    let target = follow_links(target).ok()?;
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return None;
    }
    Some(directory_of(&target).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::resume::ResumePoint;

    fn open(target: &Path, start: Start<'_>, tag: ResumeTag) -> Result<PartialFile, Failure> {
        PartialFile::open(
            target,
            start,
            BodyMetadata { tag, ..BodyMetadata::default() },
            &Shutdown::new(None).unwrap(),
        )
    }

    #[test]
    fn partial_file_is_renamed_only_when_complete() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        fs::write(&target, "old").unwrap();
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        let mut part = open(&target, Start::New, ResumeTag::Validator(date.into())).unwrap();
        part.write(b"new").unwrap();
        part.keep_partial(KeptName::Part).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");

        let point = ResumePoint::find(&target).unwrap().unwrap();
        assert_eq!(point.length, 3);
        assert_eq!(point.validator, date);
        let mut part = open(&target, Start::Resume(&point), point.tag.clone()).unwrap();
        part.write(b"er").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"newer");
        assert!(!dir.path().join("f.part").exists());
    }

    #[test]
    fn symlink_is_followed_even_to_absent_file() {
        let dir = tempfile::tempdir().unwrap();
        let (link, behind) = (dir.path().join("link"), dir.path().join("behind"));
        std::os::unix::fs::symlink("behind", &link).unwrap();
        assert_eq!(target_dir(&link).unwrap(), dir.path());
        let mut part = open(&link, Start::New, ResumeTag::None).unwrap();
        part.write(b"x").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&behind).unwrap(), b"x");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn devices_are_written_to_directly() {
        let mut part = open(Path::new("/dev/null"), Start::New, ResumeTag::NotResumable).unwrap();
        part.write(b"x").unwrap();
        part.finish().unwrap();
        assert!(!Path::new("/dev/null.part").exists());
    }

    #[test]
    fn symlink_named_as_partial_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        std::os::unix::fs::symlink(dir.path().join("victim"), dir.path().join("f.part")).unwrap();
        assert_eq!(
            open(&target, Start::New, ResumeTag::None).unwrap_err().code,
            crate::error::ExitCode::Write
        );
        assert!(!dir.path().join("victim").exists());
    }

    #[test]
    fn new_body_replaces_longer_partial_file_only_when_complete() {
        let dir = tempfile::tempdir().unwrap();
        let (target, part) = (dir.path().join("f"), dir.path().join("f.part"));
        fs::write(&part, "longer").unwrap();
        for (body, left) in [("new", "longer"), ("longest", "longest")] {
            let mut new = open(&target, Start::Restart(None), ResumeTag::None).unwrap();
            let second = open(&target, Start::New, ResumeTag::None).unwrap_err();
            assert!(second.to_string().contains("another run is writing it"), "{second}");
            new.write(body.as_bytes()).unwrap();
            assert_eq!(new.keep_partial(KeptName::Part).unwrap().is_some(), left == body);
            assert_eq!(fs::read(&part).unwrap(), left.as_bytes());
        }
        let mut new = open(&target, Start::Restart(None), ResumeTag::None).unwrap();
        new.write(b"all").unwrap();
        new.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"all");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn continued_partial_file_never_replaces_longer_target() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        fs::write(&target, "longer").unwrap();
        let mut new = open(&target, Start::Restart(None), ResumeTag::None).unwrap();
        new.write(b"new").unwrap();
        assert_eq!(new.keep_partial(KeptName::Target).unwrap(), Some(dir.path().join("f.part")));
        assert_eq!(fs::read(&target).unwrap(), b"longer");
    }

    #[test]
    fn set_user_id_bit_is_not_inherited() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        fs::write(&target, "program").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o6750)).unwrap();
        open(&target, Start::New, ResumeTag::None).unwrap().finish().unwrap();
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o750);
    }
}
