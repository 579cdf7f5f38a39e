//! Log lines of a datagram server: events, and warnings of which each kind is printed once per run
//! (the totals have the counts).

use std::io;

use super::handler::Handler;
use super::incoming::Incoming;
use super::reply_policy::DropReason;
use crate::datagram::{IcmpError, Transmit};
use crate::error::message_without_errno;
use crate::net::address::Address;
use crate::report::Report;
use crate::report::event::{Event, Level};
use crate::report::excerpt::Excerpt;

/// Logs what one server does.
pub struct ServerLog<'a> {
    report: &'a Report,
    local: Address,
    rate_warned: bool,
    delay_warned: bool,
}

impl<'a> ServerLog<'a> {
    /// The log of a server bound to `local`.
    pub fn new(report: &'a Report, local: Address) -> ServerLog<'a> {
        ServerLog { report, local, rate_warned: false, delay_warned: false }
    }

    /// The server is ready. Warns if other hosts reach it, and replies may be longer than datagrams.
    pub fn started(&self, handler: &Handler) {
        let local = self.local.to_string();
        self.report.emit(&Event::Listening { local, awaited: "datagrams" });
        if handler.amplifies() && self.local.ip().is_some_and(|ip| !ip.is_loopback()) {
            let why = "replies are also sent to forged source addresses; --max-rate limits them";
            self.report.warn(None, why);
        }
    }

    /// Datagrams were received.
    pub fn received(&self, incoming: &Incoming<'_>) {
        if !self.report.is_enabled(Level::Detail) {
            return;
        }
        for payload in incoming.group.datagrams() {
            let (local, peer) = (incoming.local.to_string(), incoming.peer.to_string());
            let data = self.report.shows_traffic().then(|| Excerpt::of(payload));
            self.report.emit(&Event::Datagram { local, peer, bytes: payload.len(), data });
        }
    }

    /// A datagram was longer than its slot.
    pub fn truncated(&self, peer: &Address) {
        self.report.step(|| format!("Dropped a datagram from {peer}: longer than the buffer"));
    }

    /// A datagram of `peer` is not answered; `per_second` is the rate limit.
    pub fn not_answered(&mut self, reason: DropReason, peer: &Address, per_second: Option<u32>) {
        let why = match reason {
            DropReason::ReflectorPort => "its port belongs to a service that answers everything",
            DropReason::OwnAddress => "it is the address of this server",
            DropReason::NoReturnAddress => "it has no address to reply to",
            DropReason::RateLimited => return self.rate_limited(peer, per_second),
        };
        self.report.step(|| format!("Not answering {peer}: {why}"));
    }

    fn rate_limited(&mut self, peer: &Address, per_second: Option<u32>) {
        if !std::mem::replace(&mut self.rate_warned, true) {
            let source = peer.ip().map_or_else(|| peer.to_string(), |ip| ip.to_string());
            let rate = per_second.unwrap_or_default();
            let why = format!("{source} is answered at most {rate} times a second (--max-rate)");
            self.report.warn(None, why);
        }
    }

    /// The queue of `--delay` is full.
    pub fn delay_queue_full(&mut self) {
        if !std::mem::replace(&mut self.delay_warned, true) {
            let why = "too many replies are delayed (--delay); further datagrams are not answered";
            self.report.warn(None, why);
        }
    }

    /// A reply could not be sent.
    pub fn send_failed(&self, reply: &Transmit<'_>, error: &io::Error) {
        self.report.step(|| {
            let peer = reply.destination.map_or(Address::Unnamed, Address::from);
            format!("Answering {peer} failed: {}", message_without_errno(error))
        });
    }

    /// An ICMP error arrived for a reply.
    pub fn icmp_error(&self, error: &IcmpError) {
        self.report.step(|| {
            let why = message_without_errno(&io::Error::from_raw_os_error(error.errno));
            format!("Reply to {} was rejected: {why}", error.peer)
        });
    }

    /// Receiving fails; it is tried again.
    pub fn receive_failed(&self, error: &io::Error) {
        let why = message_without_errno(error);
        self.report.warn(None, format!("receiving on {} failed, retrying: {why}", self.local));
    }

    /// Bytes that were not written to stdout before the end.
    pub fn unwritten(&self, bytes: usize) {
        if bytes > 0 {
            let why = format!("{bytes} bytes for stdout are lost: its reader does not read");
            self.report.warn(None, why);
        }
    }

    /// Programs that were killed at shutdown.
    pub fn killed_programs(&self, programs: u32) {
        if programs > 0 {
            let why = format!("{programs} programs were still running and were killed");
            self.report.warn(None, why);
        }
    }
}
