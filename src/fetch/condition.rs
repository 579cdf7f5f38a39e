//! `--time-condition`: requests a body only if it is newer than a file or a date.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use super::resume::http_date;
use super::resume_tag::{Validators, complete_validator, is_etag, is_marked_part};
use crate::http::Field;
use crate::process::directory_entry::{Access, DirectoryEntry};
use crate::process::output_file::follow_links;

/// What the response must be newer than.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The ETag stored with the file.
    etag: Option<String>,
    date: SystemTime,
}

impl Condition {
    /// The condition given by `value`, a file or a date; none if it is neither, and for a file that
    /// is marked as incomplete.
    pub fn read(value: &Path) -> Option<Condition> {
        let Ok(found) = fs::metadata(value) else {
            return Some(Condition { etag: None, date: date(value.to_str()?)? });
        };
        let file = open_own(value);
        if file.as_ref().is_some_and(is_marked_part) {
            return None;
        }
        let etag = file.and_then(|file| complete_validator(&file)).filter(|etag| is_etag(etag));
        Some(Condition { etag, date: found.modified().ok()? })
    }

    /// The header fields of the request; a server that knows the ETag ignores the date
    /// (RFC 9110 §13.1.3).
    pub fn fields(&self) -> Vec<Field> {
        let etag = self.etag.iter().map(|etag| Field::new("If-None-Match", etag));
        etag.chain([Field::new("If-Modified-Since", &http_date(self.date))]).collect()
    }

    /// Whether a response with these validators is not newer.
    pub fn covers(&self, received: &Validators) -> bool {
        match (&self.etag, &received.etag, &received.date) {
            (Some(etag), Some(_), _) => received.match_with(etag),
            (_, _, Some(changed)) => date(changed).is_some_and(|changed| changed <= self.date),
            _ => false,
        }
    }
}

/// Opens a file of this user.
fn open_own(path: &Path) -> Option<File> {
    DirectoryEntry::of(&follow_links(path).ok()?).ok()?.open_own(Access::Read).ok()?
}

/// Parses `Tue, 15 Nov 1994 08:12:31 GMT` and `1994-11-15T08:12:31Z`; the weekday, the zone (then
/// GMT) and the time of day (then midnight) may be missing.
fn date(text: &str) -> Option<SystemTime> {
    use chrono::DateTime;
    let mail = ["", " GMT", " 00:00:00 GMT"].map(|rest| format!("{text}{rest}"));
    let iso = ["", "Z", "T00:00:00Z"].map(|rest| format!("{text}{rest}"));
    let mail = mail.iter().find_map(|text| DateTime::parse_from_rfc2822(text).ok());
    let found =
        mail.or_else(|| iso.iter().find_map(|text| DateTime::parse_from_rfc3339(text).ok()));
    found.map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_in_http_and_iso_format_is_parsed() {
        let expected = "Tue, 15 Nov 1994 08:12:31 GMT";
        for word in
            [expected, "15 Nov 1994 08:12:31", "1994-11-15T08:12:31Z", "1994-11-15T08:12:31"]
        {
            assert_eq!(date(word).map(http_date).as_deref(), Some(expected), "{word}");
        }
        for word in ["15 Nov 1994", "1994-11-15"] {
            let midnight = "Tue, 15 Nov 1994 00:00:00 GMT";
            assert_eq!(date(word).map(http_date).as_deref(), Some(midnight), "{word}");
        }
        for word in ["", "soon", "1994", "-1", "1994-13-45"] {
            assert_eq!(date(word), None, "{word}");
        }
    }

    #[test]
    fn response_that_is_not_newer_is_covered() {
        let condition = |etag: Option<&str>| Condition {
            etag: etag.map(str::to_string),
            date: date("1994-11-15").unwrap(),
        };
        let received = |etag: Option<&str>, date: Option<&str>| Validators {
            etag: etag.map(str::to_string),
            date: date.map(str::to_string),
        };
        let (old, new) = (Some("Mon, 14 Nov 1994 08:12:31 GMT"), "Tue, 15 Nov 1994 08:12:31 GMT");
        assert!(condition(None).covers(&received(None, old)));
        assert!(!condition(None).covers(&received(None, Some(new))));
        assert!(!condition(None).covers(&received(Some("\"1\""), None)));
        assert!(condition(Some("\"1\"")).covers(&received(Some("W/\"1\""), Some(new))));
        assert!(!condition(Some("\"1\"")).covers(&received(Some("\"2\""), old)));
    }
}
