//! What an earlier run left of a file, for `--continue` to go on with.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::partial_file::{PART, failed};
use super::resume_tag::{ResumeTag, Validators, complete_validator, is_etag};
use crate::error::Failure;
use crate::process::output_file::{Access, Entry, follow_links};

/// What an earlier run left of a file.
#[derive(Debug)]
pub struct ResumePoint {
    /// How many bytes are there.
    pub length: u64,
    /// What they are part of: an ETag in quotes, or a date.
    pub validator: String,
    /// What a part remembers that goes on with them.
    pub memory: ResumeTag,
    /// Where they are.
    pub source: Source,
}

/// Where the bytes of an earlier run are.
#[derive(Debug)]
pub enum Source {
    /// In the part, which is locked.
    Part(File),
    /// In the file itself, which may be a part or complete.
    Target(File),
    /// In the file itself, which is complete.
    Complete,
}

impl ResumePoint {
    /// What is there of `target` to go on with: its part, or what a run with `--keep-partial`
    /// left, or all of it.
    ///
    /// Fails at [`Stage::File`](crate::error::Stage::File) with 23 if another run is writing the
    /// part, or the part or the file belongs to another user.
    pub fn find(target: &Path) -> Result<Option<ResumePoint>, Failure> {
        let target = follow_links(target).map_err(|e| failed(target, e))?;
        if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
            return Ok(None);
        }
        let Ok(target) = Entry::of(&target) else { return Ok(None) };
        let part = target.with_suffix(PART);
        let left = part.lock_existing().map_err(|e| failed(part.path(), e))?;
        if let Some(file) = left.filter(holds_bytes) {
            return ResumePoint::of(Source::Part(file)).map_err(|e| failed(part.path(), e));
        }
        let whole = target.open_own(Access::Read).map_err(|e| failed(target.path(), e))?;
        match whole.filter(holds_bytes) {
            Some(file) => {
                ResumePoint::of(Source::Target(file)).map_err(|e| failed(target.path(), e))
            }
            None => Ok(None),
        }
    }

    fn of(source: Source) -> io::Result<Option<ResumePoint>> {
        let (Source::Part(file) | Source::Target(file)) = &source else { return Ok(None) };
        let found = file.metadata()?;
        let (length, modified) = (found.len(), found.modified()?);
        if let (Source::Target(_), Some(validator)) = (&source, complete_validator(file)) {
            let (memory, source) = (ResumeTag::Validator(validator.clone()), Source::Complete);
            return Ok(Some(ResumePoint { length, validator, memory, source }));
        }
        let Some(memory) = ResumeTag::load(file, modified) else { return Ok(None) };
        let validator = match &memory {
            ResumeTag::Validator(validator) => validator.clone(),
            _ => http_date(modified),
        };
        Ok(Some(ResumePoint { length, validator, memory, source }))
    }

    /// Whether the file is known to be complete.
    pub fn is_complete(&self) -> bool {
        matches!(self.source, Source::Complete)
    }

    /// The value of Range for the bytes that are missing.
    pub fn range(&self) -> Option<String> {
        (!self.is_complete()).then(|| format!("bytes={}-", self.length))
    }

    /// The field that makes the request depend on what is there.
    pub fn condition(&self) -> (&'static str, String) {
        let name = match (self.is_complete(), is_etag(&self.validator)) {
            (false, _) => "If-Range",
            (true, true) => "If-None-Match",
            (true, false) => "If-Modified-Since",
        };
        (name, self.validator.clone())
    }

    /// Whether an answer with `given` is of something else.
    pub fn is_stale(&self, given: &Validators) -> bool {
        self.memory != ResumeTag::None && given.differ_from(&self.validator)
    }

    /// Whether all of an answer with `given`, of `length` bytes, is there already.
    pub fn is_all_of(&self, given: &Validators, length: Option<u64>) -> bool {
        length == Some(self.length) && given.match_with(&self.validator)
    }

    /// What stands is whole: it becomes the target, if it is not already.
    ///
    /// Fails at [`Stage::File`](crate::error::Stage::File) with code 23.
    pub fn promote(&self, target: &Path) -> Result<(), Failure> {
        let Source::Part(file) = &self.source else { return Ok(()) };
        let rename = || {
            let target = Entry::of(&follow_links(target)?)?;
            self.memory.complete(file, &Validators::default());
            target.with_suffix(PART).rename(&target)
        };
        rename().map_err(|e| failed(target, e))
    }
}

fn holds_bytes(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.len() > 0)
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
pub fn http_date(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::partial_file::{PartialFile, Save, Start};
    use crate::shutdown::Shutdown;

    fn find(target: &Path) -> Option<ResumePoint> {
        ResumePoint::find(target).unwrap()
    }

    #[test]
    fn what_stands_alone_is_never_gone_on_with() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        for (memory, part_stands, whole_stands) in [
            (ResumeTag::None, true, true),
            (ResumeTag::Decoded, false, true),
            (ResumeTag::NotResumable, false, false),
        ] {
            let write = || {
                let save = Save { memory: memory.clone(), ..Save::default() };
                let mut part =
                    PartialFile::open(&target, Start::First, save, &Shutdown::new(None).unwrap())
                        .unwrap();
                part.write(b"new").unwrap();
                part
            };
            write().keep_partial(false).unwrap();
            assert_eq!(find(&target).is_some(), part_stands, "{memory:?}");
            write().finish().unwrap();
            assert_eq!(find(&target).is_some(), whole_stands, "{memory:?}");
        }
        // As a file system without attributes keeps it.
        let file = File::options().write(true).open(&target).unwrap();
        ResumeTag::None.store(&file);
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(find(&target).is_none());
    }

    #[test]
    fn a_finished_file_is_complete_as_long_as_it_has_its_length() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        let date = "Tue, 15 Nov 1994 08:12:31 GMT".to_string();
        for (etag, condition) in [
            (Some("W/\"1\"".to_string()), ("If-None-Match", "W/\"1\"")),
            (None, ("If-Modified-Since", date.as_str())),
        ] {
            let validators = Validators { etag, date: Some(date.clone()) };
            let save = Save { validators, ..Save::default() };
            let mut part =
                PartialFile::open(&target, Start::First, save, &Shutdown::new(None).unwrap())
                    .unwrap();
            part.write(b"all").unwrap();
            part.finish().unwrap();
            let modified = fs::metadata(&target).unwrap().modified().unwrap();
            assert_eq!(http_date(modified), date);
            let standing = find(&target).unwrap();
            if standing.is_complete() {
                assert_eq!(standing.condition(), (condition.0, condition.1.to_string()));
                assert_eq!(standing.range(), None);
            } else {
                eprintln!("skipped: no extended attributes here");
            }
            fs::OpenOptions::new().write(true).open(&target).unwrap().set_len(2).unwrap();
            assert!(!find(&target).unwrap().is_complete());
        }
    }
}
