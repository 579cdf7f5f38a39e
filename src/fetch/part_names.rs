//! The names of a file being downloaded, and what is already under them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::resume::{PART_SUFFIX, ResumePoint, ResumeSource, file_error};
use crate::error::Failure;
use crate::process::directory_entry::DirectoryEntry;

/// The suffix of a partial file while that of an earlier run is kept beside it.
const NEW_SUFFIX: &str = ".new";

/// Where in its file a body begins.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// At the first byte; an existing partial file is replaced.
    New,
    /// At the first byte, with `--continue`; an existing partial file stays until the new one is
    /// longer.
    Restart(Option<&'a ResumePoint>),
    /// After the bytes of an earlier run.
    Resume(&'a ResumePoint),
}

/// The names of a file being written.
#[derive(Debug)]
pub struct PartNames {
    /// The name during the download.
    pub written: DirectoryEntry,
    /// The name if the download is interrupted.
    pub part: DirectoryEntry,
    /// The name when it is complete.
    pub target: DirectoryEntry,
    /// An earlier partial file with the name `part`, not to be replaced by a shorter one.
    pub earlier: Option<File>,
    /// The target is not to be replaced by a shorter one either.
    pub continues: bool,
}

impl PartNames {
    /// The names of the partial file of `target`.
    pub fn choose(target: DirectoryEntry, start: Start<'_>) -> Result<PartNames, Failure> {
        let part = target.with_suffix(PART_SUFFIX);
        let earlier = match start {
            Start::Restart(point) => {
                earlier_part(&part, point).map_err(|e| file_error(part.path(), e))?
            }
            _ => None,
        };
        let written = if earlier.is_some() { part.with_suffix(NEW_SUFFIX) } else { part.clone() };
        let continues = !matches!(start, Start::New);
        Ok(PartNames { written, part, target, earlier, continues })
    }

    /// Opens the file to write, positioned at `start`.
    pub fn open(&self, start: Start<'_>) -> io::Result<File> {
        let Start::Resume(point) = start else {
            let file = self.written.lock_or_create()?;
            file.set_len(0)?;
            return Ok(file);
        };
        let mut file = match &point.source {
            ResumeSource::Part(part) => part.try_clone()?,
            ResumeSource::Target(_) | ResumeSource::Complete => self.written.lock_or_create()?,
        };
        if let ResumeSource::Target(from) = &point.source {
            file.set_len(0)?;
            if io::copy(&mut from.take(point.length), &mut file)? < point.length {
                return Err(io::Error::other("the file to continue has become shorter"));
            }
        }
        file.seek(SeekFrom::Start(point.length))?;
        Ok(file)
    }
}

/// The partial file of an earlier run, locked, if it is not empty.
fn earlier_part(part: &DirectoryEntry, point: Option<&ResumePoint>) -> io::Result<Option<File>> {
    let found = match point {
        Some(ResumePoint { source: ResumeSource::Part(file), .. }) => Some(file.try_clone()?),
        _ => part.lock_existing()?,
    };
    Ok(found.filter(|file| file.metadata().is_ok_and(|found| found.len() > 0)))
}
