//! Plain text that meets TLS: a server of TLS answers it with a fatal alert and closes. To whoever
//! expects plain text that looks like an end that is whole, with seven odd bytes before it.

use std::io;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::stream::Reader;
use crate::error::{ExitCode, LayerError, Phase};
use crate::shutdown::poll_until;

/// Bytes of an alert in a record of its own (RFC 8446 §5.1, §6).
pub const ALERT: usize = 7;

/// Whether these bytes are a fatal alert, and nothing else is.
pub fn is_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15, 3, 0..=4, 0, 2, 2, _])
}

/// Waits for the first bytes of a bare socket, and looks whether they are an alert; they stay
/// where they are.
///
/// Fails with what befell the connection meanwhile: the kernel tells a reset once, and would
/// then have an end that looks whole for whoever reads next.
pub fn begins_with_alert(reader: &dyn Reader) -> io::Result<bool> {
    let Some(socket) = reader.raw() else { return Ok(false) };
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let mut first = [0; ALERT];
    poll_until(&mut fds, None)?;
    match recv(socket, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, n)) => Ok(is_alert(&first[..n])),
        Err(Errno::AGAIN | Errno::INTR | Errno::NOTSOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// What it means when an alert was all that came.
pub fn plaintext_to_tls_error() -> io::Error {
    let inner = LayerError {
        stage: Phase::Tls,
        code: ExitCode::Tls,
        why: "the peer answers plain text with a TLS alert".to_string(),
        hint: Some("the peer speaks TLS on this port (--tls)"),
    };
    io::Error::new(io::ErrorKind::InvalidData, inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_fatal_alert_is_one() {
        assert!(is_alert(b"\x15\x03\x01\x00\x02\x02\x46"));
        for other in [&b"\x15\x03\x01\x00\x02\x02"[..], b"\x15\x03\x01\x00\x02\x01\x00", b"hello!!"]
        {
            assert!(!is_alert(other));
        }
    }
}
