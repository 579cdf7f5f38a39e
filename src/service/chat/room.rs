//! Who is in the room, and under which name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::{Line, Queue};
use crate::net::stream::ConnectionHandle;
use crate::report::terminal_text::{AllowedControls, escape_for_terminal};

/// The name under which our own stdin speaks.
const OUR_NAME: &str = "server";
/// Characters of the longest name.
const LONGEST_NAME: usize = 32;

/// The members, by connection.
#[derive(Debug, Default)]
pub struct Room(Mutex<HashMap<u64, Member>>);

#[derive(Debug)]
struct Member {
    name: String,
    queue: Arc<Queue>,
    hangup: ConnectionHandle,
}

impl Room {
    /// Connection `conn` comes in; what the others say goes to `queue`, and `hangup` shows it out.
    pub fn enter(&self, conn: u64, name: String, queue: Arc<Queue>, hangup: ConnectionHandle) {
        self.lock().insert(conn, Member { name, queue, hangup });
    }

    /// It goes.
    pub fn leave(&self, conn: u64) {
        self.lock().remove(&conn);
    }

    /// What `conn` says goes to all the others and to our `screen`, with its name before it and in
    /// the same order for everyone. Whoever has no room for it loses its place; tells whether
    /// somebody has little room left.
    pub fn broadcast(&self, conn: u64, text: &[u8], line_end: &[u8], screen: &Queue) -> bool {
        let mut members = self.lock();
        let name = members.get(&conn).map(|member| member.name.as_str()).unwrap_or_default();
        let line = line(name, text, line_end);
        let crowded = pass_on(&mut members, Some(conn), &line);
        screen.offer(&line);
        crowded
    }

    /// A line of our own goes to all members; returns as [`Room::say`] does.
    pub fn announce(&self, text: &[u8]) -> bool {
        pass_on(&mut self.lock(), None, &line(OUR_NAME, text, b"\n"))
    }

    /// Sends `bytes` to all members as they are.
    pub fn send(&self, bytes: &[u8]) {
        pass_on(&mut self.lock(), None, &Line::from(bytes));
    }

    /// Whether a member has little room left.
    pub fn is_crowded(&self) -> bool {
        self.lock().values().any(|member| member.queue.is_half_full())
    }

    /// No more lines come: the members get what is queued.
    pub fn close(&self) {
        for member in self.lock().values() {
            member.queue.close(Duration::ZERO);
        }
    }

    /// `conn` wants another name; says why not.
    pub fn rename(&self, conn: u64, name: &str) -> Result<(), &'static str> {
        check(name)?;
        let mut members = self.lock();
        if name.eq_ignore_ascii_case(OUR_NAME) {
            return Err("that name is reserved");
        }
        if members.iter().any(|(other, member)| *other != conn && member.name == name) {
            return Err("that name is taken");
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

/// A line as it is shown to others: text, and escapes for what a terminal would act on, so that
/// nothing in it changes what precedes or follows it.
fn line(name: &str, text: &[u8], line_end: &[u8]) -> Line {
    let line_end = if line_end.is_empty() { b"\n" } else { line_end };
    let text = escape_for_terminal(text, AllowedControls::Tabs);
    Line::from([name.as_bytes(), b": ", text.as_bytes(), line_end].concat())
}

/// Queues `line` for all members but `speaker`; true when one of them has little room left.
fn pass_on(members: &mut HashMap<u64, Member>, speaker: Option<u64>, line: &Line) -> bool {
    let mut crowded = false;
    members.retain(|conn, member| {
        let stays = speaker == Some(*conn) || member.queue.push(line);
        if !stays {
            member.hangup.abort();
        }
        crowded |= member.queue.is_half_full();
        stays
    });
    crowded
}

/// A name must not look like an address, a blank or an instruction to a terminal.
fn check(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    match name.chars().count() {
        0 => Err("which name? /nick NAME"),
        1..=LONGEST_NAME if name.chars().all(plain) => Ok(()),
        1..=LONGEST_NAME => Err("a name has letters, digits, - and _"),
        _ => Err("a name has at most 32 characters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_nothing_that_a_terminal_acts_on() {
        let shown = |text: &[u8]| String::from_utf8(line("ann", text, b"").to_vec()).unwrap();
        assert_eq!(shown("grüße\t小明 \\".as_bytes()), "ann: grüße\t小明 \\\n");
        assert_eq!(shown(b"\rbob: x"), "ann: \\x0dbob: x\n");
        assert_eq!(shown(b"\nbob: x\x08\x1b[1m"), "ann: \\x0abob: x\\x08\\x1b[1m\n");
        assert_eq!(shown("\u{9b}2J\u{202e}".as_bytes()), "ann: \\x9b2J\\u{202e}\n");
        assert_eq!(shown(b"caf\xe9 \x9b2J"), "ann: caf\\xe9 \\x9b2J\n");
    }

    #[test]
    fn names_are_plain() {
        for name in ["a", "Zoë", "小明", "a-b_c1"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a:b", "127.0.0.1", "\x1b[2J", "a\u{202e}b", &"x".repeat(33)] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
