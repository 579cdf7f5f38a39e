//! What a server of datagrams tells while it serves: facts for who asked for them, and warnings,
//! each at most once in a run, for the totals count the rest.

use std::io;

use crate::datagram::server::reply_policy::DropReason;
use crate::datagram::{DatagramGroup, IcmpError, RecvMeta, Transmit};
use crate::error::message_without_errno;
use crate::net::address::Address;
use crate::report::Report;
use crate::report::event::{Event, Level};

/// The voice of one server.
pub struct ServerLog<'a> {
    report: &'a Report,
    local: Address,
    rate_told: bool,
    busy_told: bool,
}

impl<'a> ServerLog<'a> {
    /// Of the server bound to `local`.
    pub fn new(report: &'a Report, local: Address) -> ServerLog<'a> {
        ServerLog { report, local, rate_told: false, busy_told: false }
    }

    /// We serve now; `forgeable` if whoever forges a source can point our answers at others.
    pub fn listening(&self, forgeable: bool) {
        let local = self.local.to_string();
        self.report.emit(&Event::Listening { local, awaited: "datagrams" });
        if forgeable && self.local.ip().is_some_and(|ip| !ip.is_loopback()) {
            let why =
                "answers can be sent to whoever a forged source names; --max-rate limits them";
            self.report.warn(None, why);
        }
    }

    /// These came.
    pub fn log_received(&self, bundle: &DatagramGroup<'_>, peer: &Address) {
        if !self.report.is_enabled(Level::Detail) {
            return;
        }
        for payload in bundle.datagrams() {
            let (peer, bytes) = (peer.to_string(), payload.len());
            let local = counters(&self.local, bundle.envelope).to_string();
            self.report.emit(&Event::Datagram { local, peer, bytes });
        }
    }

    /// One came that we have no room for.
    pub fn truncated(&self, peer: &Address) {
        let step = || format!("A datagram from {peer} is longer than our room for it; dropped");
        self.report.step(step);
    }

    /// This peer gets no answer; under a limit on the rate, which is `per_second`.
    pub fn not_answered(&mut self, silence: DropReason, peer: &Address, per_second: Option<u32>) {
        let why = match silence {
            DropReason::ReflectorPort => "its port belongs to a service that answers everything",
            DropReason::OwnAddress => "that is ourselves",
            DropReason::NoReturnAddress => "it has no address to answer to",
            DropReason::RateLimited => return self.too_often(peer, per_second.unwrap_or_default()),
        };
        self.report.step(|| format!("Not answering {peer}: {why}"));
    }

    fn too_often(&mut self, peer: &Address, per_second: u32) {
        if !std::mem::replace(&mut self.rate_told, true) {
            let source = peer.ip().map_or_else(|| peer.to_string(), |ip| ip.to_string());
            let why =
                format!("{source} is answered at most {per_second} times a second (--max-rate)");
            self.report.warn(None, why);
        }
    }

    /// More wait for their answer than we hold.
    pub fn delay_queue_full(&mut self) {
        if !std::mem::replace(&mut self.busy_told, true) {
            self.report.warn(None, "too many answers wait for their --delay; others are not given");
        }
    }

    /// An answer could not be sent.
    pub fn unsent(&self, letter: &Transmit<'_>, error: &io::Error) {
        self.report.step(|| {
            let peer = letter.peer.map(Address::from);
            format!(
                "Answering {} failed: {}",
                peer.unwrap_or(Address::Unnamed),
                message_without_errno(error)
            )
        });
    }

    /// An answer was refused where it arrived.
    pub fn refused(&self, refused: &IcmpError) {
        self.report.step(|| {
            let why = io::Error::from_raw_os_error(refused.errno);
            format!("{} did not take our answer: {}", refused.peer, message_without_errno(&why))
        });
    }

    /// The kernel gives us nothing for now.
    pub fn log_error(&self, error: &io::Error) {
        let why = message_without_errno(error);
        self.report.warn(None, format!("receiving on {}: {why}; going on", self.local));
    }

    /// Bytes that stdout did not take before the end.
    pub fn unprinted(&self, bytes: usize) {
        if bytes > 0 {
            let why = format!("{bytes} bytes for stdout are lost: its reader takes nothing");
            self.report.warn(None, why);
        }
    }

    /// Programs that were not waited for any longer.
    pub fn killed_programs(&self, programs: u32) {
        if programs > 0 {
            let why = format!("{programs} programs still ran and were ended, unanswered");
            self.report.warn(None, why);
        }
    }
}

/// The address of ours that a datagram was sent to.
pub fn counters(local: &Address, envelope: &RecvMeta) -> Address {
    match (local, envelope.origin.address) {
        (Address::Inet(bound), Some(ip)) => {
            Address::from(std::net::SocketAddr::new(ip, bound.port()))
        }
        _ => local.clone(),
    }
}
