//! What an earlier run left of a file, for `--continue` to go on with.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::memory::Memory;
use super::part::{failed, part_of, through_links};
use crate::failure::Failure;

/// What an earlier run left of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many bytes are there.
    pub length: u64,
    /// What they are part of: an ETag in quotes, or a date.
    pub validator: String,
    /// What a part remembers that goes on with them.
    pub memory: Memory,
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
        let memory = Memory::of(path, modified)?;
        let validator = match &memory {
            Memory::Named(validator) => validator.clone(),
            _ => http_date(modified),
        };
        Some(Standing { length, validator, memory, is_target })
    }

    /// Whether `etag` or `changed`, a date, of an answer tell that it is of something else.
    pub fn differs(&self, etag: Option<&[u8]>, changed: Option<&[u8]>) -> bool {
        let told = if self.validator.starts_with('"') { etag } else { changed };
        let named = self.memory != Memory::Unnamed;
        named && told.is_some_and(|told| told != self.validator.as_bytes())
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
                Memory::forget(&part_of(&target));
                fs::rename(part_of(&target), &target).map_err(|e| failed(&target, e))
            }
        }
    }
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
fn http_date(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::part::Part;
    use super::*;

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
        Memory::forget(&target);
        fs::File::options()
            .write(true)
            .open(&target)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(Standing::find(&target), None);
    }
}
