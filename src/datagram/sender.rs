//! The sending side of a datagram socket, shared by threads: batches, retries, and the ICMP errors
//! that come back.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::Socket;

use super::icmp_errors::{IcmpError, IcmpErrors};
use super::message::{LocalSource, Transmit};
use super::portable;
use crate::net::address::Address;
use crate::report::context::Context;
use crate::report::hexdump::ServerDump;
use crate::report::traffic::TrafficLog;
use crate::shutdown::Shutdown;
use crate::transfer::tap::TapDirection;

/// How long one datagram may delay the next ones while buffers are full.
const SEND_TIMEOUT: Duration = Duration::from_millis(50);
/// The first and the last pause for a full device queue (`ENOBUFS`); it doubles each time, which is
/// 63.5 ms in all. They are counted, as one may take long on a loaded machine.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LAST_PAUSE: Duration = Duration::from_millis(32);
/// Errors of earlier datagrams that one send may report before its own.
const MAX_UNRELATED_ERRORS: u32 = 8;

/// A datagram socket, used for sending by any number of threads.
pub struct DatagramSender {
    pub(super) socket: Socket,
    pub(super) shutdown: Shutdown,
    /// recvmmsg(2) and sendmmsg(2) exist on Linux only, and a kernel may refuse them.
    batching_disabled: AtomicBool,
    icmp_errors: IcmpErrors,
    /// The log of `-vv`.
    traffic: Option<TrafficLog>,
    /// The hex dump.
    dump: OnceLock<ServerDump>,
}

impl DatagramSender {
    pub(super) fn new(socket: Socket, context: &Context) -> DatagramSender {
        let batching_disabled = AtomicBool::new(!cfg!(target_os = "linux"));
        let Context { report, shutdown } = context;
        DatagramSender {
            socket,
            shutdown: shutdown.clone(),
            batching_disabled,
            icmp_errors: IcmpErrors::default(),
            traffic: TrafficLog::of_datagrams(report),
            dump: OnceLock::new(),
        }
    }

    /// The log of `-vv`, which has each datagram that is sent.
    pub fn traffic(&self) -> Option<&TrafficLog> {
        self.traffic.as_ref()
    }

    /// Dumps each datagram that is sent from now on.
    pub fn dump(&self, dump: ServerDump) {
        let _ = self.dump.set(dump);
    }

    /// The hex dump.
    pub fn hex_dump(&self) -> Option<&ServerDump> {
        self.dump.get()
    }

    fn log_sent(&self, sent: &[Transmit<'_>]) {
        if self.traffic().is_none() && self.hex_dump().is_none() {
            return;
        }
        for transmit in sent {
            let connected = || self.socket.peer_addr().map(|peer| Address::from(&peer));
            let peer = transmit.destination.map(Address::from);
            let peer = peer.or_else(|| connected().ok()).unwrap_or(Address::Unnamed);
            for payload in transmit.payloads() {
                if let Some(traffic) = self.traffic() {
                    traffic.sent_datagram(&peer, payload);
                }
                if let Some(dump) = self.hex_dump() {
                    dump.datagram(TapDirection::Sent, &peer, payload);
                }
            }
        }
    }

    /// Sends each of `transmits`; calls `on_error` for those that could not be sent.
    ///
    /// Waits up to 50 ms per datagram for a full buffer. An ICMP error of an earlier datagram does
    /// not fail a later one.
    pub fn send(
        &self,
        transmits: &[Transmit<'_>],
        on_error: &mut dyn FnMut(&Transmit<'_>, &io::Error),
    ) {
        let mut rest = transmits;
        while let Some(first) = rest.first() {
            let sent = match self.send_batch(rest) {
                Ok(n) => {
                    self.log_sent(&rest[..n.max(1)]);
                    n.max(1)
                }
                Err(e) => {
                    match self.resend(first, e) {
                        Ok(()) => self.log_sent(slice::from_ref(first)),
                        Err(e) => on_error(first, &e),
                    }
                    1
                }
            };
            rest = &rest[sent..];
        }
    }

    /// Sends as many from the front of `transmits` as one system call takes.
    fn send_batch(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if self.is_batching() {
            match super::linux::send(self.socket.as_fd(), transmits) {
                Err(e) if is_unsupported(&e) => self.disable_batching(),
                done => return done,
            }
        }
        portable::send(&self.socket, transmits)
    }

    /// Sends again after `error`: as it is, and then payload by payload, for a kernel without
    /// `UDP_SEGMENT` or a device whose MTU is too small for it.
    fn resend(&self, transmit: &Transmit<'_>, error: io::Error) -> io::Result<()> {
        match self.retry(transmit.clone(), error) {
            Err(e) if transmit.count() > 1 && !is_buffer_full(&e) => {}
            done => return done,
        }
        let mut outcome = Ok(());
        for payload in transmit.payloads() {
            let single = Transmit { contents: payload.into(), segment_size: 0, ..*transmit };
            let sent = self.send_batch(slice::from_ref(&single)).map(drop);
            outcome = outcome.and(sent.or_else(|e| self.retry(single, e)));
        }
        outcome
    }

    /// Sends again for as long as the error is a transient one or belongs to another datagram.
    fn retry(&self, mut transmit: Transmit<'_>, mut error: io::Error) -> io::Result<()> {
        let deadline = Instant::now() + SEND_TIMEOUT;
        let (mut pause, mut unrelated) = (FIRST_PAUSE, 0);
        loop {
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) if Instant::now() < deadline => self.wait_writable(deadline),
                Some(libc::ENOBUFS | libc::ENOMEM) if pause <= LAST_PAUSE => {
                    // poll(2) reports room in the socket's buffer, not in the device's queue.
                    thread::sleep(pause);
                    pause *= 2;
                }
                _ if is_buffer_full(&error) => return Err(error),
                _ if unrelated < MAX_UNRELATED_ERRORS && self.store_if_icmp(&error) => {
                    unrelated += 1;
                }
                Some(libc::EINVAL | libc::EADDRNOTAVAIL | libc::ENETUNREACH)
                    if transmit.count() == 1 && transmit.source != LocalSource::default() =>
                {
                    // The address is no longer local, or a broadcast address.
                    transmit.source = LocalSource::default();
                }
                _ => return Err(error),
            }
            match self.send_batch(slice::from_ref(&transmit)) {
                Ok(_) => return Ok(()),
                Err(e) => error = e,
            }
        }
    }

    fn wait_writable(&self, deadline: Instant) {
        let _ = self.shutdown.wait(self.socket.as_fd(), PollFlags::OUT, Some(deadline));
    }

    /// Whether several datagrams are moved by one call.
    pub(super) fn is_batching(&self) -> bool {
        !self.batching_disabled.load(Ordering::Relaxed)
    }

    /// Moves one datagram per call from now on.
    pub(super) fn disable_batching(&self) {
        tracing::debug!("this kernel moves one datagram per call");
        self.batching_disabled.store(true, Ordering::Relaxed);
    }

    /// The ICMP errors that arrived since the last call.
    pub fn take_icmp_errors(&self) -> VecDeque<IcmpError> {
        self.icmp_errors.take()
    }

    /// As [`IcmpErrors::store_if_icmp`].
    pub(super) fn store_if_icmp(&self, error: &io::Error) -> bool {
        self.icmp_errors.store_if_icmp(&self.socket, error)
    }
}

/// Whether the kernel does not implement the system call.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOSYS)
}

fn is_buffer_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}
