//! `--stats`: the times of each phase.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::net::socket_event::SocketEvent;
use crate::report::event::{Event, Timings};

/// The times of the phases of a download, added up over its redirects.
#[derive(Debug)]
pub struct Timing {
    /// Whether the connection has a proxy or TLS.
    pub has_layers: bool,
    began: Instant,
    phases: Mutex<Phases>,
    first_byte: Option<Instant>,
}

#[derive(Debug, Default)]
struct Phases {
    dns: Duration,
    connect: Duration,
    tls: Duration,
    last: Option<Instant>,
}

impl Timing {
    pub fn start() -> Timing {
        Timing {
            has_layers: false,
            began: Instant::now(),
            phases: Mutex::default(),
            first_byte: None,
        }
    }

    /// Adds the time until this step of connecting.
    pub fn step(&self, step: &SocketEvent) {
        let now = Instant::now();
        let mut phases = self.phases();
        let since = phases.last.map_or(Duration::ZERO, |last| now - last);
        match step {
            SocketEvent::Resolving(_) => {}
            SocketEvent::Resolved(..) | SocketEvent::Numeric => phases.dns += since,
            SocketEvent::Connected(_) => phases.connect += since,
            // A Unix socket is connected without a lookup.
            SocketEvent::Connecting(_) if phases.last.is_none() => {}
            _ => return,
        }
        phases.last = Some(now);
    }

    /// Adds the time until the connection was established, with all layers.
    pub fn connected(&self) {
        let mut phases = self.phases();
        if let Some(last) = phases.last.take() {
            phases.tls += last.elapsed();
        }
    }

    fn phases(&self) -> MutexGuard<'_, Phases> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores when the first byte of a response was received.
    pub fn first_byte(&mut self, at: Option<Instant>) {
        self.first_byte = at.or(self.first_byte);
    }

    /// The event with all times in milliseconds, and the number of received bytes.
    pub fn event(&self, bytes: u64) -> Event {
        let phases = self.phases();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        Event::Timings(Timings {
            dns: milliseconds(phases.dns),
            connect: milliseconds(phases.connect),
            tls: if self.has_layers { milliseconds(phases.tls) } else { 0.0 },
            first_byte: self.first_byte.map(|at| milliseconds(at - self.began)),
            total: milliseconds(self.began.elapsed()),
            bytes,
        })
    }
}
