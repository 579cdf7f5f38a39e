//! The steps of a run, in the order of a connection's life.

use std::fmt;

use super::Code;

/// The step of a run at which something failed; the first word of every error line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Turning a name into addresses, or an address into names.
    Resolve,
    /// Turning a service name into a port number, or reading a port number.
    Port,
    /// `socket(2)`, and the options that precede bind or connect.
    Socket,
    /// `bind(2)`.
    Bind,
    /// `listen(2)`, and waiting for a caller under `--accept-timeout`.
    Listen,
    /// `connect(2)`, one address or all of them.
    Connect,
    /// The conversation with a SOCKS or HTTP proxy.
    Proxy,
    /// The TLS handshake and the judgement of certificates.
    Tls,
    /// Moving our bytes to the peer.
    Send,
    /// The half-close: `shutdown(2)`, or TLS `close_notify`.
    Shutdown,
    /// Moving the peer's bytes to us, and reading sense into them.
    Receive,
    /// Reading our own standard input.
    Stdin,
    /// Writing our own standard output.
    Stdout,
    /// Any other local file: `--input`, `--output`, `--ca-file`, `@FILE`, a program to run.
    File,
}

impl Stage {
    /// Every stage, in the order of a connection's life.
    pub const ALL: [Stage; 14] = [
        Stage::Resolve,
        Stage::Port,
        Stage::Socket,
        Stage::Bind,
        Stage::Listen,
        Stage::Connect,
        Stage::Proxy,
        Stage::Tls,
        Stage::Send,
        Stage::Shutdown,
        Stage::Receive,
        Stage::Stdin,
        Stage::Stdout,
        Stage::File,
    ];

    /// The word that error lines and JSON events use.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Resolve => "resolve",
            Stage::Port => "port",
            Stage::Socket => "socket",
            Stage::Bind => "bind",
            Stage::Listen => "listen",
            Stage::Connect => "connect",
            Stage::Proxy => "proxy",
            Stage::Tls => "tls",
            Stage::Send => "send",
            Stage::Shutdown => "shutdown",
            Stage::Receive => "receive",
            Stage::Stdin => "stdin",
            Stage::Stdout => "stdout",
            Stage::File => "file",
        }
    }

    /// The exit code of a failure at this stage when nothing more is known about it.
    pub fn code(self) -> Code {
        match self {
            Stage::Resolve | Stage::Port => Code::Resolve,
            Stage::Socket | Stage::Connect | Stage::Proxy => Code::Connect,
            Stage::Bind | Stage::Listen => Code::Bind,
            Stage::Tls => Code::Tls,
            Stage::Send | Stage::Shutdown => Code::Send,
            Stage::Receive => Code::Receive,
            Stage::Stdin | Stage::File => Code::Read,
            Stage::Stdout => Code::Write,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
