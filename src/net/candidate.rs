//! A socket that connects to one address: connect(2) without waiting, and its result.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::Socket;

/// A socket that connects, or is connected, to an address.
pub(super) struct Candidate {
    pub socket: Socket,
    pub address: SocketAddr,
}

impl Candidate {
    /// Calls connect(2), and returns its result if it has one already. After an interruption by a
    /// signal the connection may be in progress or not: a second call returns the error.
    pub fn start(&self) -> Option<io::Result<()>> {
        let address = self.address.into();
        let begun =
            self.socket.set_nonblocking(true).and_then(|()| match self.socket.connect(&address) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => self.socket.connect(&address),
                begun => begun,
            });
        match begun.as_ref().map_err(io::Error::raw_os_error) {
            Err(Some(libc::EINPROGRESS | libc::EALREADY)) => None,
            _ => Some(begun.and_then(|()| self.finish())),
        }
    }

    /// Returns the result of a connect(2) in progress, once it has one.
    pub fn result(&self) -> Option<io::Result<()>> {
        if super::tcp_info::was_established(self.socket.as_fd()) {
            return Some(self.finish());
        }
        match self.socket.take_error() {
            Ok(Some(error)) | Err(error) => Some(Err(error)),
            Ok(None) => self.socket.peer_addr().ok().map(|_| self.finish()),
        }
    }

    /// Makes the connected socket blocking. Without a listener, and with that very port chosen by the
    /// kernel as the local one, TCP's simultaneous open (RFC 9293 §3.5) has connected the socket to
    /// itself: that is a refusal.
    fn finish(&self) -> io::Result<()> {
        let local = self.socket.local_addr().ok().and_then(|local| local.as_socket());
        if local == Some(self.address) {
            return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        }
        self.socket.set_nonblocking(false)
    }
}
