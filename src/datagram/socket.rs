//! A datagram socket: its options, and receiving in batches.

use std::io::{self, ErrorKind};
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicU64;

#[cfg(target_os = "linux")]
use socket2::Domain;
use socket2::Socket;

use super::BATCH_SIZE;
use super::icmp_errors::IcmpErrors;
#[cfg(target_os = "linux")]
use super::linux as system;
#[cfg(not(target_os = "linux"))]
use super::portable as system;
use super::recv_batch::{RecvBatch, UDP_SLOT, UNIX_SLOT, UNIX_SLOTS};
use crate::net::address::Address;
#[cfg(target_os = "linux")]
use crate::process::sockopt::{self, receive_icmp_errors};
use crate::report::context::Context;
use crate::report::hexdump::ServerDump;
use crate::report::traffic::TrafficLog;
use crate::shutdown::Shutdown;

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

/// A bound datagram socket, on which any number of threads may send.
pub struct DatagramSocket {
    /// The socket, for `poll(2)` and options.
    pub socket: Socket,
    /// The bound address.
    pub local: Address,
    /// The ICMP errors for what was sent.
    pub icmp_errors: IcmpErrors,
    /// The log of `-vv`, which has each datagram that is sent.
    pub traffic: Option<TrafficLog>,
    /// The hex dump, which has each datagram that is sent.
    pub dump: Option<ServerDump>,
    /// The number of datagrams sent.
    pub datagrams_sent: AtomicU64,
    /// Their payload, in bytes.
    pub bytes_sent: AtomicU64,
    /// The end of the run.
    pub shutdown: Shutdown,
}

impl DatagramSocket {
    /// A server's socket: reports the local address of each datagram, ICMP errors, and merged
    /// datagrams, as far as the system can. Fails if it is not bound.
    pub fn for_server(
        socket: Socket,
        buffer: RecvBuffer,
        context: &Context,
    ) -> io::Result<DatagramSocket> {
        let socket = DatagramSocket::for_client(socket, buffer, context)?;
        socket.set_server_options();
        Ok(socket)
    }

    /// A client's socket, connected or not. Fails if it is not bound.
    pub fn for_client(
        socket: Socket,
        buffer: RecvBuffer,
        context: &Context,
    ) -> io::Result<DatagramSocket> {
        if buffer == RecvBuffer::Grow {
            grow_recv_buffer(&socket);
        }
        Ok(DatagramSocket {
            local: Address::from(&socket.local_addr()?),
            socket,
            icmp_errors: IcmpErrors::default(),
            traffic: TrafficLog::of_datagrams(&context.report),
            dump: None,
            datagrams_sent: AtomicU64::default(),
            bytes_sent: AtomicU64::default(),
            shutdown: context.shutdown.clone(),
        })
    }

    #[cfg(target_os = "linux")]
    fn set_server_options(&self) {
        let Some(local) = self.local.inet() else { return };
        let fd = self.socket.as_fd();
        let domain = self.socket.domain().unwrap_or(Domain::IPV4);
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
            let domain = self.socket.domain().unwrap_or(Domain::IPV4);
            // Without it a refused datagram looks like one without a reply.
            let _ = receive_icmp_errors(self.socket.as_fd(), domain);
        }
    }

    /// A batch with slots for UDP datagrams of every length, or for Unix datagrams; one that is too
    /// long is marked as truncated.
    pub fn new_batch(&self) -> RecvBatch {
        match self.local {
            Address::Inet(_) => RecvBatch::new(BATCH_SIZE, UDP_SLOT),
            _ => RecvBatch::new(UNIX_SLOTS, UNIX_SLOT),
        }
    }

    /// Fills `batch` with what is queued, without waiting; returns the number of filled slots, which
    /// is also 0 after an ICMP error ([`DatagramSocket::icmp_errors`]).
    ///
    /// Every failure is transient: the next call may succeed.
    pub fn receive(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.filled.clear();
        system::receive(&self.socket, batch).or_else(|e| match e.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(0),
            _ if self.icmp_errors.store_if_icmp(&self.socket, &e) => Ok(0),
            _ => Err(e),
        })
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
