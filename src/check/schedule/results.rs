//! The results of a schedule: verdicts in the order of the targets, and whether the goal is reached.

use super::Schedule;
use crate::check::options::Require;
use crate::check::verdict::{TargetVerdict, Verdict};
use crate::report::event::check::CheckStatus;

impl<D> Schedule<D> {
    /// Takes the verdict on the next target in their order, once it is decided.
    pub fn take_decided(&mut self) -> Option<TargetVerdict> {
        let target = self.taken;
        let slot = self.slots.get(target).filter(|slot| slot.is_decided)?;
        self.taken += 1;
        Some(TargetVerdict { target, verdict: slot.verdict()? })
    }

    /// Takes the verdict on the next target in their order when the run is over, decided or not. A
    /// target without any is left out if the goal was reached without it.
    pub fn take_rest(&mut self) -> Option<TargetVerdict> {
        let never_tried = || Verdict { attempts: 0, ..Verdict::new(CheckStatus::Timeout) };
        let is_met = self.is_met();
        while let Some(slot) = self.slots.get(self.taken) {
            self.taken += 1;
            let verdict = slot.verdict().or_else(|| (!is_met).then(never_tried));
            if let Some(verdict) = verdict {
                return Some(TargetVerdict { target: self.taken - 1, verdict });
            }
        }
        None
    }

    /// Whether the goal is reached.
    pub fn is_met(&self) -> bool {
        match self.goal.require {
            Require::All => self.met == self.slots.len(),
            Require::Any => self.met > 0,
        }
    }

    /// The targets without the wanted state, and the verdicts on them.
    pub fn missing(&self) -> impl Iterator<Item = TargetVerdict> + '_ {
        let never_tried = || Verdict::new(CheckStatus::Timeout);
        self.slots.iter().enumerate().filter_map(move |(target, slot)| {
            let verdict = slot.verdict().unwrap_or_else(never_tried);
            let is_met = slot.is_decided && verdict.satisfies(self.goal.until);
            (!is_met).then_some(TargetVerdict { target, verdict })
        })
    }
}
