//! What a file remembers of where its bytes are from: a validator (an ETag, or a date) in an
//! extended attribute, the date in the file's own time too; and that nobody can go on with it.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

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

    /// Writes it to the attribute of `file`.
    pub fn tell(&self, file: &File) {
        let word = match self {
            Memory::Named(validator) => validator,
            Memory::Decoded | Memory::Lone => LONE,
            Memory::Unnamed => {
                let _ = rustix::fs::fremovexattr(file, ATTRIBUTE);
                return;
            }
        };
        let flags = rustix::fs::XattrFlags::empty();
        let _ = rustix::fs::fsetxattr(file, ATTRIBUTE, word.as_bytes(), flags);
    }

    /// Writes it to the time of `file`, for file systems without attributes and programs without
    /// a sense for ours; the epoch is the date of nothing.
    pub fn date(&self, file: &File) {
        match self {
            Memory::Named(validator) => {
                if let Ok(date) = chrono::DateTime::parse_from_rfc2822(validator) {
                    let _ = file.set_modified(SystemTime::from(date));
                }
            }
            Memory::Unnamed => {}
            Memory::Decoded | Memory::Lone => {
                if attribute_of(|value| rustix::fs::fgetxattr(file, ATTRIBUTE, value)).is_none() {
                    let _ = file.set_modified(SystemTime::UNIX_EPOCH);
                }
            }
        }
    }

    /// What the file at `path`, last changed at `modified`, remembers; nothing if nobody can go on
    /// with it.
    pub fn of(path: &Path, modified: SystemTime) -> Option<Memory> {
        match attribute_of(|value| rustix::fs::getxattr(path, ATTRIBUTE, value)) {
            Some(word) if word == LONE => None,
            Some(validator) => Some(Memory::Named(validator)),
            None if modified == SystemTime::UNIX_EPOCH => None,
            None => Some(Memory::Unnamed),
        }
    }

    /// Takes the attribute off the file at `path`.
    pub fn forget(path: &Path) {
        let _ = rustix::fs::removexattr(path, ATTRIBUTE);
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
