//! A bound datagram socket: waits for datagrams and receives them in batches.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Socket};

use super::recv_batch::{RecvBatch, UDP_SLOT, UNIX_SLOT, UNIX_SLOTS};
use super::sender::{DatagramSender, is_unsupported};
use super::{BATCH_SIZE, portable};
use crate::net::address::Address;
#[cfg(target_os = "linux")]
use crate::process::sockopt::{self, receive_icmp_errors};
use crate::report::context::Context;
use crate::shutdown::WaitOutcome;

/// The kernel's default holds 25 datagrams of 8 KiB, fewer than one burst.
const RECV_BUFFER: usize = 4 << 20;

/// What is done with the kernel's receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvBuffer {
    /// It is grown to 4 MiB, as far as the system allows.
    Grow,
    /// It keeps the size that the user chose.
    Keep,
}

/// A bound datagram socket.
pub struct DatagramSocket {
    sender: Arc<DatagramSender>,
    local: Address,
    stdout: Option<BorrowedFd<'static>>,
    stdout_closed: bool,
}

impl DatagramSocket {
    /// A server's socket: reports the local address of each datagram, ICMP errors, and merged
    /// datagrams, as far as the system can.
    ///
    /// If payloads are printed to `stdout`, [`DatagramSocket::receive`] returns when its reader
    /// closes it ([`DatagramSocket::stdout_closed`]). Fails if the socket is not bound.
    pub fn for_server(
        socket: Socket,
        buffer: RecvBuffer,
        context: &Context,
        stdout: Option<BorrowedFd<'static>>,
    ) -> io::Result<DatagramSocket> {
        let socket = DatagramSocket::for_client(socket, buffer, context)?;
        socket.set_server_options();
        Ok(DatagramSocket { stdout, ..socket })
    }

    /// A client's socket, connected or not. Fails if it is not bound.
    pub fn for_client(
        socket: Socket,
        buffer: RecvBuffer,
        context: &Context,
    ) -> io::Result<DatagramSocket> {
        let local = Address::from(&socket.local_addr()?);
        if buffer == RecvBuffer::Grow {
            grow_recv_buffer(&socket);
        }
        let sender = Arc::new(DatagramSender::new(socket, context));
        Ok(DatagramSocket { sender, local, stdout: None, stdout_closed: false })
    }

    #[cfg(target_os = "linux")]
    fn set_server_options(&self) {
        let Some(local) = self.local.inet() else { return };
        let fd = self.socket().as_fd();
        let domain = self.socket().domain().unwrap_or(Domain::IPV4);
        let log = |option: &str, done: io::Result<()>| {
            let _ = done.inspect_err(|e| tracing::debug!(option, cause = %e, "option is not set"));
        };
        if local.ip().is_unspecified() {
            log("IP_PKTINFO", report_local_address(fd, domain));
        }
        log("IP_RECVERR", receive_icmp_errors(fd, domain));
        // The kernel merges datagrams of one sender and one length (udp(7)).
        log("UDP_GRO", sockopt::set(fd, libc::SOL_UDP, libc::UDP_GRO, 1));
    }

    #[cfg(not(target_os = "linux"))]
    fn set_server_options(&self) {}

    /// Has the kernel report ICMP errors on a socket that is not connected.
    pub fn enable_icmp_errors(&self) {
        #[cfg(target_os = "linux")]
        {
            let domain = self.socket().domain().unwrap_or(Domain::IPV4);
            // Without it a refused datagram looks like one without a reply.
            let _ = receive_icmp_errors(self.socket().as_fd(), domain);
        }
    }

    /// Whether the reader of stdout has closed it.
    pub fn stdout_closed(&self) -> bool {
        self.stdout_closed
    }

    /// The bound address.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// The socket, for `poll(2)` and options.
    pub fn socket(&self) -> &Socket {
        &self.sender.socket
    }

    /// The sending side.
    pub fn sender(&self) -> &Arc<DatagramSender> {
        &self.sender
    }

    /// A batch with slots for UDP datagrams of every length, or for Unix datagrams; one that is too
    /// long is marked as truncated.
    pub fn new_batch(&self) -> RecvBatch {
        match self.local {
            Address::Inet(_) => RecvBatch::new(BATCH_SIZE, UDP_SLOT),
            _ => RecvBatch::new(UNIX_SLOTS, UNIX_SLOT),
        }
    }

    /// Waits for datagrams and fills `batch`; returns the number of filled slots. It is 0 at the
    /// `deadline`, at shutdown, and after an ICMP error ([`DatagramSender::take_icmp_errors`]).
    ///
    /// Every failure is transient: the next call may succeed.
    pub fn receive(
        &mut self,
        batch: &mut RecvBatch,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        batch.filled.clear();
        match self.wait(deadline)? {
            WaitOutcome::TimedOut => Ok(0),
            WaitOutcome::Ready(_) | WaitOutcome::Shutdown(_) => self.receive_now(batch),
        }
    }

    /// Waits for a datagram, shutdown, or the reader of stdout to close it.
    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<WaitOutcome> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.sender.socket.as_fd(), PollFlags::IN)];
        fds.extend(self.stdout.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let outcome = self.sender.shutdown.wait_any(&mut fds, deadline)?;
        let stdout = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
        self.stdout_closed |= stdout.contains(PollFlags::ERR);
        if !stdout.is_empty() {
            // A closed descriptor stays ready, and poll(2) would return immediately.
            self.stdout = None;
        }
        Ok(outcome)
    }

    /// As [`DatagramSocket::receive`], without waiting.
    pub fn receive_now(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let error = match self.receive_batch(batch) {
            Ok(n) => return Ok(n),
            Err(e) => e,
        };
        batch.filled.clear();
        match error.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(0),
            _ if is_unsupported(&error) && self.sender.is_batching() => {
                self.sender.disable_batching();
                Ok(0)
            }
            _ if self.sender.store_if_icmp(&error) => Ok(0),
            _ => Err(error),
        }
    }

    fn receive_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if self.sender.is_batching() {
            return super::linux::receive(self.socket().as_fd(), batch);
        }
        portable::receive(self.socket(), batch)
    }
}

/// Has the kernel report the local address of each datagram (ip(7), `IP_PKTINFO`; RFC 3542 §6).
///
/// A dual-stack socket sets both options: for a broadcast IPv4 datagram only `IP_PKTINFO` has the
/// address to reply from.
#[cfg(target_os = "linux")]
fn report_local_address(fd: BorrowedFd<'_>, domain: Domain) -> io::Result<()> {
    if domain == Domain::IPV6 {
        sockopt::set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    }
    sockopt::set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
}

fn grow_recv_buffer(socket: &Socket) {
    // Beyond net.core.rmem_max, with CAP_NET_ADMIN (socket(7)).
    #[cfg(target_os = "linux")]
    if sockopt::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECV_BUFFER as i32)
        .is_ok()
    {
        return;
    }
    // The kernel reduces it to its limit, which is still more than the default.
    let _ = socket.set_recv_buffer_size(RECV_BUFFER);
}
