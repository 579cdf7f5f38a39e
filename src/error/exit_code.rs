//! The one table of exit codes.

/// The exit status of a command. One table for all commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Success.
    Done = 0,
    /// A negative result, or an unexpected error.
    Negative = 1,
    /// Usage, or a malformed address, URL or rule.
    Usage = 2,
    /// A name or service does not resolve.
    Resolve = 6,
    /// Could not connect.
    Connect = 7,
    /// The response violates its protocol.
    Protocol = 8,
    /// The transfer ended early.
    Partial = 18,
    /// HTTP status 400 or above.
    Status = 22,
    /// Could not write locally.
    Write = 23,
    /// Could not read locally.
    Read = 26,
    /// A time limit was reached.
    Timeout = 28,
    /// TLS handshake failed.
    Tls = 35,
    /// Could not bind or listen.
    Bind = 45,
    /// Too many redirects, or one that must not be followed.
    Redirect = 47,
    /// The peer closed without sending a response.
    Empty = 52,
    /// Sending failed.
    Send = 55,
    /// Receiving failed.
    Receive = 56,
    /// The peer's certificate was not accepted.
    Certificate = 60,
    /// The content coding is malformed.
    Coding = 61,
    /// A size limit was reached.
    Limit = 63,
    /// The resolver itself fails.
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
        (ExitCode::Done, "success; also when the reader of stdout closed it early"),
        (
            ExitCode::Negative,
            "a negative result (--verify mismatch, --expect not met, ping without a reply), or an unexpected error",
        ),
        (ExitCode::Usage, "usage error, or a malformed address, URL or rule"),
        (ExitCode::Resolve, "the name or service does not resolve, an address has no name"),
        (ExitCode::Connect, "could not connect (refused, unreachable; the proxy itself too)"),
        (ExitCode::Protocol, "the response violates its protocol (HTTP, SOCKS, CONNECT, DNS)"),
        (
            ExitCode::Partial,
            "the transfer is incomplete: truncated, or reset after data was received or before all was delivered",
        ),
        (ExitCode::Status, "HTTP status 400 or above (the body is still delivered)"),
        (ExitCode::Write, "could not write locally (disk full)"),
        (ExitCode::Read, "could not read locally (a missing --input, --file, --ca-file, @FILE)"),
        (ExitCode::Timeout, "a time limit was reached; the message names the phase"),
        (ExitCode::Tls, "the TLS handshake failed, or the client certificate was refused"),
        (
            ExitCode::Bind,
            "could not bind or listen (in use, no permission, no such address, path occupied or too long)",
        ),
        (ExitCode::Redirect, "too many redirects, or one that must not be followed"),
        (ExitCode::Empty, "the peer closed without sending a response (http-get)"),
        (ExitCode::Send, "sending failed before any data was transferred"),
        (ExitCode::Receive, "receiving failed before any data was transferred"),
        (ExitCode::Certificate, "the peer's certificate was not accepted"),
        (ExitCode::Coding, "the content coding is malformed"),
        (ExitCode::Limit, "a size limit was reached (header size, decoded size, message size)"),
        (
            ExitCode::TryAgain,
            "the resolver itself failed (SERVFAIL, REFUSED, EAI_AGAIN); try again",
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
