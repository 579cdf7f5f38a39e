//! A connected stream in two halves, each of which one thread owns.
//!
//! A layer (TLS, a proxy) takes a [`Stream`] and returns a [`Stream`].

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::Socket;

use super::address::Address;
pub use super::connection_handle::{ConnectionHandle, TRUNCATION_HINT};
pub use super::connection_info::{ConnectionInfo, EndedBy, PeerCertificate, PeerCredentials};
use super::stream_observer::Observation;
use crate::poll::poll_fd;

/// The half that receives.
///
/// A read may fail with [`io::ErrorKind::Interrupted`] although no signal arrived, when a record of a
/// layer had no data; it is repeated, unless the caller has a deadline.
pub trait Reader: Read + Send {
    /// Returns the descriptor if the bytes on it are the user's bytes and none are buffered: only
    /// then may the kernel move them (`splice(2)`).
    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Returns the offset in the file of [`Reader::plain_fd`] at which the data ends, where that is
    /// fixed: a file that ends before it was truncated meanwhile.
    fn end_offset(&self) -> Option<u64> {
        None
    }

    /// What an observer needs of this half: the kernel must not move bytes that it records.
    fn observation(&self) -> Observation {
        Observation::None
    }

    /// As `read`, for bytes that are discarded: at most the length of `scratch`, whose contents are
    /// unspecified afterwards.
    fn skip(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        self.read(scratch)
    }

    /// Whether a read would not block. False for a layer that does not know.
    fn is_ready(&self) -> bool {
        let ready = |fd| poll_fd(fd, PollFlags::IN, Some(Instant::now()));
        self.plain_fd().is_some_and(|fd| ready(fd).is_ok_and(|events| !events.is_empty()))
    }
}

/// The half that sends.
pub trait Writer: Write + Send {
    /// Half-closes: sends TLS `close_notify`, then calls `shutdown(2)` with `SHUT_WR`. Reading
    /// continues.
    fn half_close(&mut self) -> io::Result<()>;

    /// As [`Reader::plain_fd`], for the other direction.
    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// As [`Reader::observation`].
    fn observation(&self) -> Observation {
        Observation::None
    }

    /// Called when sendfile(2) has sent `bytes` bytes of a file, from `offset` on.
    fn on_sendfile(&self, offset: u64, bytes: usize) {
        let _ = (offset, bytes);
    }
}

/// A connected stream, in parts that each have one owner.
pub struct Stream {
    /// Receives from the peer.
    pub reader: Box<dyn Reader>,
    /// Sends to the peer.
    pub writer: Box<dyn Writer>,
    /// Ends the connection from any thread.
    pub handle: ConnectionHandle,
    /// What is known about the connection.
    pub info: ConnectionInfo,
}

/// One half of a connected socket without layers.
struct SocketHalf(Arc<Socket>);

impl Read for SocketHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_ref().read(buffer)
    }
}

impl Write for SocketHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.send_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader for SocketHalf {
    /// TCP discards the bytes without copying them (tcp(7), `MSG_TRUNC`).
    #[cfg(target_os = "linux")]
    fn skip(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        let (_, n) = rustix::net::recv(self.0.as_fd(), scratch, rustix::net::RecvFlags::TRUNC)?;
        Ok(n)
    }

    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl Writer for SocketHalf {
    fn half_close(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl Stream {
    /// A connected, blocking socket as a stream, with the addresses the kernel knows.
    ///
    /// Fails when the peer has closed already (`getpeername(2)`).
    pub fn from_socket(socket: Socket) -> io::Result<Stream> {
        let peer = Address::from(&socket.peer_addr()?);
        Stream::with_peer(socket, peer)
    }

    /// As [`Stream::from_socket`], with the peer's address that `accept(2)` returned.
    ///
    /// On failure the connection is reset, because a clean close would look like a complete stream.
    pub fn with_peer(socket: Socket, peer: Address) -> io::Result<Stream> {
        let local = socket.local_addr().inspect_err(|_| {
            let _ = socket.set_linger(Some(Duration::ZERO));
        })?;
        let info = ConnectionInfo::new(&socket, Address::from(&local), peer);
        let socket = Arc::new(socket);
        Ok(Stream {
            reader: Box::new(SocketHalf(socket.clone())),
            writer: Box::new(SocketHalf(socket.clone())),
            handle: ConnectionHandle::new(socket),
            info,
        })
    }
}
