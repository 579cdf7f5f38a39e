//! Plain text sent to a TLS port: the server answers with a fatal alert and closes. A plain-text
//! client would take that for a clean end of stream after seven bytes of data.

use std::io;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::stream::Reader;
use crate::error::{ExitCode, LayerError, Phase};
use crate::poll::poll_fd;

/// Bytes of an alert in a record of its own (RFC 8446 §5.1, §6).
pub const ALERT_LEN: usize = 7;

/// Whether these bytes are a fatal alert, and nothing else.
pub fn is_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15, 3, 0..=4, 0, 2, 2, _])
}

/// Waits for the first bytes of a socket without layers, and returns whether they are an alert,
/// without reading them.
///
/// Fails if the connection fails meanwhile: the kernel reports a reset once, and the next read would
/// return a clean end of stream.
pub fn begins_with_alert(reader: &dyn Reader) -> io::Result<bool> {
    let Some(socket) = reader.plain_fd() else { return Ok(false) };
    let mut first = [0; ALERT_LEN];
    poll_fd(socket, PollFlags::IN, None)?;
    match recv(socket, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, n)) => Ok(is_alert(&first[..n])),
        Err(Errno::AGAIN | Errno::INTR | Errno::NOTSOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The error when an alert was all that arrived.
pub fn plaintext_to_tls_error() -> io::Error {
    let inner = LayerError {
        phase: Phase::Tls,
        code: ExitCode::Tls,
        why: "the peer answered plain text with a TLS alert".to_string(),
        hint: Some("the peer expects TLS on this port (--tls)"),
    };
    io::Error::new(io::ErrorKind::InvalidData, inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_fatal_alert_is_one() {
        assert!(is_alert(b"\x15\x03\x01\x00\x02\x02\x46"));
        for other in [&b"\x15\x03\x01\x00\x02\x02"[..], b"\x15\x03\x01\x00\x02\x01\x00", b"hello!!"]
        {
            assert!(!is_alert(other));
        }
    }
}
