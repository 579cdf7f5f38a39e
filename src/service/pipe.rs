//! `pipe`: connects stdin and stdout of the server to the connection, as `nc -l` does.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::net::source::Source;
use crate::net::stdio::{FdStream, StdStreams};
use crate::net::stdout::Stdout;
use crate::net::stream::{EndedBy, Writer};
use crate::report::Report;
use crate::transfer::TransferOptions;
use crate::transfer::crlf::Crlf;
use crate::transfer::duplex::{
    Duplex, DuplexObserver, DuplexOptions, InputMode, LocalEnd, LocalFile, NO_END_OF_INPUT,
    OnLocalEof,
};

/// The pipe service: one connection at a time uses stdin and stdout.
pub struct Pipe {
    /// Stdin and stdout of the server.
    pub std: StdStreams,
    /// How each connection uses them.
    pub options: PipeOptions,
    /// Where warnings go.
    pub report: Report,
    /// Held by the connection that uses stdin and stdout.
    pub lock: Mutex<()>,
}

/// How a connection uses stdin and stdout.
pub struct PipeOptions {
    /// Closes a connection on which no byte moves for this long.
    pub idle: Option<Duration>,
    /// Whether stdin is read.
    pub input: InputMode,
    /// What follows the end of stdin.
    pub on_local_eof: OnLocalEof,
    /// How long after the peer's end of stream a silent stdin closes the connection.
    pub exit_on_eof: Option<Duration>,
    /// How long neither side may send anything before stdin counts as ended.
    pub input_timeout: Option<Duration>,
    /// How long the peer may be silent after the end of stdin.
    pub linger: Option<Duration>,
    /// Pause after each line sent.
    pub line_delay: Option<Duration>,
    /// Whether LF is sent as CR LF.
    pub crlf: bool,
}

impl PipeOptions {
    fn duplex(&self) -> DuplexOptions {
        DuplexOptions {
            on_end: self.on_local_eof,
            idle: self.idle,
            input_timeout: self.input_timeout,
            linger: self.linger,
            delay: Duration::ZERO,
            shared_input: true,
            exit_on_eof: self.exit_on_eof,
            finishes: true,
        }
    }

    /// What happens to sent and to received bytes.
    fn transfers(&self) -> (TransferOptions, TransferOptions) {
        let up = TransferOptions {
            line_delay: self.line_delay,
            filter: self.crlf.then(Crlf::default),
            ..TransferOptions::default()
        };
        (up, TransferOptions::default())
    }

    /// Where received bytes go.
    fn output(&self, stdout: Stdout) -> Box<dyn Writer> {
        match self.on_local_eof {
            OnLocalEof::SendOnly => Box::new(io::sink()),
            _ => Box::new(FdStream(stdout.fd())),
        }
    }
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
        let StdStreams { stdin, stdout, .. } = self.std;
        let local = LocalEnd {
            reader: self.options.input.input(stdin, |stdin| Box::new(Source::new(stdin, None))),
            writer: self.options.output(stdout),
            input: LocalFile::stdin(stdin),
            output: LocalFile::stdout(stdout.fd()),
            endless: stdin.is_terminal(),
        };
        let options = self.options.duplex();
        let (up, down) = self.options.transfers();
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
