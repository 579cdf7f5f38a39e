//! What a file records about the body it belongs to: a validator (an ETag, or a date) in an
//! extended attribute, a date as its modification time too; that it is complete; and that it cannot
//! be continued.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::SystemTime;

use crate::http::Head;

/// The extended attribute with the validator of an incomplete file.
const ATTRIBUTE: &str = "user.sockit.validator";
/// The value of [`ATTRIBUTE`] on a file that cannot be continued; no validator looks like this.
const NOT_RESUMABLE: &str = "lone";
/// The extended attribute of a complete file, with its length and its validator.
const COMPLETE: &str = "user.sockit.complete";

/// What a file records about the body it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ResumeTag {
    /// It is the beginning of the body with this validator: an ETag in quotes, or a date.
    Validator(String),
    /// It is the beginning of a body without a validator; the modification time is used instead.
    #[default]
    None,
    /// A content coding was decoded: the complete file is like any other, an incomplete one cannot
    /// be continued.
    Decoded,
    /// It cannot be continued, complete or not: a range from the middle, a raw response, an error
    /// page.
    NotResumable,
}

impl ResumeTag {
    /// Whether a later run can continue the file.
    pub fn can_be_continued(&self) -> bool {
        matches!(self, ResumeTag::Validator(_) | ResumeTag::None)
    }

    /// Stores it in the attribute of `file`.
    pub fn store(&self, file: &File) {
        remove(file, COMPLETE);
        match self {
            ResumeTag::Validator(validator) => set(file, ATTRIBUTE, validator),
            ResumeTag::Decoded | ResumeTag::NotResumable => set(file, ATTRIBUTE, NOT_RESUMABLE),
            ResumeTag::None => remove(file, ATTRIBUTE),
        }
    }

    /// Stores it as the modification time of `file`, for file systems and programs without extended
    /// attributes; the epoch means that it cannot be continued.
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

    /// Loads the tag of `file`, last modified at `modified`; none if it cannot be continued.
    pub fn load(file: &File, modified: SystemTime) -> Option<ResumeTag> {
        match get(file, ATTRIBUTE) {
            Some(value) if value == NOT_RESUMABLE => None,
            Some(validator) => Some(ResumeTag::Validator(validator)),
            None if modified == SystemTime::UNIX_EPOCH => None,
            None => Some(ResumeTag::None),
        }
    }

    /// Marks `file` as complete, with the validators of its body.
    pub fn complete(&self, file: &File, validators: &Validators) {
        if *self == ResumeTag::NotResumable {
            return self.store_as_mtime(file);
        }
        remove(file, ATTRIBUTE);
        let Validators { etag, date } = validators;
        // The ETag of an encoded body differs from that of the same body without a coding.
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

/// The validator of `file` if it is marked as complete and its length is still the same.
pub fn complete_validator(file: &File) -> Option<String> {
    let mark = get(file, COMPLETE)?;
    let (length, validator) = mark.split_once(' ')?;
    (length == file.metadata().ok()?.len().to_string()).then(|| validator.to_string())
}

/// Whether `file` is marked as incomplete.
pub fn is_marked_part(file: &File) -> bool {
    get(file, ATTRIBUTE).is_some()
}

/// The validators of a response, which later requests refer to (RFC 9110 §8.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validators {
    /// The ETag, weak or strong.
    pub etag: Option<String>,
    pub date: Option<String>,
}

impl Validators {
    pub fn load(head: &Head) -> Validators {
        let text = |name| {
            let text = std::str::from_utf8(head.first(name)?).ok()?;
            let is_valid =
                !text.is_empty() && text.len() <= 400 && !text.chars().any(char::is_control);
            is_valid.then(|| text.to_string())
        };
        Validators { etag: text("etag"), date: text("last-modified") }
    }

    /// The validator that allows continuing the body (RFC 9110 §13.1.5).
    pub fn strong(&self) -> Option<&String> {
        let strong = self.etag.as_ref().filter(|tag| tag.starts_with('"') && tag.len() > 2);
        strong.or(self.date.as_ref())
    }

    /// Whether `validator` belongs to another version; false where there is none of its kind.
    pub fn differ_from(&self, validator: &str) -> bool {
        let received = if is_etag(validator) { &self.etag } else { &self.date };
        received.as_ref().is_some_and(|received| bare(received) != bare(validator))
    }

    /// Whether `validator` belongs to the same version.
    pub fn match_with(&self, validator: &str) -> bool {
        let received = if is_etag(validator) { &self.etag } else { &self.date };
        received.is_some() && !self.differ_from(validator)
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

/// The attribute `name`, if it is present and text.
fn get(file: impl AsFd, name: &str) -> Option<String> {
    let mut value = [0; 512];
    let length = rustix::fs::fgetxattr(file, name, &mut value).ok()?;
    let text = std::str::from_utf8(value.get(..length)?).ok()?;
    // Any program may have set it, and it becomes part of a request.
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_string())
}
