//! Bytes as a hex dump: `> 00000000  68 65 6c 6c 6f …  |hello…|`, with `<` for received bytes.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

use super::Report;
use super::escape::escape;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::net::stream::Stream;
use crate::net::stream_observer::{Call, Observation, StreamObserver};
use crate::process::output_file;
use crate::transfer::tap::{TapDirection, TapSink};

/// Bytes per line.
const WIDTH: usize = 16;

/// Dumps both directions, each with its own offsets, to a file or stderr.
pub struct HexDump {
    out: DumpOutput,
    offsets: Offsets,
}

/// Dumps the bytes of all connections of a server; each line begins with the connection. Clones share
/// the output.
#[derive(Clone)]
pub struct ServerDump(Arc<Mutex<DumpOutput>>);

/// Dumps the bytes of one connection of a server.
struct ConnectionDump {
    conn: u64,
    out: ServerDump,
    offsets: Mutex<Offsets>,
}

enum DumpOutput {
    Stderr,
    /// A file, its name, and where a write error is reported.
    File(File, String, Report),
}

/// The bytes dumped so far.
#[derive(Default)]
struct Offsets {
    sent: u64,
    received: u64,
}

impl HexDump {
    /// A dump into the file at `path`, or to stderr for `-`. A later write error is logged by
    /// `report`, and the session continues.
    ///
    /// Fails at [`Phase::File`] with 23 when the file cannot be opened, and with 2 for stderr when it
    /// is JSON Lines.
    pub fn open(path: &Path, report: &Report) -> Result<HexDump, Failure> {
        Ok(HexDump { out: DumpOutput::open(path, report)?, offsets: Offsets::default() })
    }
}

impl TapSink for HexDump {
    fn on_bytes(&mut self, direction: TapDirection, bytes: &[u8]) {
        let lines = self.offsets.lines("", direction, bytes);
        self.out.write(&lines);
    }
}

impl ServerDump {
    /// As [`HexDump::open`].
    pub fn open(path: &Path, report: &Report) -> Result<ServerDump, Failure> {
        Ok(ServerDump(Arc::new(Mutex::new(DumpOutput::open(path, report)?))))
    }

    /// The stream of connection `conn`, whose bytes are dumped from now on.
    pub fn observe(&self, conn: u64, stream: Stream) -> Stream {
        let (out, offsets) = (self.clone(), Mutex::default());
        stream.observed(Arc::new(ConnectionDump { conn, out, offsets }))
    }

    /// Dumps a datagram; its lines begin with the peer's address.
    pub fn datagram(&self, direction: TapDirection, peer: &Address, payload: &[u8]) {
        let label = format!("{} ", escape(&peer.to_string()));
        self.write(&Offsets::default().lines(&label, direction, payload));
    }

    fn write(&self, lines: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(lines);
    }
}

impl fmt::Debug for ServerDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerDump")
    }
}

impl StreamObserver for ConnectionDump {
    fn on_call(&self, call: Call<'_>) {
        let (direction, bytes) = match call {
            Call::Sent(bytes, _) => (TapDirection::Sent, bytes),
            Call::Received(bytes) => (TapDirection::Received, bytes),
            _ => return,
        };
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        self.out.write(&offsets.lines(&format!("{} ", self.conn), direction, bytes));
    }

    fn observation(&self) -> Observation {
        Observation::Bytes
    }
}

impl DumpOutput {
    fn open(path: &Path, report: &Report) -> Result<DumpOutput, Failure> {
        if path.as_os_str() != "-" {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
            let opened = output_file::open(path, flags, 0o666);
            let file = opened.map_err(|e| write_error(path.display(), e))?;
            Ok(DumpOutput::File(file, path.display().to_string(), report.clone()))
        } else if report.is_json() {
            let why = "stderr is JSON Lines under --json";
            Err(Failure::usage(Phase::File, "--hex -", why)
                .with_hint("--hex FILE writes the dump to a file"))
        } else {
            Ok(DumpOutput::Stderr)
        }
    }

    fn write(&mut self, lines: &str) {
        match self {
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

impl Offsets {
    /// The lines of the next bytes, each of which begins with `label`.
    fn lines(&mut self, label: &str, direction: TapDirection, bytes: &[u8]) -> String {
        let (sign, offset) = match direction {
            TapDirection::Sent => ('>', &mut self.sent),
            TapDirection::Received => ('<', &mut self.received),
        };
        let mut lines = String::new();
        for piece in bytes.chunks(WIDTH) {
            lines.push_str(label);
            lines.push_str(&line(sign, *offset, piece));
            *offset += piece.len() as u64;
        }
        lines
    }
}

fn write_error(name: impl ToString, e: io::Error) -> Failure {
    Failure::new(Phase::File, name.to_string(), e).with_code(ExitCode::Write)
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

    #[test]
    fn line_of_a_server_begins_with_its_connection() {
        let mut offsets = Offsets::default();
        let first = offsets.lines("3 ", TapDirection::Received, &[b'x'; 17]);
        let lines: Vec<_> = first.lines().map(|line| &line[..12]).collect();
        assert_eq!(lines, ["3 < 00000000", "3 < 00000010"]);
        assert!(offsets.lines("3 ", TapDirection::Sent, b"y").starts_with("3 > 00000000"));
        assert!(offsets.lines("3 ", TapDirection::Received, b"z").starts_with("3 < 00000011"));
    }
}
