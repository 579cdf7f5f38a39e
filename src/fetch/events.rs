//! Heads on their way to the user.

use crate::http::{Head, HttpUrl};
use crate::report::event::{Event, ResponseHead};

/// The event that tells a head that came from `link`.
pub fn event(conn: u64, link: &HttpUrl, head: &Head) -> Event {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = head.fields.iter().map(|field| (field.name.clone(), text(&field.value))).collect();
    Event::Answer(ResponseHead {
        conn,
        url: link.to_string(),
        version: format!("HTTP/1.{}", head.minor),
        status: head.status,
        reason: text(&head.reason),
        fields,
    })
}
