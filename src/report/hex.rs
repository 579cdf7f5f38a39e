//! Bytes as a hex dump: `> 00000000  68 65 6c 6c 6f …  |hello…|`, with `<` for what came.

use std::fs::File;
use std::io::Write;

use crate::pump::tap::{Direction, Watcher};

/// Bytes on a line.
const WIDTH: usize = 16;

/// Dumps both directions, each with its own offsets, to a file or stderr.
pub struct Dump {
    out: Box<dyn Write + Send>,
    sent: u64,
    received: u64,
}

impl Dump {
    /// A dump into `file`.
    pub fn to_file(file: File) -> Dump {
        Dump { out: Box::new(file), sent: 0, received: 0 }
    }

    /// A dump on stderr.
    pub fn to_stderr() -> Dump {
        Dump { out: Box::new(std::io::stderr()), sent: 0, received: 0 }
    }
}

impl Watcher for Dump {
    fn see(&mut self, direction: Direction, bytes: &[u8]) {
        let (sign, offset) = match direction {
            Direction::Sent => ('>', &mut self.sent),
            Direction::Received => ('<', &mut self.received),
        };
        let mut lines = String::new();
        for piece in bytes.chunks(WIDTH) {
            lines.push_str(&line(sign, *offset, piece));
            *offset += piece.len() as u64;
        }
        // The dump is talk: what cannot be told does not stop the conversation.
        let _ = self.out.write_all(lines.as_bytes());
    }
}

/// The lines of one datagram that came, with offsets of its own.
pub fn received(datagram: &[u8]) -> String {
    let pieces = (0..).step_by(WIDTH).zip(datagram.chunks(WIDTH));
    pieces.map(|(offset, piece)| line('<', offset, piece)).collect()
}

fn line(sign: char, offset: u64, bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let plain: String = bytes
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '.' })
        .collect();
    let hex = hex.join(" ");
    format!("{sign} {offset:08x}  {hex:<width$}  |{plain}|\n", width = WIDTH * 3 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_sign_offset_hex_and_text() {
        let dumped = line('>', 16, b"hello\n\x1b");
        assert!(dumped.starts_with("> 00000010  68 65 6c 6c 6f 0a 1b "), "{dumped}");
        assert!(dumped.ends_with("  |hello..|\n"), "{dumped}");
    }
}
