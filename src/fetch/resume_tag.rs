//! What a file remembers of where its bytes are from: a validator (an ETag, or a date) in an
//! extended attribute, the date in the file's own time too; that it is complete; and that it
//! cannot be continued.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::SystemTime;

use crate::http::Head;

/// The extended attribute that holds the validator of a part.
const ATTRIBUTE: &str = "user.sockit.validator";
/// What it holds instead where nothing can be gone on with: no validator looks like this.
const LONE: &str = "lone";
/// The extended attribute of a complete file: its length and its validator.
const COMPLETE: &str = "user.sockit.complete";

/// What a file remembers of where its bytes are from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ResumeTag {
    /// They are the beginning of what this validator names: an ETag in quotes, or a date.
    Validator(String),
    /// They are the beginning of something that has no name but the time they came.
    #[default]
    None,
    /// They are decoded: the whole is like any other, a part of it nothing to go on with.
    Decoded,
    /// They stand alone, whole or not: a piece from the middle, an answer as it came, a page that
    /// tells of an error.
    NotResumable,
}

impl ResumeTag {
    /// Whether a later run can go on where a part ends.
    pub fn can_be_continued(&self) -> bool {
        matches!(self, ResumeTag::Validator(_) | ResumeTag::None)
    }

    /// Writes it to the attribute of `file`.
    pub fn store(&self, file: &File) {
        remove(file, COMPLETE);
        match self {
            ResumeTag::Validator(validator) => set(file, ATTRIBUTE, validator),
            ResumeTag::Decoded | ResumeTag::NotResumable => set(file, ATTRIBUTE, LONE),
            ResumeTag::None => remove(file, ATTRIBUTE),
        }
    }

    /// Writes it to the time of `file`, for file systems without attributes and programs without
    /// a sense for ours; the epoch is the date of nothing.
    pub fn store_as_mtime(&self, file: &File) {
        match self {
            ResumeTag::Validator(validator) => set_modified(file, validator),
            ResumeTag::None => {}
            ResumeTag::Decoded | ResumeTag::NotResumable => {
                if get(file, ATTRIBUTE).is_none() {
                    let _ = file.set_modified(SystemTime::UNIX_EPOCH);
                }
            }
        }
    }

    /// What `file`, last changed at `modified`, remembers; none if it cannot be continued.
    pub fn load(file: &File, modified: SystemTime) -> Option<ResumeTag> {
        match get(file, ATTRIBUTE) {
            Some(word) if word == LONE => None,
            Some(validator) => Some(ResumeTag::Validator(validator)),
            None if modified == SystemTime::UNIX_EPOCH => None,
            None => Some(ResumeTag::None),
        }
    }

    /// Writes to `file`, which has all bytes of what `validators` name, that it is complete.
    pub fn complete(&self, file: &File, validators: &Validators) {
        if *self == ResumeTag::NotResumable {
            return self.store_as_mtime(file);
        }
        remove(file, ATTRIBUTE);
        let Validators { etag, date } = validators;
        // The ETag of a coded body differs from that of the same body without a coding.
        let best = match self {
            ResumeTag::Decoded => date.as_ref().or(etag.as_ref()),
            _ => etag.as_ref().or(date.as_ref()),
        };
        let named = if let ResumeTag::Validator(validator) = self { Some(validator) } else { None };
        if let (Some(validator), Ok(found)) = (best.or(named), file.metadata()) {
            set(file, COMPLETE, &format!("{} {validator}", found.len()));
        }
        if let Some(date) = date.as_ref().or(named) {
            set_modified(file, date);
        }
    }
}

/// The validator of `file` if a run has marked it as complete and its length is still the same.
pub fn complete_validator(file: &File) -> Option<String> {
    let mark = get(file, COMPLETE)?;
    let (length, validator) = mark.split_once(' ')?;
    (length == file.metadata().ok()?.len().to_string()).then(|| validator.to_string())
}

/// Whether a run has marked `file` as a part of something.
pub fn is_marked_part(file: &File) -> bool {
    get(file, ATTRIBUTE).is_some()
}

/// What an answer can be named by in later requests (RFC 9110 §8.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validators {
    /// The ETag, weak or strong.
    pub etag: Option<String>,
    /// The Last-Modified.
    pub date: Option<String>,
}

impl Validators {
    /// Those of `head`.
    pub fn load(head: &Head) -> Validators {
        let text = |name| {
            let text = std::str::from_utf8(head.first(name)?).ok()?;
            let is_sound =
                !text.is_empty() && text.len() <= 400 && !text.chars().any(char::is_control);
            is_sound.then(|| text.to_string())
        };
        Validators { etag: text("etag"), date: text("last-modified") }
    }

    /// The one that a part of the body can be named by (RFC 9110 §13.1.5).
    pub fn strong(&self) -> Option<&String> {
        let strong = self.etag.as_ref().filter(|tag| tag.starts_with('"') && tag.len() > 2);
        strong.or(self.date.as_ref())
    }

    /// Whether `validator` names something else; not where there is none of its kind.
    pub fn differ_from(&self, validator: &str) -> bool {
        let given = if is_etag(validator) { &self.etag } else { &self.date };
        given.as_ref().is_some_and(|given| bare(given) != bare(validator))
    }

    /// Whether `validator` names the same.
    pub fn match_with(&self, validator: &str) -> bool {
        let given = if is_etag(validator) { &self.etag } else { &self.date };
        given.is_some() && !self.differ_from(validator)
    }
}

/// Whether this validator is an ETag, and not a date.
pub fn is_etag(validator: &str) -> bool {
    bare(validator).starts_with('"')
}

fn bare(validator: &str) -> &str {
    validator.strip_prefix("W/").unwrap_or(validator)
}

fn set_modified(file: &File, date: &str) {
    if let Ok(date) = chrono::DateTime::parse_from_rfc2822(date) {
        let _ = file.set_modified(SystemTime::from(date));
    }
}

fn set(file: impl AsFd, name: &str, value: &str) {
    let flags = rustix::fs::XattrFlags::empty();
    let _ = rustix::fs::fsetxattr(file, name, value.as_bytes(), flags);
}

fn remove(file: impl AsFd, name: &str) {
    let _ = rustix::fs::fremovexattr(file, name);
}

/// The attribute `name`, if it is there and makes sense.
fn get(file: impl AsFd, name: &str) -> Option<String> {
    let mut value = [0; 512];
    let length = rustix::fs::fgetxattr(file, name, &mut value).ok()?;
    let text = std::str::from_utf8(value.get(..length)?).ok()?;
    // Whatever put it there: it becomes part of a request.
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_string())
}
