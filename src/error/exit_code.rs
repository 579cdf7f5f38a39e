//! The one table of exit codes.

/// A number that comes back to the shell. One table for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// A negative answer, or something unforeseen.
    Negative = 1,
    /// Usage, or a malformed address, URL or rule.
    Usage = 2,
    /// A name or service does not resolve.
    Resolve = 6,
    /// Could not connect.
    Connect = 7,
    /// The answer breaks its protocol.
    Protocol = 8,
    /// The transfer ended early.
    Partial = 18,
    /// HTTP status 400 or above.
    Status = 22,
    /// Could not write locally.
    Write = 23,
    /// Could not read locally.
    Read = 26,
    /// A time limit passed.
    Timeout = 28,
    /// TLS handshake failed.
    Tls = 35,
    /// Could not bind or listen.
    Bind = 45,
    /// Redirects.
    Redirect = 47,
    /// The peer closed without a byte of answer.
    Empty = 52,
    /// Sending failed.
    Send = 55,
    /// Receiving failed.
    Receive = 56,
    /// The peer's certificate was not accepted.
    Certificate = 60,
    /// Content coding is broken.
    Coding = 61,
    /// A limit of ours was reached.
    Limit = 63,
    /// The resolver itself is failing.
    TryAgain = 75,
    /// The proxy refused.
    Proxy = 97,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl ExitCode {
    /// Every code in numeric order, with the meaning that help, man pages and README print.
    pub const ALL: [(ExitCode, &'static str); 24] = [
        (ExitCode::Done, "done; also when the reader of our stdout went away early"),
        (
            ExitCode::Negative,
            "a negative answer (--verify mismatch, --expect not met, ping without a reply), or something unforeseen",
        ),
        (ExitCode::Usage, "usage, a malformed address, URL or rule"),
        (ExitCode::Resolve, "the name or service does not resolve, an address has no name"),
        (ExitCode::Connect, "could not connect (refused, unreachable; the proxy itself too)"),
        (ExitCode::Protocol, "the answer breaks its protocol (HTTP, SOCKS, CONNECT, DNS)"),
        (
            ExitCode::Partial,
            "the transfer ended early: truncated, reset after data came or while ours was undelivered",
        ),
        (ExitCode::Status, "HTTP status 400 or above (the body is still delivered)"),
        (ExitCode::Write, "could not write locally (disk full)"),
        (ExitCode::Read, "could not read locally (a missing --input, --file, --ca-file, @FILE)"),
        (ExitCode::Timeout, "a time limit passed; the message names the phase"),
        (ExitCode::Tls, "TLS handshake failed, or our client certificate was refused"),
        (
            ExitCode::Bind,
            "could not bind or listen (in use, no permission, no such address, path occupied or too long)",
        ),
        (ExitCode::Redirect, "redirects: too many, or one that must not be followed"),
        (ExitCode::Empty, "the peer closed without a byte of answer (http-get)"),
        (ExitCode::Send, "sending failed when nothing had come and nothing was undelivered"),
        (ExitCode::Receive, "receiving failed when nothing had come and nothing was undelivered"),
        (ExitCode::Certificate, "the peer's certificate was not accepted"),
        (ExitCode::Coding, "content coding is broken"),
        (ExitCode::Limit, "a limit of ours was reached (header size, decoded size, message size)"),
        (
            ExitCode::TryAgain,
            "the resolver itself is failing (SERVFAIL, REFUSED, EAI_AGAIN): try again",
        ),
        (ExitCode::Proxy, "the proxy refused (authentication, rule, CONNECT status)"),
        (ExitCode::Interrupted, "ended by SIGINT"),
        (ExitCode::Terminated, "ended by SIGTERM (a server that drained completely: 0)"),
    ];

    /// The number itself.
    pub fn number(self) -> u8 {
        self as u8
    }
}
