//! Events as JSON Lines.

use std::time::SystemTime;

use serde::Serialize;

use super::escape::escape_json;
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

/// Any value as one line of JSON that is safe on a terminal.
pub fn to_line<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).unwrap_or_else(|e| format!("{{\"json\":\"{e}\"}}"));
    escape_json(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_name_time_and_no_raw_controls() {
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
