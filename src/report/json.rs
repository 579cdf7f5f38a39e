//! Events as JSON Lines.

use std::time::SystemTime;

use serde::Serialize;

use super::escape::is_dangerous;
use super::event::Event;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    time: String,
}

/// The event as one JSON object, without a line end: `event`, its fields, and `time` (UTC,
/// RFC 3339 with milliseconds).
pub fn line(event: &Event) -> String {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    to_line(&Line { event, time })
}

/// Any serialisable fact as one line of JSON that is safe to show on a terminal: serde_json
/// escapes C0, and what else a terminal would obey can only stand inside strings.
pub fn to_line<T: Serialize>(fact: &T) -> String {
    let json = serde_json::to_string(fact).unwrap_or_else(|e| format!("{{\"json\":\"{e}\"}}"));
    if !json.chars().any(|c| c != '\\' && is_dangerous(c)) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len()), |mut shown, c| {
        match c != '\\' && is_dangerous(c) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_name_its_time_and_no_raw_controls() {
        let message = "\x1b\u{9b}\u{202e}é\"\\".to_string();
        let line = line(&Event::Warning { conn: Some(3), message: message.clone() });
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["event"], "warning");
        assert_eq!(back["conn"], 3);
        assert_eq!(back["message"], message);
        assert!(humantime::parse_rfc3339(back["time"].as_str().unwrap()).is_ok());
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'));
    }
}
