//! A schedule with a clock of the test.

use super::super::options::Until;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn goal(repeat: Repeat) -> Goal {
    let (until, require) = (Until::Open, Require::All);
    Goal { repeat, until, require, addresses: AddressCoverage::FirstOpen }
}

fn wait(limit: Duration) -> Goal {
    goal(Repeat::Wait { limit: Some(limit), interval: SECOND })
}

fn verdict(status: CheckStatus) -> Verdict {
    Verdict { elapsed: Duration::from_millis(1), ..Verdict::new(status) }
}

/// Starts the next attempt and ends it with `status`; returns its target.
fn attempt(schedule: &mut Schedule<char>, status: CheckStatus, now: Instant) -> usize {
    let NextStep::Attempt(target) = schedule.next(now) else { panic!("no attempt is due") };
    let part = schedule.resolved(target, vec!['a']).expect("a part");
    schedule.finished(&part, verdict(status), now);
    target
}

fn statuses(schedule: &mut Schedule<char>) -> Vec<CheckStatus> {
    std::iter::from_fn(|| schedule.take_decided()).map(|decided| decided.verdict.status).collect()
}

#[test]
fn targets_are_tried_once_and_reported_in_order() {
    let now = Instant::now();
    let mut schedule = Schedule::new(3, goal(Repeat::Once), now);
    assert_eq!(schedule.next(now), NextStep::<char>::Attempt(0));
    assert_eq!(attempt(&mut schedule, CheckStatus::Open, now), 1);
    assert_eq!(attempt(&mut schedule, CheckStatus::Refused, now), 2);
    assert_eq!(schedule.next(now), NextStep::Wait(None));
    assert_eq!(statuses(&mut schedule), []);
    schedule.attempted(0, verdict(CheckStatus::Open), now);
    use CheckStatus::{Open, Refused};
    assert_eq!(statuses(&mut schedule), [Open, Open, Refused]);
    assert_eq!(schedule.next(now), NextStep::Over);
    assert!(schedule.is_over(now) && !schedule.is_met());
    assert_eq!(schedule.missing().map(|missing| missing.target).collect::<Vec<_>>(), [2]);
}

#[test]
fn waiting_retries_after_the_interval_what_is_not_open() {
    let start = Instant::now();
    let mut schedule = Schedule::new(2, wait(SECOND * 10), start);
    attempt(&mut schedule, CheckStatus::Refused, start);
    attempt(&mut schedule, CheckStatus::Open, start);
    assert_eq!(schedule.next(start), NextStep::Wait(Some(start + SECOND)));
    assert_eq!(schedule.next(start + SECOND / 2), NextStep::Wait(Some(start + SECOND)));
    assert_eq!(attempt(&mut schedule, CheckStatus::Open, start + SECOND), 0);
    assert_eq!(schedule.next(start + SECOND), NextStep::Over);
    assert!(schedule.is_met());
    let first = schedule.take_decided().unwrap().verdict;
    assert_eq!((first.attempts, first.opened), (2, 1));
}

#[test]
fn waiting_ends_at_the_limit_with_the_last_reason() {
    let start = Instant::now();
    let mut schedule = Schedule::new(1, wait(SECOND * 2), start);
    attempt(&mut schedule, CheckStatus::Refused, start);
    let limit = start + SECOND * 2;
    let NextStep::Attempt(0) = schedule.next(start + SECOND) else { panic!("no attempt") };
    let part = schedule.resolved(0, vec!['a']).unwrap();
    assert!(!schedule.is_over(start + SECOND) && !schedule.is_over(limit));
    assert!(schedule.is_over(limit + GRACE));
    // The limit ended this attempt; the reason is that of the one before.
    schedule.finished(&part, verdict(CheckStatus::Timeout), limit);
    assert!(schedule.is_over(limit) && !schedule.is_met());
    assert_eq!(schedule.take_rest().unwrap().verdict.status, CheckStatus::Refused);
    assert!(schedule.take_rest().is_none());
}

#[test]
fn stopped_attempt_is_no_sign_of_a_closed_port() {
    let start = Instant::now();
    let closed = Goal { until: Until::Closed, ..wait(SECOND) };
    let mut schedule = Schedule::new(1, closed, start);
    let NextStep::Attempt(0) = schedule.next(start) else { panic!("no attempt") };
    let part = schedule.resolved(0, vec!['a']).unwrap();
    schedule.finished(&part, verdict(CheckStatus::Timeout), start + SECOND);
    assert!(!schedule.is_met());
    assert_eq!(schedule.missing().count(), 1);
}

#[test]
fn any_ends_the_wait_at_the_first_open_target() {
    let start = Instant::now();
    let mut schedule = Schedule::new(3, Goal { require: Require::Any, ..wait(SECOND) }, start);
    attempt(&mut schedule, CheckStatus::Refused, start);
    assert_eq!(attempt(&mut schedule, CheckStatus::Open, start), 1);
    assert_eq!(schedule.next(start), NextStep::Over);
    assert!(schedule.is_met() && schedule.is_over(start));
    let rest = std::iter::from_fn(|| schedule.take_rest());
    assert_eq!(rest.map(|left| left.target).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn first_open_address_decides_and_the_others_are_left_out() {
    let now = Instant::now();
    let mut schedule = Schedule::new(1, goal(Repeat::Once), now);
    schedule.next(now);
    let first = schedule.resolved(0, vec!['a', 'b', 'c']).unwrap();
    let NextStep::Connect(second) = schedule.next(now) else { panic!("no part") };
    assert_eq!((first.destination, second.destination), ('a', 'b'));
    schedule.finished(&second, verdict(CheckStatus::Open), now);
    assert_eq!(schedule.next(now), NextStep::Over);
    schedule.finished(&first, verdict(CheckStatus::Refused), now);
    assert_eq!(statuses(&mut schedule), [CheckStatus::Open]);
}

#[test]
fn all_addresses_are_tried_when_each_is_to_be_listed() {
    let now = Instant::now();
    let all = Goal { addresses: AddressCoverage::All, ..goal(Repeat::Once) };
    let mut schedule = Schedule::new(1, all, now);
    schedule.next(now);
    let first = schedule.resolved(0, vec!['a', 'b']).unwrap();
    schedule.finished(&first, verdict(CheckStatus::Open), now);
    let NextStep::Connect(second) = schedule.next(now) else { panic!("no part") };
    schedule.finished(&second, verdict(CheckStatus::Refused), now);
    assert_eq!(statuses(&mut schedule), [CheckStatus::Open]);
}

#[test]
fn counted_attempts_start_at_the_interval_and_have_figures() {
    let start = Instant::now();
    let repeat = Repeat::Count { times: 3, interval: SECOND };
    let mut schedule = Schedule::<char>::new(1, goal(repeat), start);
    let mut at = start;
    for status in [CheckStatus::Open, CheckStatus::Refused, CheckStatus::Open] {
        // Each attempt takes 300 ms.
        let NextStep::Attempt(0) = schedule.next(at) else { panic!("no attempt") };
        schedule.attempted(0, verdict(status), at + SECOND * 3 / 10);
        at += SECOND;
        assert_ne!(schedule.next(at - SECOND / 2), NextStep::Attempt(0));
    }
    let verdict = schedule.take_decided().unwrap().verdict;
    assert_eq!((verdict.status, verdict.attempts, verdict.opened), (CheckStatus::Open, 3, 2));
    assert_eq!(verdict.times.map(|times| times.max_ms), Some(1.0));
}
