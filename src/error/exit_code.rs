//! The one table of exit codes.

/// Defines [`ExitCode`] by rows of a variant, its number and its meaning.
macro_rules! exit_codes {
    ($($name:ident = $number:literal: $meaning:literal,)*) => {
        /// The exit status of a command. One table for all commands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ExitCode {
            $(#[doc = $meaning] $name = $number,)*
        }

        impl ExitCode {
            /// Every code in numeric order, with its meaning in help, man pages and docs/exit-codes.md.
            pub const ALL: [(ExitCode, &'static str); [$($number),*].len()] =
                [$((ExitCode::$name, $meaning)),*];
        }
    };
}

exit_codes! {
    Done = 0: "success; also when the reader of stdout closed it early",
    Negative = 1: "a negative result (--verify mismatch, --expect not met, ping without a reply), \
        or an unexpected error",
    Usage = 2: "usage error, or a malformed address, URL or rule",
    Resolve = 6: "the name or service does not resolve, an address has no name",
    Connect = 7: "could not connect (refused, unreachable; the proxy itself too)",
    Protocol = 8: "the response violates its protocol (HTTP, SOCKS, CONNECT, DNS)",
    Partial = 18: "the transfer is incomplete: truncated, or reset after data was received or \
        before all was delivered",
    Status = 22: "HTTP status 400 or above (the body is still delivered)",
    Write = 23: "could not write locally (disk full)",
    Read = 26: "could not read locally (a missing --input, --file, --ca-file, @FILE)",
    Timeout = 28: "a time limit was reached; the message names the phase",
    Tls = 35: "the TLS handshake failed, or the client certificate was refused",
    Bind = 45: "could not bind or listen (in use, no permission, no such address, path occupied \
        or too long)",
    Redirect = 47: "too many redirects, or one that must not be followed",
    Empty = 52: "the peer closed without sending a response (http-get)",
    Send = 55: "sending failed before any data was transferred",
    Receive = 56: "receiving failed before any data was transferred",
    Certificate = 60: "the peer's certificate was not accepted",
    Coding = 61: "the content coding is malformed",
    Limit = 63: "a size limit was reached (header size, decoded size, message size)",
    TryAgain = 75: "the resolver itself failed (SERVFAIL, REFUSED, EAI_AGAIN); try again",
    Proxy = 97: "the proxy refused (authentication, rule, CONNECT status)",
    Interrupted = 130: "ended by SIGINT",
    Terminated = 143: "ended by SIGTERM (a server that drained completely: 0)",
}

impl ExitCode {
    /// The number itself.
    pub fn number(self) -> u8 {
        self as u8
    }
}
