//! The datagrams of one direction of a flow, with the faults that are put on them.

use std::collections::VecDeque;
use std::time::Instant;

use super::fault::{DatagramFaults, DueDatagram};
use crate::report::Report;
use crate::report::event::{Event, FaultEvent};

/// Datagrams that wait for their time; further ones are dropped, as by a full queue of a device.
const MAX_WAITING: usize = 4096;

/// Datagrams in the order in which they are sent, each at its time.
pub struct DueQueue {
    faults: Option<DatagramFaults>,
    report: Report,
    waiting: VecDeque<DueDatagram>,
}

impl DueQueue {
    /// A queue with these faults, which are emitted to `report`.
    pub fn new(faults: Option<DatagramFaults>, report: &Report) -> DueQueue {
        DueQueue { faults, report: report.clone(), waiting: VecDeque::new() }
    }

    /// Adds what the faults make of `datagram`, which has just been received.
    pub fn add(&mut self, datagram: &[u8]) {
        let now = Instant::now();
        let on_fault = |event: FaultEvent| self.report.emit(&Event::Fault(event));
        match &mut self.faults {
            Some(faults) => self.waiting.extend(faults.feed(datagram, now, &on_fault)),
            None => self.waiting.push_back(DueDatagram { bytes: datagram.to_vec(), at: now }),
        }
        self.waiting.truncate(MAX_WAITING);
    }

    /// Makes due what the faults hold back and what waits for its time.
    pub fn flush(&mut self) {
        let now = Instant::now();
        let on_fault = |event: FaultEvent| self.report.emit(&Event::Fault(event));
        if let Some(faults) = &mut self.faults {
            self.waiting.extend(faults.flush(now, &on_fault));
        }
        self.waiting.iter_mut().for_each(|datagram| datagram.at = now);
    }

    /// The next datagram, if its time has come.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let is_due = self.next_due().is_some_and(|at| at <= Instant::now());
        if is_due { self.waiting.pop_front().map(|datagram| datagram.bytes) } else { None }
    }

    /// When the next datagram is to be sent.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|datagram| datagram.at)
    }
}
