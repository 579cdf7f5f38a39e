//! Bytes as a hex dump: `> 00000000  68 65 6c 6c 6f …  |hello…|`, with `<` for received bytes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::OFlags;

use super::Report;
use crate::error::{ExitCode, Failure, Phase};
use crate::process::output_file;
use crate::transfer::tap::{Direction, TapSink};

/// Bytes per line.
const WIDTH: usize = 16;

/// Dumps both directions, each with its own offsets, to a file or stderr.
pub struct HexDump {
    out: DumpOutput,
    sent: u64,
    received: u64,
}

enum DumpOutput {
    Stderr,
    /// A file, its name, and where a write error is reported.
    File(File, String, Report),
}

impl HexDump {
    /// A dump into the file at `path`, or to stderr for `-`. A later write error is logged by
    /// `report`, and the session continues.
    ///
    /// Fails at [`Phase::File`] with 23 when the file cannot be opened, and with 2 for stderr when it
    /// is JSON Lines.
    pub fn open(path: &Path, report: &Report) -> Result<HexDump, Failure> {
        let out = if path.as_os_str() != "-" {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
            let opened = output_file::open(path, flags, 0o666);
            let file = opened.map_err(|e| write_error(path.display(), e))?;
            DumpOutput::File(file, path.display().to_string(), report.clone())
        } else if report.is_json() {
            let why = "stderr is JSON Lines under --json";
            return Err(Failure::usage(Phase::File, "--hex -", why)
                .with_hint("--hex FILE writes the dump to a file"));
        } else {
            DumpOutput::Stderr
        };
        Ok(HexDump { out, sent: 0, received: 0 })
    }

    fn write(&mut self, lines: &str) {
        match &mut self.out {
            // A write error of stderr cannot be logged.
            DumpOutput::Stderr => drop(io::stderr().write_all(lines.as_bytes())),
            DumpOutput::File(file, name, report) => {
                if let Err(e) = file.write_all(lines.as_bytes()) {
                    report.record_write_error(&write_error(name, e));
                }
            }
        }
    }
}

fn write_error(name: impl ToString, e: io::Error) -> Failure {
    Failure::new(Phase::File, name.to_string(), e).with_code(ExitCode::Write)
}

impl TapSink for HexDump {
    fn on_bytes(&mut self, direction: Direction, bytes: &[u8]) {
        let (sign, offset) = match direction {
            Direction::Sent => ('>', &mut self.sent),
            Direction::Received => ('<', &mut self.received),
        };
        let mut lines = String::new();
        for piece in bytes.chunks(WIDTH) {
            lines.push_str(&line(sign, *offset, piece));
            *offset += piece.len() as u64;
        }
        self.write(&lines);
    }
}

/// The lines of one received datagram, with its own offsets.
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
    fn line_has_sign_offset_hex_and_text() {
        let dumped = line('>', 16, b"hello\n\x1b");
        assert!(dumped.starts_with("> 00000010  68 65 6c 6c 6f 0a 1b "), "{dumped}");
        assert!(dumped.ends_with("  |hello..|\n"), "{dumped}");
    }
}
