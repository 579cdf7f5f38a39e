//! The schedule of a check: which attempt is due, and what is known about each target. It has no
//! clock and no sockets of its own.
//!
//! | state of a target | event | next state |
//! |---|---|---|
//! | ready | [`Schedule::next`] | started |
//! | started | [`Schedule::resolved`] | connecting to each address |
//! | started, connecting | verdict with the wanted state, or the last attempt | decided |
//! | started, connecting | any other verdict | delayed |
//! | delayed | its time comes | ready |

mod results;
mod slot;
mod step;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use self::slot::Slot;
pub use self::step::{AttemptPart, NextStep};
use super::options::{AddressCoverage, Goal, Repeat, Require};
use super::verdict::{Verdict, merge};
use crate::report::event::check::CheckStatus;

/// How long after the time limit of a run an attempt that it ended may still return its reason.
const GRACE: Duration = Duration::from_millis(20);

/// The state of all targets. `D` is what a worker connects to.
#[derive(Debug)]
pub struct Schedule<D> {
    /// The end of the run, if it has a time limit.
    pub deadline: Option<Instant>,
    goal: Goal,
    slots: Vec<Slot>,
    ready: VecDeque<usize>,
    parts: VecDeque<AttemptPart<D>>,
    delayed: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Attempts that have started and have no verdict.
    running: usize,
    decided: usize,
    met: usize,
    /// Targets before this one have been taken by [`Schedule::take_decided`].
    taken: usize,
}

impl<D> Schedule<D> {
    /// A schedule for `targets` targets of a run that begins at `now`.
    pub fn new(targets: usize, goal: Goal, now: Instant) -> Schedule<D> {
        let limit = if let Repeat::Wait { limit, .. } = goal.repeat { limit } else { None };
        Schedule {
            goal,
            deadline: limit.and_then(|limit| now.checked_add(limit)),
            slots: (0..targets).map(|_| Slot::default()).collect(),
            ready: (0..targets).collect(),
            parts: VecDeque::new(),
            delayed: BinaryHeap::new(),
            running: 0,
            decided: 0,
            met: 0,
            taken: 0,
        }
    }

    /// Takes the next piece of work.
    pub fn next(&mut self, now: Instant) -> NextStep<D> {
        if self.is_finished() || self.deadline.is_some_and(|at| at <= now) {
            return NextStep::Over;
        }
        if let Some(part) = self.parts.pop_front() {
            return NextStep::Connect(part);
        }
        while let Some(Reverse((due, target))) = self.delayed.peek().copied() {
            if due > now {
                break;
            }
            self.delayed.pop();
            self.ready.push_back(target);
        }
        let Some(target) = self.ready.pop_front() else {
            return NextStep::Wait(self.delayed.peek().map(|Reverse((due, _))| *due));
        };
        let slot = &mut self.slots[target];
        slot.addresses = Some(Vec::new());
        slot.first_start.get_or_insert(now);
        self.running += 1;
        NextStep::Attempt(target)
    }

    /// Whether another worker would have something to do now.
    pub fn has_work(&self) -> bool {
        !self.parts.is_empty() || !self.ready.is_empty()
    }

    /// Records where to connect to for the running attempt at `target`, and returns the first part;
    /// the others follow before any other work.
    pub fn resolved(&mut self, target: usize, destinations: Vec<D>) -> Option<AttemptPart<D>> {
        let slot = &mut self.slots[target];
        let attempt = slot.attempts;
        slot.addresses = Some(destinations.iter().map(|_| None).collect());
        for (position, destination) in destinations.into_iter().enumerate().rev() {
            self.parts.push_front(AttemptPart { target, destination, attempt, position });
        }
        self.parts.pop_front()
    }

    /// Records the verdict of a part. It has no effect once the attempt has its own.
    pub fn finished(&mut self, part: &AttemptPart<D>, verdict: Verdict, now: Instant) {
        let (target, stop_at_open) =
            (part.target, self.goal.addresses == AddressCoverage::FirstOpen);
        let slot = &mut self.slots[target];
        let Some(addresses) = slot.addresses.as_mut().filter(|_| slot.attempts == part.attempt)
        else {
            return;
        };
        let is_enough = stop_at_open && verdict.is_open();
        addresses[part.position] = Some(verdict);
        if is_enough || addresses.iter().all(Option::is_some) {
            let merged = merge(std::mem::take(addresses).into_iter().flatten());
            self.parts.retain(|part| part.target != target);
            if let Some(verdict) = merged {
                self.attempted(target, verdict, now);
            }
        }
    }

    /// Records the verdict of the running attempt at `target`.
    pub fn attempted(&mut self, target: usize, verdict: Verdict, now: Instant) {
        let is_stopped = self.is_stopped(&verdict, now);
        let slot = &mut self.slots[target];
        slot.addresses = None;
        slot.attempts += 1;
        slot.opened += u32::from(verdict.is_open());
        self.running -= 1;
        match self.goal.repeat {
            Repeat::Once => self.decide(target, verdict),
            Repeat::Wait { .. } if is_stopped => {
                slot.last.get_or_insert(verdict);
            }
            Repeat::Wait { .. } if verdict.satisfies(self.goal.until) => {
                self.decide(target, verdict)
            }
            Repeat::Wait { interval, .. } => {
                slot.last = Some(verdict);
                self.delay(target, now.checked_add(interval));
            }
            Repeat::Count { times, interval } => {
                slot.times.extend(verdict.is_open().then_some(verdict.elapsed));
                slot.last = merge(slot.last.take().into_iter().chain([verdict]));
                if slot.attempts < times {
                    let due = slot.first_start.unwrap_or(now) + interval * slot.attempts;
                    self.delay(target, Some(due.max(now)));
                } else if let Some(verdict) = slot.counted() {
                    self.decide(target, verdict);
                }
            }
        }
    }

    /// Whether the end of the run has ended the attempt, which therefore shows nothing.
    fn is_stopped(&self, verdict: &Verdict, now: Instant) -> bool {
        let is_unanswered = [CheckStatus::Timeout, CheckStatus::NoAnswer].contains(&verdict.status);
        is_unanswered && self.deadline.is_some_and(|at| at <= now)
    }

    fn delay(&mut self, target: usize, due: Option<Instant>) {
        self.delayed.extend(due.map(|due| Reverse((due, target))));
    }

    fn decide(&mut self, target: usize, verdict: Verdict) {
        self.met += usize::from(verdict.satisfies(self.goal.until));
        self.decided += 1;
        let slot = &mut self.slots[target];
        slot.last = Some(verdict);
        slot.is_decided = true;
    }

    /// Whether no more attempts are to be made.
    fn is_finished(&self) -> bool {
        let is_wait = matches!(self.goal.repeat, Repeat::Wait { .. });
        let is_enough = is_wait && self.goal.require == Require::Any && self.met > 0;
        self.decided == self.slots.len() || is_enough
    }

    /// Whether the run has ended: nothing more is to be known.
    pub fn is_over(&self, now: Instant) -> bool {
        let is_late = |at: Instant| now >= at && (self.running == 0 || now >= at + GRACE);
        self.is_finished() || self.deadline.is_some_and(is_late)
    }

    /// The instant at which [`Schedule::is_over`] is to be checked again if nothing happens before.
    pub fn next_check(&self, now: Instant) -> Option<Instant> {
        self.deadline.map(|at| if now < at { at } else { at + GRACE })
    }
}

#[cfg(test)]
mod tests;
