//! A bound datagram socket: waits for datagrams, sends them, and tells whose errors came back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Socket};

use super::message::{IcmpError, Transmit};
use super::sender::{Sender, SharedSocket, is_unsupported};
use super::{RecvBatch, portable};
use crate::net::address::Address;
#[cfg(target_os = "linux")]
use crate::process::sockopt::receive_icmp_errors;
use crate::shutdown::{Shutdown, WaitOutcome};

/// The kernel's own default holds 25 datagrams of 8 KiB, fewer than one burst.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A datagram socket and how it is best spoken to.
#[derive(Debug)]
pub struct DatagramSocket {
    post: Arc<SharedSocket>,
    local: Address,
    outlet: Option<BorrowedFd<'static>>,
    is_unheard: bool,
}

impl DatagramSocket {
    /// Sends from other threads by the same socket.
    pub fn sender(&self) -> Sender {
        Sender(self.post.clone())
    }

    /// A server's: every datagram's own destination known, merged ones taken, a wide receive buffer
    /// unless `narrow` (the user has chosen its size).
    ///
    /// A pipe that what comes is written to may be given as `outlet`: once its reader has gone,
    /// receiving brings nothing ([`DatagramSocket::is_unheard`]).
    ///
    /// Fails when the socket is not bound. What the system cannot do is done without.
    pub fn for_server(
        socket: Socket,
        narrow: bool,
        stop: &Shutdown,
        outlet: Option<BorrowedFd<'static>>,
    ) -> io::Result<DatagramSocket> {
        let mailbox = DatagramSocket::for_client(socket, narrow, stop)?;
        mailbox.prepare();
        Ok(DatagramSocket { outlet, ..mailbox })
    }

    /// A client's: connected or not, asked by [`DatagramSocket::receive_now`] only.
    pub fn for_client(socket: Socket, narrow: bool, stop: &Shutdown) -> io::Result<DatagramSocket> {
        let local = Address::from(&socket.local_addr()?);
        if !narrow {
            grow_recv_buffer(&socket);
        }
        let post = Arc::new(SharedSocket::new(socket, stop));
        Ok(DatagramSocket { post, local, outlet: None, is_unheard: false })
    }

    #[cfg(target_os = "linux")]
    fn prepare(&self) {
        use super::linux;
        let Some(local) = self.local.inet() else { return };
        let fd = self.post.socket.as_fd();
        let v6 = self.post.socket.domain().is_ok_and(|domain| domain == Domain::IPV6);
        let told = |what: &str, done: io::Result<()>| {
            let _ = done.inspect_err(|e| tracing::debug!("{what}: {e}"));
        };
        if local.ip().is_unspecified() {
            told("IP_PKTINFO", linux::enable_pktinfo(fd, v6));
        }
        told("IP_RECVERR", receive_icmp_errors(fd, v6));
        told("UDP_GRO", linux::enable_gro(fd));
    }

    #[cfg(not(target_os = "linux"))]
    fn prepare(&self) {}

    /// Has the kernel report ICMP errors ([`DatagramSocket::refusals`]) though the socket is not connected.
    pub fn receive_errors(&self) {
        #[cfg(target_os = "linux")]
        {
            let v6 = self.local.inet().is_some_and(|local| local.is_ipv6());
            // Without it a refusal looks like silence.
            let _ = receive_icmp_errors(self.post.socket.as_fd(), v6);
        }
    }

    /// Whether the reader of the outlet has gone.
    pub fn stdout_closed(&self) -> bool {
        self.is_unheard
    }

    /// The bound address.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// The socket, for `poll(2)` and options.
    pub fn socket(&self) -> &Socket {
        &self.post.socket
    }

    /// Room that suits this socket.
    pub fn batch(&self) -> RecvBatch {
        match self.local {
            Address::Inet(_) => RecvBatch::udp(),
            _ => RecvBatch::unix(),
        }
    }

    /// Waits for datagrams and fills `batch`; 0 when `until` has come, when the run is to end, or
    /// when only errors about datagrams of ours came ([`DatagramSocket::refusals`]).
    ///
    /// A failure is passing, whatever it is: the next receive may well succeed.
    pub fn receive(&mut self, batch: &mut RecvBatch, until: Option<Instant>) -> io::Result<usize> {
        batch.clear();
        match self.wait(until)? {
            WaitOutcome::TimedOut => Ok(0),
            WaitOutcome::Ready(_) | WaitOutcome::Shutdown(_) => self.receive_now(batch),
        }
    }

    /// Waits for a datagram, the end of the run or the end of the outlet's reader.
    fn wait(&mut self, until: Option<Instant>) -> io::Result<WaitOutcome> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.post.socket.as_fd(), PollFlags::IN)];
        fds.extend(self.outlet.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let wake = self.post.stop.wait_any(&mut fds, until)?;
        let outlet = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
        self.is_unheard |= outlet.contains(PollFlags::ERR);
        if !outlet.is_empty() {
            // What has ended is ready for ever.
            self.outlet = None;
        }
        Ok(wake)
    }

    /// As [`DatagramSocket::receive`], without waiting.
    pub fn receive_now(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let done = self.take(batch);
        self.outcome(done, batch)
    }

    fn take(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if !self.post.is_single() {
            return super::linux::receive(self.post.socket.as_fd(), batch);
        }
        portable::receive(&self.post.socket, batch)
    }

    fn outcome(&mut self, done: io::Result<usize>, batch: &mut RecvBatch) -> io::Result<usize> {
        let failed = match done {
            Ok(n) => return Ok(n),
            Err(e) => e,
        };
        batch.clear();
        match failed.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(0),
            _ if is_unsupported(&failed) && !self.post.is_single() => {
                self.post.disable_batching();
                Ok(0)
            }
            _ if self.post.is_refusal(&failed) => Ok(0),
            _ => Err(failed),
        }
    }

    /// As [`Sender::send`].
    pub fn send(
        &mut self,
        letters: &[Transmit<'_>],
        lost: &mut dyn FnMut(&Transmit<'_>, &io::Error),
    ) {
        self.post.send(letters, lost);
    }

    /// What came back since the last time this was asked: datagrams of ours that nobody wanted.
    pub fn icmp_errors(&mut self) -> VecDeque<IcmpError> {
        self.post.refusals()
    }
}

fn grow_recv_buffer(socket: &Socket) {
    #[cfg(target_os = "linux")]
    if super::linux::force_recv_buffer(socket.as_fd(), RECEIVE_BUFFER as i32).is_ok() {
        return;
    }
    // Past its limit the kernel gives what the limit allows, which is better than the default.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
}
