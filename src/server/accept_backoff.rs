//! The pauses between calls of accept(2) that fail.

use std::io;
use std::time::Duration;

use crate::error::{Failure, Phase};
use crate::net::address::Address;

/// The first pause after a failed accept, doubled up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(5);
/// Short enough to resume promptly, long enough to use no processor time.
pub const MAX_PAUSE: Duration = Duration::from_millis(250);
/// Consecutive failures, none of them a shortage, after which the listener is considered broken.
const MAX_FAILURES: u32 = 64;

/// A series of failed calls of accept(2).
#[derive(Default)]
pub struct AcceptBackoff {
    failures: u32,
    /// Failures that are neither the peer's nor a shortage.
    unexpected: u32,
    pause: Duration,
}

impl AcceptBackoff {
    /// How long to pause after this failure; the first of a series is passed to `warn`.
    ///
    /// Fails when the listener is broken.
    pub fn next_pause(
        &mut self,
        e: &io::Error,
        local: &Address,
        warn: impl FnOnce(String),
    ) -> Result<Duration, Failure> {
        if !is_transient(e) {
            self.unexpected += 1;
        }
        if self.unexpected >= MAX_FAILURES {
            return Err(Failure::new(Phase::Listen, local, io::Error::from(e.kind())));
        }
        if self.failures == 0 {
            let why = crate::error::message_without_errno(e);
            warn(format!("accept on {local}: {why}; new connections wait in the backlog"));
        }
        self.failures += 1;
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        let pause = self.pause.as_secs_f64();
        tracing::debug!(failures = self.failures, pause, "accept(2) fails, pauses");
        Ok(self.pause)
    }
}

/// Whether a failure of accept(2) does not concern the listener: the connection failed between
/// its SYN and the accept (accept(2) asks to treat these errors like EAGAIN), or there is a shortage.
fn is_transient(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(
            libc::EINTR
                | libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    #[test]
    fn shortages_pause_longer_each_time_and_warn_once() {
        let (mut backoff, mut warnings) = (AcceptBackoff::default(), Vec::new());
        let mut pauses = Vec::new();
        for _ in 0..100 {
            let pause = backoff.next_pause(&errno(libc::EMFILE), &Address::Unnamed, |warning| {
                warnings.push(warning);
            });
            pauses.push(pause.unwrap());
        }
        assert_eq!((pauses[0], pauses[1], pauses[99]), (MIN_PAUSE, 2 * MIN_PAUSE, MAX_PAUSE));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].ends_with("new connections wait in the backlog"), "{}", warnings[0]);
    }

    #[test]
    fn listener_that_always_fails_is_broken() {
        let mut backoff = AcceptBackoff::default();
        let mut fail = || backoff.next_pause(&errno(libc::EBADF), &Address::Unnamed, drop);
        for _ in 1..MAX_FAILURES {
            fail().unwrap();
        }
        assert_eq!(fail().unwrap_err().phase, Phase::Listen);
    }
}
