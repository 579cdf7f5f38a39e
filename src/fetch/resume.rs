//! Finds the bytes of an earlier run that `--continue` can continue.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::resume_tag::{ResumeTag, Validators, complete_validator, is_etag};
use crate::error::Failure;
use crate::http::Field;
use crate::process::directory_entry::{Access, DirectoryEntry};
use crate::process::output_file::follow_links;

/// The suffix of a partial file.
pub const PART_SUFFIX: &str = ".part";

/// The bytes of an earlier run.
#[derive(Debug)]
pub struct ResumePoint {
    pub length: u64,
    /// The validator of the complete body: an ETag in quotes, or a date.
    pub validator: String,
    /// The tag of a partial file that continues them.
    pub tag: ResumeTag,
    pub source: ResumeSource,
}

/// The file that has the bytes of an earlier run.
#[derive(Debug)]
pub enum ResumeSource {
    /// The partial file, which is locked.
    Part(File),
    /// The file itself, which may be incomplete.
    Target(File),
    /// The file itself, which is known to be complete.
    Complete,
}

impl ResumePoint {
    /// Finds what can be continued of `target`: its partial file, a file that `--keep-partial` left,
    /// or the complete file.
    ///
    /// Fails at [`Phase::File`](crate::error::Phase::File) with 23 if another run is writing the
    /// partial file, or one of the files belongs to another user.
    pub fn find(target: &Path) -> Result<Option<ResumePoint>, Failure> {
        let target = follow_links(target).map_err(|e| file_error(target, e))?;
        if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
            return Ok(None);
        }
        let Ok(target) = DirectoryEntry::of(&target) else { return Ok(None) };
        let part = target.with_suffix(PART_SUFFIX);
        let left = part.lock_existing().map_err(|e| file_error(part.path(), e))?;
        if let Some(file) = left.filter(is_nonempty) {
            return ResumePoint::of(ResumeSource::Part(file))
                .map_err(|e| file_error(part.path(), e));
        }
        let complete = target.open_own(Access::Read).map_err(|e| file_error(target.path(), e))?;
        match complete.filter(is_nonempty) {
            Some(file) => ResumePoint::of(ResumeSource::Target(file))
                .map_err(|e| file_error(target.path(), e)),
            None => Ok(None),
        }
    }

    fn of(source: ResumeSource) -> io::Result<Option<ResumePoint>> {
        let (ResumeSource::Part(file) | ResumeSource::Target(file)) = &source else {
            return Ok(None);
        };
        let found = file.metadata()?;
        let (length, modified) = (found.len(), found.modified()?);
        if let (ResumeSource::Target(_), Some(validator)) = (&source, complete_validator(file)) {
            let (tag, source) = (ResumeTag::Validator(validator.clone()), ResumeSource::Complete);
            return Ok(Some(ResumePoint { length, validator, tag, source }));
        }
        let Some(tag) = ResumeTag::load(file, modified) else { return Ok(None) };
        let validator = match &tag {
            ResumeTag::Validator(validator) => validator.clone(),
            _ => http_date(modified),
        };
        Ok(Some(ResumePoint { length, validator, tag, source }))
    }

    /// Whether the file is known to be complete.
    pub fn is_complete(&self) -> bool {
        matches!(self.source, ResumeSource::Complete)
    }

    /// The value of Range for the missing bytes.
    pub fn range(&self) -> Option<String> {
        (!self.is_complete()).then(|| format!("bytes={}-", self.length))
    }

    /// The header field that makes the request depend on the validator (RFC 9110 §13.1).
    pub fn condition(&self) -> Field {
        let name = match (self.is_complete(), is_etag(&self.validator)) {
            (false, _) => "If-Range",
            (true, true) => "If-None-Match",
            (true, false) => "If-Modified-Since",
        };
        Field::new(name, &self.validator)
    }

    /// Whether a response with these validators is another version of the file.
    pub fn is_stale(&self, received: &Validators) -> bool {
        self.tag != ResumeTag::None && received.differ_from(&self.validator)
    }

    /// Whether the bytes are the complete body of a response with these validators and this length.
    pub fn is_all_of(&self, received: &Validators, length: Option<u64>) -> bool {
        length == Some(self.length) && received.match_with(&self.validator)
    }

    /// Gives a partial file that is complete its final name.
    ///
    /// Fails at [`Phase::File`](crate::error::Phase::File) with code 23.
    pub fn promote(&self, target: &Path) -> Result<(), Failure> {
        let ResumeSource::Part(file) = &self.source else { return Ok(()) };
        let rename = || {
            let target = DirectoryEntry::of(&follow_links(target)?)?;
            self.tag.complete(file, &Validators::default());
            target.with_suffix(PART_SUFFIX).rename(&target)
        };
        rename().map_err(|e| file_error(target, e))
    }
}

fn is_nonempty(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.len() > 0)
}

/// The failure of an operation on the file at `path` (23).
pub fn file_error(path: &Path, e: io::Error) -> Failure {
    Failure::write_file(path.display(), e)
}

/// Formats a time as an HTTP date (RFC 9110 §5.6.7).
pub fn http_date(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::part_names::Start;
    use crate::fetch::partial_file::{BodyMetadata, KeptName, PartialFile};
    use crate::shutdown::Shutdown;

    fn find(target: &Path) -> Option<ResumePoint> {
        ResumePoint::find(target).unwrap()
    }

    #[test]
    fn not_resumable_part_is_never_continued() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        for (tag, part_is_found, file_is_found) in [
            (ResumeTag::None, true, true),
            (ResumeTag::Decoded, false, true),
            (ResumeTag::NotResumable, false, false),
        ] {
            let write = || {
                let metadata = BodyMetadata { tag: tag.clone(), ..BodyMetadata::default() };
                let mut part =
                    PartialFile::open(&target, Start::New, metadata, &Shutdown::new(None).unwrap())
                        .unwrap();
                part.write(b"new").unwrap();
                part
            };
            write().keep_partial(KeptName::Part).unwrap();
            assert_eq!(find(&target).is_some(), part_is_found, "{tag:?}");
            write().finish().unwrap();
            assert_eq!(find(&target).is_some(), file_is_found, "{tag:?}");
        }
        // As on a file system without extended attributes.
        let file = File::options().write(true).open(&target).unwrap();
        ResumeTag::None.store(&file);
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(find(&target).is_none());
    }

    #[test]
    fn finished_file_is_complete_while_its_length_is_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        let date = "Tue, 15 Nov 1994 08:12:31 GMT".to_string();
        for (etag, condition) in [
            (Some("W/\"1\"".to_string()), Field::new("If-None-Match", "W/\"1\"")),
            (None, Field::new("If-Modified-Since", &date)),
        ] {
            let validators = Validators { etag, date: Some(date.clone()) };
            let metadata = BodyMetadata { validators, ..BodyMetadata::default() };
            let mut part =
                PartialFile::open(&target, Start::New, metadata, &Shutdown::new(None).unwrap())
                    .unwrap();
            part.write(b"all").unwrap();
            part.finish().unwrap();
            let modified = fs::metadata(&target).unwrap().modified().unwrap();
            assert_eq!(http_date(modified), date);
            let point = find(&target).unwrap();
            if point.is_complete() {
                assert_eq!(point.condition(), condition);
                assert_eq!(point.range(), None);
            } else {
                eprintln!("skipped: no extended attributes here");
            }
            fs::OpenOptions::new().write(true).open(&target).unwrap().set_len(2).unwrap();
            assert!(!find(&target).unwrap().is_complete());
        }
    }
}
