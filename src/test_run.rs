//! A run without a process, for tests: standard output and events are files, and peers are the other
//! ends of connected pairs.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use socket2::Socket;
use tempfile::TempDir;

use crate::net::stdout::Stdout;
use crate::report::context::Context;
use crate::report::{ColorWhen, Report, ReportOptions, Verbosity};
use crate::shutdown::Shutdown;

/// The context of a run, and what it writes.
pub struct TestRun {
    /// The context.
    pub context: Context,
    /// Standard output.
    pub stdout: Stdout,
    dir: TempDir,
}

impl TestRun {
    /// A run that logs only errors.
    pub fn new() -> TestRun {
        TestRun::with_verbosity(Verbosity::Quiet)
    }

    /// A run with another verbosity.
    pub fn with_verbosity(verbosity: Verbosity) -> TestRun {
        let dir = tempfile::tempdir().unwrap();
        let events = Some((File::create(dir.path().join("events")).unwrap(), "events".into()));
        let options = ReportOptions { verbosity, json: false, color: ColorWhen::Never, events };
        let report = Report::without_stderr(options);
        let context = Context { report, shutdown: Shutdown::new(None).unwrap() };
        let stdout = Stdout::of(File::create(dir.path().join("out")).unwrap());
        TestRun { context, stdout, dir }
    }

    /// The path of a file of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What was written to stdout.
    pub fn output(&self) -> Vec<u8> {
        fs::read(self.path("out")).unwrap()
    }

    /// The events so far, as JSON Lines.
    pub fn events(&self) -> String {
        fs::read_to_string(self.path("events")).unwrap()
    }
}

/// Both ends of a TCP connection.
pub fn tcp_pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (local.into(), listener.accept().unwrap().0.into())
}

/// Both ends of a Unix socket pair.
pub fn unix_pair() -> (Socket, Socket) {
    let (local, peer) = UnixStream::pair().unwrap();
    (local.into(), peer.into())
}
