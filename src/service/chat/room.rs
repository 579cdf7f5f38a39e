//! The members of a chat room and their names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::queue::{Line, LineQueue};
use crate::net::stream::ConnectionHandle;
use crate::report::terminal_text::{AllowedControls, escape_for_terminal};
use crate::service::framing::Message;

/// The name of the server's own lines.
const SERVER_NAME: &str = "server";
/// The pause after a line while a queue is more than half full: it keeps a client that sends without
/// end from overflowing the queues of the others, and costs half a second until a client that does
/// not read is reset.
pub const BACKPRESSURE_PAUSE: Duration = Duration::from_millis(1);
/// Characters of the longest name.
const MAX_NAME: usize = 32;

/// The members of a room, by number of the connection.
#[derive(Debug, Default)]
pub struct Room(Mutex<HashMap<u64, Member>>);

/// A connection as a member.
#[derive(Debug)]
pub struct Member {
    /// Precedes its lines.
    pub name: String,
    /// Lines of the others.
    pub queue: Arc<LineQueue>,
    /// Resets it when the queue overflows.
    pub handle: ConnectionHandle,
}

impl Room {
    /// Adds connection `conn`.
    pub fn enter(&self, conn: u64, member: Member) {
        self.lock().insert(conn, member);
    }

    /// Removes connection `conn`.
    pub fn leave(&self, conn: u64) {
        self.lock().remove(&conn);
    }

    /// Queues a line of `conn`, with its name before it, for all other members and for the local
    /// output, in the same order for each. A member whose queue overflows is reset and removed.
    pub fn broadcast(&self, conn: u64, message: Message<'_>, local_output: &LineQueue) {
        let mut members = self.lock();
        let name = members.get(&conn).map(|member| member.name.as_str()).unwrap_or_default();
        let line = line(name, message.text, message.line_end);
        queue_line(&mut members, Some(conn), &line);
        local_output.push_lossy(&line);
    }

    /// Queues a line of the server for all members.
    pub fn announce(&self, text: &[u8]) {
        queue_line(&mut self.lock(), None, &line(SERVER_NAME, text, b"\n"));
    }

    /// Queues `bytes` for all members unchanged.
    pub fn send(&self, bytes: &[u8]) {
        queue_line(&mut self.lock(), None, &Line::from(bytes));
    }

    /// Whether the queue of a member is more than half full.
    pub fn is_backlogged(&self) -> bool {
        self.lock().values().any(|member| member.queue.is_half_full())
    }

    /// Pauses a sender while a queue is more than half full.
    pub fn pause_if_backlogged(&self) {
        if self.is_backlogged() {
            thread::sleep(BACKPRESSURE_PAUSE);
        }
    }

    /// Closes the queues of all members; queued lines are still delivered.
    pub fn close(&self) {
        for member in self.lock().values() {
            member.queue.close();
        }
    }

    /// Renames a member. Fails with the text for the member.
    pub fn rename(&self, conn: u64, name: &str) -> Result<(), String> {
        check_name(name)?;
        let mut members = self.lock();
        if name.eq_ignore_ascii_case(SERVER_NAME) {
            return Err("that name is reserved".into());
        }
        if members.iter().any(|(other, member)| *other != conn && member.name == name) {
            return Err("that name is taken".into());
        }
        if let Some(member) = members.get_mut(&conn) {
            member.name = name.to_string();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line as the others receive it: control characters are escaped, so that nothing in it changes
/// what precedes or follows it on a terminal.
fn line(name: &str, text: &[u8], line_end: &[u8]) -> Line {
    let line_end = if line_end.is_empty() { b"\n" } else { line_end };
    let text = escape_for_terminal(text, AllowedControls::Tabs);
    Line::from([name.as_bytes(), b": ", text.as_bytes(), line_end].concat())
}

/// Queues `line` for all members but `sender`; resets and removes members whose queue overflows.
fn queue_line(members: &mut HashMap<u64, Member>, sender: Option<u64>, line: &Line) {
    members.retain(|conn, member| {
        let fits = sender == Some(*conn) || member.queue.push(line);
        if !fits {
            member.handle.abort();
        }
        fits
    });
}

/// Checks a name: it must not look like an address or contain spaces or control characters.
fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    match name.chars().count() {
        0 => Err("usage: /nick NAME".into()),
        1..=MAX_NAME if name.chars().all(is_allowed) => Ok(()),
        1..=MAX_NAME => Err("a name has letters, digits, - and _".into()),
        _ => Err(format!("a name has at most {MAX_NAME} characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_a_line_are_escaped() {
        let shown = |text: &[u8]| String::from_utf8(line("ann", text, b"").to_vec()).unwrap();
        assert_eq!(shown("grüße\t小明 \\".as_bytes()), "ann: grüße\t小明 \\\n");
        assert_eq!(shown(b"\rbob: x"), "ann: \\x0dbob: x\n");
        assert_eq!(shown(b"\nbob: x\x08\x1b[1m"), "ann: \\x0abob: x\\x08\\x1b[1m\n");
        assert_eq!(shown("\u{9b}2J\u{202e}".as_bytes()), "ann: \\x9b2J\\u{202e}\n");
        assert_eq!(shown(b"caf\xe9 \x9b2J"), "ann: caf\\xe9 \\x9b2J\n");
    }

    #[test]
    fn name_is_letters_digits_dash_and_underscore() {
        for name in ["a", "Zoë", "小明", "a-b_c1"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a:b", "127.0.0.1", "\x1b[2J", "a\u{202e}b", &"x".repeat(33)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
