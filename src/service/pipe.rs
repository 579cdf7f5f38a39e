//! `pipe`: connects stdin and stdout of the server to the connection, as `nc -l` does.

use std::sync::{Mutex, PoisonError};

use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::net::stdio::StdStreams;
use crate::net::stream::EndedBy;
use crate::report::Report;
use crate::transfer::TransferOptions;
use crate::transfer::duplex::{Duplex, DuplexObserver, DuplexOptions, LocalEnd, NO_END_OF_INPUT};

/// The pipe service: one connection at a time uses stdin and stdout.
pub struct Pipe {
    /// Stdin and stdout of the server.
    pub std: StdStreams,
    /// How each connection uses them.
    pub options: DuplexOptions,
    /// Where warnings go.
    pub report: Report,
    /// Held by the connection that uses stdin and stdout.
    pub lock: Mutex<()>,
}

/// Reports what happens on one connection.
struct Observer<'a> {
    connection: &'a Connection,
    report: &'a Report,
}

impl DuplexObserver for Observer<'_> {
    fn on_local_eof(&self) {
        self.connection.half_closed(EndedBy::Local);
    }

    fn on_peer_eof(&self) {
        self.connection.half_closed(EndedBy::Peer);
    }

    fn peer_silent_without_input(&self) {
        self.report.warn(Some(self.connection.conn), NO_END_OF_INPUT);
    }
}

impl Service for Pipe {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let options = DuplexOptions { is_server: true, ..self.options };
        let local = LocalEnd::standard(self.std, &options);
        let (up, down) = (TransferOptions::default(), TransferOptions::default());
        let (sent, received) = (up.meter.clone(), down.meter.clone());
        let stream = connection.take_stream();
        let observer = Observer { connection, report: &self.report };
        let shutdown = &connection.shutdown;
        let duplex = Duplex { local, up, down, options, observer: &observer, shutdown };
        let result = duplex.run(stream);
        connection.bytes_in = received.total();
        connection.bytes_out = sent.total();
        result.outcome.map(|()| result.by.into())
    }
}
