//! Bytes as a hex dump: `> 00000000  68 65 6c 6c 6f …  |hello…|`, with `<` for received bytes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

use super::Report;
use super::escape::escape;
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::net::stream::Stream;
use crate::net::stream_observer::{Call, Observation, StreamObserver};
use crate::process::output_file;
use crate::transfer::tap::{TapDirection, TapSink};

/// Bytes per line.
const WIDTH: usize = 16;

/// Dumps both directions, each with its own offsets, to a file or stderr.
pub struct HexDump {
    /// The beginning of each line.
    label: String,
    out: ServerDump,
    sent: u64,
    received: u64,
}

/// Dumps the bytes of all connections of a server; each line begins with the connection. Clones share
/// the output.
#[derive(Clone)]
pub struct ServerDump(Arc<Mutex<DumpOutput>>);

/// Dumps the bytes of one connection of a server.
struct ConnectionDump(Mutex<HexDump>);

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
        Ok(ServerDump::open(path, report)?.with_label(String::new()))
    }
}

impl TapSink for HexDump {
    fn on_bytes(&mut self, direction: TapDirection, bytes: &[u8]) {
        let (sign, offset) = match direction {
            TapDirection::Sent => ('>', &mut self.sent),
            TapDirection::Received => ('<', &mut self.received),
        };
        let lines = lines(&format!("{}{sign}", self.label), *offset, bytes);
        *offset += bytes.len() as u64;
        self.out.0.lock().unwrap_or_else(PoisonError::into_inner).write(&lines);
    }
}

impl ServerDump {
    /// As [`HexDump::open`].
    pub fn open(path: &Path, report: &Report) -> Result<ServerDump, Failure> {
        Ok(ServerDump(Arc::new(Mutex::new(DumpOutput::open(path, report)?))))
    }

    /// The stream of connection `conn`, whose bytes are dumped from now on.
    pub fn observe(&self, conn: u64, stream: Stream) -> Stream {
        let dump = self.with_label(format!("{conn} "));
        stream.observed(Arc::new(ConnectionDump(Mutex::new(dump))))
    }

    /// Dumps a datagram; its lines begin with the peer's address.
    pub fn datagram(&self, direction: TapDirection, peer: &Address, payload: &[u8]) {
        let label = format!("{} ", escape(&peer.to_string()));
        self.with_label(label).on_bytes(direction, payload);
    }

    fn with_label(&self, label: String) -> HexDump {
        HexDump { label, out: self.clone(), sent: 0, received: 0 }
    }
}

impl StreamObserver for ConnectionDump {
    fn on_call(&self, call: Call<'_>) {
        let (direction, bytes) = match call {
            Call::Sent(bytes, _) => (TapDirection::Sent, bytes),
            Call::Received(bytes) => (TapDirection::Received, bytes),
            _ => return,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).on_bytes(direction, bytes);
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
            let file = opened.map_err(|e| Failure::write_file(path.display(), e))?;
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
                    report.record_write_error(&Failure::write_file(name, e));
                }
            }
        }
    }
}

/// The lines of one received datagram, with its own offsets.
pub fn received(datagram: &[u8]) -> String {
    lines("<", 0, datagram)
}

/// Lines of `bytes` from `offset` on, each of which begins with `start`.
fn lines(start: &str, offset: u64, bytes: &[u8]) -> String {
    let lines = (offset..).step_by(WIDTH).zip(bytes.chunks(WIDTH));
    lines.map(|(offset, bytes)| line(start, offset, bytes)).collect()
}

fn line(start: &str, offset: u64, bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let plain: String = bytes
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '.' })
        .collect();
    let hex = hex.join(" ");
    format!("{start} {offset:08x}  {hex:<width$}  |{plain}|\n", width = WIDTH * 3 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_start_offset_hex_and_text() {
        let dumped = lines("3 >", 16, b"hello\n\x1b");
        assert!(dumped.starts_with("3 > 00000010  68 65 6c 6c 6f 0a 1b "), "{dumped}");
        assert!(dumped.ends_with("  |hello..|\n"), "{dumped}");
        let dumped = received(&[b'x'; 17]);
        let starts: Vec<_> = dumped.lines().map(|line| &line[..10]).collect();
        assert_eq!(starts, ["< 00000000", "< 00000010"]);
    }

    #[test]
    fn each_direction_has_its_own_offsets() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let dump = ServerDump::open(file.path(), &Report::plain()).unwrap();
        let mut dump = dump.with_label("3 ".into());
        dump.on_bytes(TapDirection::Received, &[b'x'; 17]);
        dump.on_bytes(TapDirection::Sent, b"y");
        dump.on_bytes(TapDirection::Received, b"z");
        let dumped = std::fs::read_to_string(file.path()).unwrap();
        let starts: Vec<_> = dumped.lines().map(|line| &line[..12]).collect();
        assert_eq!(starts, ["3 < 00000000", "3 < 00000010", "3 > 00000000", "3 < 00000011"]);
    }
}
