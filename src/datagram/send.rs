//! Sending on a datagram socket, also from several threads: batches, retries and counters.

use std::io;
use std::os::fd::AsFd;
use std::slice;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

#[cfg(target_os = "linux")]
use super::linux as system;
use super::message::{LocalSource, Transmit};
#[cfg(not(target_os = "linux"))]
use super::portable as system;
use super::socket::DatagramSocket;
use crate::net::address::Address;
use crate::transfer::tap::TapDirection;

/// How long one datagram may delay the next ones while buffers are full.
const SEND_TIMEOUT: Duration = Duration::from_millis(50);
/// The first and the last pause for a full device queue (`ENOBUFS`); it doubles each time, which is
/// 63.5 ms in all. They are counted, as one may take long on a loaded machine.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LAST_PAUSE: Duration = Duration::from_millis(32);
/// Errors of earlier datagrams that one send may report before its own.
const MAX_UNRELATED_ERRORS: u32 = 8;

impl DatagramSocket {
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
            let sent = system::send(&self.socket, rest);
            let sent = sent.or_else(|e| self.resend(first, e).map(|()| 1));
            let (done, left) = rest.split_at(*sent.as_ref().unwrap_or(&1));
            match sent {
                Ok(_) => self.record_sent(done),
                Err(e) => on_error(first, &e),
            }
            rest = left;
        }
    }

    fn record_sent(&self, sent: &[Transmit<'_>]) {
        let datagrams = sent.iter().map(Transmit::count).sum();
        let bytes = sent.iter().map(|transmit| transmit.contents.len() as u64).sum();
        self.datagrams_sent.fetch_add(datagrams, Ordering::Relaxed);
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        if self.traffic.is_some() || self.dump.is_some() {
            sent.iter().for_each(|transmit| self.log_sent(transmit));
        }
    }

    fn log_sent(&self, transmit: &Transmit<'_>) {
        let connected = || self.socket.peer_addr().map(|peer| Address::from(&peer));
        let peer = transmit.destination.map(Address::from);
        let peer = peer.or_else(|| connected().ok()).unwrap_or(Address::Unnamed);
        for payload in transmit.payloads() {
            if let Some(traffic) = &self.traffic {
                traffic.sent_datagram(&peer, payload);
            }
            if let Some(dump) = &self.dump {
                dump.datagram(TapDirection::Sent, &peer, payload);
            }
        }
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
            let sent = system::send(&self.socket, slice::from_ref(&single)).map(drop);
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
                Some(libc::EAGAIN) if Instant::now() < deadline => {
                    let socket = self.socket.as_fd();
                    let _ = self.shutdown.wait(socket, PollFlags::OUT, Some(deadline));
                }
                Some(libc::ENOBUFS | libc::ENOMEM) if pause <= LAST_PAUSE => {
                    // poll(2) reports room in the socket's buffer, not in the device's queue.
                    thread::sleep(pause);
                    pause *= 2;
                }
                _ if is_buffer_full(&error) => return Err(error),
                _ if unrelated < MAX_UNRELATED_ERRORS
                    && self.icmp_errors.store_if_icmp(&self.socket, &error) =>
                {
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
            match system::send(&self.socket, slice::from_ref(&transmit)) {
                Ok(_) => return Ok(()),
                Err(e) => error = e,
            }
        }
    }
}

fn is_buffer_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}
