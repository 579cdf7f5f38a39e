//! `--record`: relayed bytes as a capture file, as if they had been captured between client and
//! target.
//!
//! The packets are synthesized: addresses are those of client and target, sequence numbers count the
//! relayed bytes, FIN and RST are where they were passed on. TLS that the relay ends is not in it.

mod capture_file;
mod conversation;
mod endpoints;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use capture_file::CaptureFile;
use conversation::Conversation;
use endpoints::PacketEndpoints;

use super::direction::Direction;
use crate::error::Failure;
use crate::net::address::Address;
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::transfer::tap::{TapDirection, TapSink};

/// Writes the capture file of a run. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    file: Arc<Mutex<CaptureFile>>,
    report: Report,
}

/// Writes one connection. Clones share it.
#[derive(Clone)]
pub struct RecordedConnection {
    recorder: Recorder,
    conversation: Arc<Mutex<Conversation>>,
}

/// Writes the datagrams of one flow.
pub struct RecordedFlow {
    recorder: Recorder,
    endpoints: PacketEndpoints,
}

impl Recorder {
    /// Replaces the file at `path`; `-` is `stdout`. A later write error is logged once by `report`,
    /// and nothing more is recorded.
    ///
    /// Fails at `Phase::File` with 23 when the file cannot be opened.
    pub fn create(path: &Path, stdout: Stdout, report: &Report) -> Result<Recorder, Failure> {
        let file = Arc::new(Mutex::new(CaptureFile::create(path, stdout)?));
        let recorder = Recorder { file, report: report.clone() };
        recorder.write(&[]);
        Ok(recorder)
    }

    /// Records that connection `conn` was established.
    pub fn connection(&self, conn: u64, client: &Address, target: &Address) -> RecordedConnection {
        let mut conversation =
            Conversation::new(PacketEndpoints::new(conn, client, target), conn as u32);
        self.write(&conversation.open());
        RecordedConnection { recorder: self.clone(), conversation: Arc::new(conversation.into()) }
    }

    /// Records that connection `conn` was refused, or has no target.
    pub fn refused(&self, conn: u64, client: &Address, target: &Address) {
        let endpoints = PacketEndpoints::new(conn, client, target);
        self.write(&Conversation::new(endpoints, conn as u32).refuse());
    }

    /// The record of flow `conn`.
    pub fn flow(&self, conn: u64, client: &Address, target: &Address) -> RecordedFlow {
        let endpoints = PacketEndpoints::new(conn, client, target);
        RecordedFlow { recorder: self.clone(), endpoints }
    }

    fn write(&self, packets: &[Vec<u8>]) {
        let written = lock(&self.file).write(packets);
        if let Err(failure) = written {
            self.report.record_write_error(&failure);
        }
    }
}

impl RecordedFlow {
    /// Records a datagram.
    pub fn datagram(&self, direction: Direction, payload: &[u8]) {
        self.recorder.write(&[self.endpoints.datagram(direction, payload)]);
    }
}

impl RecordedConnection {
    /// Records the next bytes of one direction.
    pub fn bytes(&self, direction: Direction, bytes: &[u8]) {
        self.record(|conversation| conversation.data(direction, bytes));
    }

    /// Records that the sender of `direction` has half-closed.
    pub fn half_closed(&self, direction: Direction) {
        self.record(|conversation| conversation.finish(direction));
    }

    /// Records a reset by the sender of `direction`. Nothing follows it.
    pub fn reset(&self, direction: Direction) {
        self.record(|conversation| conversation.reset(direction));
    }

    /// Keeps the packets of both directions in the order of their sequence numbers.
    fn record(&self, packets: impl FnOnce(&mut Conversation) -> Vec<Vec<u8>>) {
        let mut conversation = lock(&self.conversation);
        self.recorder.write(&packets(&mut conversation));
    }
}

impl TapSink for RecordedConnection {
    /// What is sent goes to the target.
    fn on_bytes(&mut self, direction: TapDirection, bytes: &[u8]) {
        let direction = match direction {
            TapDirection::Sent => Direction::ToTarget,
            TapDirection::Received => Direction::ToClient,
        };
        self.bytes(direction, bytes);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
