//! The phases of a run, in the order of a connection's life.

use std::fmt;

use super::ExitCode;

/// The phase of a run at which something failed; the first word of every error line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Turning a name into addresses, or an address into names.
    Resolve,
    /// Turning a service name into a port number, or reading a port number.
    Port,
    /// `socket(2)`, and the options that precede bind or connect.
    Socket,
    /// `bind(2)`.
    Bind,
    /// `listen(2)`, and waiting for a connection under `--accept-timeout`.
    Listen,
    /// `connect(2)`, one address or all of them.
    Connect,
    /// The request to a SOCKS or HTTP proxy.
    Proxy,
    /// The TLS handshake and the verification of certificates.
    Tls,
    /// Sending to the peer.
    Send,
    /// The half-close: `shutdown(2)`, or TLS `close_notify`.
    Shutdown,
    /// Receiving from the peer, and parsing what it sent.
    Receive,
    /// Reading standard input.
    Stdin,
    /// Writing standard output.
    Stdout,
    /// Any other local file: `--input`, `--output`, `--ca-file`, `@FILE`, a program to run.
    File,
}

impl Phase {
    /// Every phase, in the order of a connection's life.
    pub const ALL: [Phase; 14] = {
        use Phase::*;
        [
            Resolve, Port, Socket, Bind, Listen, Connect, Proxy, Tls, Send, Shutdown, Receive,
            Stdin, Stdout, File,
        ]
    };

    /// The names of [`Phase::ALL`].
    const NAMES: [&'static str; 14] = [
        "resolve", "port", "socket", "bind", "listen", "connect", "proxy", "tls", "send",
        "shutdown", "receive", "stdin", "stdout", "file",
    ];

    /// The name that error lines and JSON events use.
    pub fn name(self) -> &'static str {
        Phase::NAMES[self as usize]
    }

    /// The default exit code of a failure at this phase.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Phase::Resolve | Phase::Port => ExitCode::Resolve,
            Phase::Socket | Phase::Connect | Phase::Proxy => ExitCode::Connect,
            Phase::Bind | Phase::Listen => ExitCode::Bind,
            Phase::Tls => ExitCode::Tls,
            Phase::Send | Phase::Shutdown => ExitCode::Send,
            Phase::Receive => ExitCode::Receive,
            Phase::Stdin | Phase::File => ExitCode::Read,
            Phase::Stdout => ExitCode::Write,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
