//! `--stats`: where the time went.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::net::connect_event::ConnectEvent;
use crate::report::event::{Event, Timings};

/// The phases of a run, added up over its redirects.
#[derive(Debug)]
pub struct Timing {
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
    /// The clock starts.
    pub fn start() -> Timing {
        Timing { began: Instant::now(), phases: Mutex::default(), first_byte: None }
    }

    /// A step of dialling has been reached.
    pub fn step(&self, step: &ConnectEvent) {
        let now = Instant::now();
        let mut phases = self.phases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let since = phases.last.map_or(Duration::ZERO, |last| now - last);
        match step {
            ConnectEvent::Resolving(_) => {}
            ConnectEvent::Resolved(..) => phases.dns += since,
            ConnectEvent::Connected(_) => phases.connect += since,
            // A Unix socket is connected without a lookup.
            ConnectEvent::Layer(_) if phases.last.is_none() => {}
            _ => return,
        }
        phases.last = Some(now);
    }

    /// The stream stands, all layers included.
    pub fn connected(&self) {
        let mut phases = self.phases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(last) = phases.last.take() {
            phases.tls += last.elapsed();
        }
    }

    /// The first byte of an answer has come.
    pub fn first_byte(&mut self, at: Option<Instant>) {
        self.first_byte = at.or(self.first_byte);
    }

    /// The figures, in milliseconds; `layered` says whether there was anything but bare TCP.
    pub fn event(&self, layered: bool, bytes: u64) -> Event {
        let phases = self.phases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        Event::Timings(Timings {
            dns: milliseconds(phases.dns),
            connect: milliseconds(phases.connect),
            tls: if layered { milliseconds(phases.tls) } else { 0.0 },
            first_byte: self.first_byte.map(|at| milliseconds(at - self.began)),
            total: milliseconds(self.began.elapsed()),
            bytes,
        })
    }
}
