//! The exit code of a connection that failed after it was established.

use std::fmt;
use std::io;

use super::{ExitCode, Failure, Phase};

impl Failure {
    /// A connection that failed while receiving, after `received` bytes: 18 once bytes had
    /// arrived, 56 before. What a layer reports (`LayerError`) keeps its phase and code.
    pub fn receive(peer: impl fmt::Display, error: io::Error, received: u64) -> Failure {
        let failure = after_bytes(Phase::Receive, peer, error, received);
        if received > 0 { failure.incomplete() } else { failure }
    }

    /// A connection that failed while sending, after `sent` bytes: 18 if the peer closed it or once
    /// bytes had gone either way, 55 if the local system refused to send at the very beginning.
    pub fn send(peer: impl fmt::Display, error: io::Error, sent: u64, received: u64) -> Failure {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        let is_by_peer = matches!(error.kind(), BrokenPipe | ConnectionReset);
        let failure = after_bytes(Phase::Send, peer, error, sent);
        if is_by_peer || sent > 0 || received > 0 { failure.incomplete() } else { failure }
    }

    /// A connection without a byte in either direction for the idle timeout: exit code 28.
    pub fn idle(phase: Phase, peer: impl fmt::Display) -> Failure {
        Failure::new(phase, peer, "no data for the idle timeout").with_code(ExitCode::Timeout)
    }

    /// The same failure of a transfer that was under way: 18 in place of 55 and 56.
    pub fn incomplete(self) -> Failure {
        match self.code {
            ExitCode::Send | ExitCode::Receive => self.with_code(ExitCode::Partial),
            _ => self,
        }
    }
}

/// A failure whose cause says how many bytes preceded it.
fn after_bytes(phase: Phase, peer: impl fmt::Display, error: io::Error, bytes: u64) -> Failure {
    let failure = Failure::new(phase, peer, error);
    let is_counted = matches!(failure.code, ExitCode::Send | ExitCode::Receive | ExitCode::Partial);
    Failure { after_bytes: (is_counted && bytes > 0).then_some(bytes), ..failure }
}

#[cfg(test)]
mod tests {
    use super::super::LayerError;
    use super::*;

    fn reset() -> io::Error {
        io::Error::from_raw_os_error(libc::ECONNRESET)
    }

    #[test]
    fn receive_after_bytes_is_partial() {
        let failure = Failure::receive("db:1", reset(), 3);
        assert_eq!(failure.code, ExitCode::Partial);
        assert_eq!(failure.errno(), Some(libc::ECONNRESET));
        assert_eq!(failure.to_string(), "receive db:1: Connection reset by peer after 3 bytes");
    }

    #[test]
    fn receive_before_bytes_keeps_its_code() {
        let failure = Failure::receive("db:1", reset(), 0);
        assert_eq!(failure.code, ExitCode::Receive);
        assert_eq!(failure.cause(), "Connection reset by peer");
        assert_eq!(failure.incomplete().code, ExitCode::Partial);
    }

    #[test]
    fn send_is_partial_unless_the_local_system_refused_at_the_beginning() {
        let local = || io::Error::from_raw_os_error(libc::ENETUNREACH);
        assert_eq!(Failure::send("db:1", reset(), 0, 0).code, ExitCode::Partial);
        assert_eq!(Failure::send("db:1", local(), 0, 1).code, ExitCode::Partial);
        assert_eq!(Failure::send("db:1", local(), 0, 0).code, ExitCode::Send);
    }

    #[test]
    fn layer_error_keeps_its_code_after_bytes() {
        let why = "bad record".to_string();
        let inner = LayerError { phase: Phase::Tls, code: ExitCode::Tls, why, hint: None };
        let failure = Failure::receive("db:1", io::Error::other(inner), 3);
        assert_eq!((failure.code, failure.cause().as_str()), (ExitCode::Tls, "bad record"));
    }
}
