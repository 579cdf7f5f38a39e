//! Serving datagrams: receive some, do the service's duty with each, send the answers, count.
//!
//! Nothing that one datagram brings ends the run: not an error of the kernel's, not a peer's ICMP
//! refusal, not an answer that cannot be sent.

use std::io;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::Duty;
use super::held::Held;
use super::tally::Tally;
use crate::failure::{Code, Failure, Stage, words};
use crate::net::address::Address;
use crate::net::datagram::guard::{Guard, Silence};
use crate::net::datagram::{Batch, Bundle, Envelope, Mailbox, Outgoing};
use crate::net::inherit;
use crate::pump::stdout;
use crate::report::Report;
use crate::report::event::Event;
use crate::stop::{Reason, Stop, earliest};

/// Pauses between receives that fail in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long what has already come is still served when the run is to end.
const LAST_CALL: Duration = Duration::from_millis(200);

/// Everything a run of a server of datagrams needs, decided.
#[derive(Debug)]
pub struct Plan {
    /// Bound, UDP or Unix.
    pub socket: Socket,
    /// The user has chosen the size of its receive buffer.
    pub narrow: bool,
    /// What is done with each datagram.
    pub duty: Duty,
    /// Answers a second to one source; 0 = no limit.
    pub max_rate: u32,
    /// Leave after so many datagrams.
    pub most: Option<u64>,
    /// Leave when nothing has come for this long.
    pub quiet: Option<Duration>,
    /// Time before each answer.
    pub delay: Duration,
    /// How long programs may still take when the run is to end.
    pub grace: Duration,
}

/// Serves until a signal, the limit or a failed stdout ends it, and tells the totals.
///
/// Fails at [`Stage::Bind`] on a socket that is not bound, at [`Stage::Stdout`] when payloads
/// cannot be printed, at [`Stage::Listen`] with 28 when nothing has come for `plan.quiet`.
pub fn serve(plan: Plan, report: &Report, stop: &Stop) -> Result<Code, Failure> {
    let outlet = matches!(plan.duty, Duty::Print(_)).then(rustix::stdio::stdout);
    let mailbox = Mailbox::serving(plan.socket, plan.narrow, stop, outlet)
        .map_err(|e| Failure::new(Stage::Bind, "-", e))?;
    let local = mailbox.local().clone();
    report.tell(&Event::Listening { local: local.to_string(), what: "datagrams" });
    if plan.duty.amplifies() && local.ip().is_some_and(|ip| !ip.is_loopback()) {
        let why = "answers can be sent to whoever a forged source names; --max-rate limits them";
        report.warn(None, why);
    }
    let mut duty = plan.duty;
    if let Duty::Exec(programs) = &mut duty {
        programs.open(mailbox.sender(), report);
    }
    let mut office = Office {
        guard: Guard::new(local.clone(), plan.max_rate),
        mailbox,
        local,
        duty,
        tally: Tally::new(),
        held: (!plan.delay.is_zero()).then(|| Held::new(plan.delay)),
        left: plan.most.unwrap_or(u64::MAX),
        quiet: plan.quiet,
        report,
        stop,
        rate_told: false,
        busy_told: false,
        began: Instant::now(),
    };
    inherit::tell_ready();
    let outcome = office.serve();
    inherit::tell_stopping();
    let closed = office.close(plan.grace);
    office.tell_refusals();
    report.tell(&Event::Totals(office.tally.totals(&office.local)));
    let reason = match outcome {
        Err(failure) if stdout::reader_is_gone(&failure) => None,
        Err(failure) => return Err(failure),
        Ok(reason) => reason.or(closed.hurried),
    };
    match reason {
        None => Ok(Code::Done),
        Some(Reason::Interrupt) => Ok(Code::Interrupted),
        Some(Reason::Terminate) if closed.cut => Ok(Code::Terminated),
        Some(Reason::Terminate) => Ok(Code::Done),
        Some(Reason::Deadline) => {
            Err(Failure::stopped(Stage::Listen, &office.local, Reason::Deadline))
        }
    }
}

/// How a run ended.
#[derive(Default)]
struct Closed {
    /// Whether something was owed that nobody waited for.
    cut: bool,
    /// What put an end to the wait for it.
    hurried: Option<Reason>,
}

struct Office<'a> {
    mailbox: Mailbox,
    local: Address,
    duty: Duty,
    guard: Guard,
    tally: Tally,
    /// Where answers wait, if they do.
    held: Option<Held>,
    /// Datagrams until we leave.
    left: u64,
    quiet: Option<Duration>,
    report: &'a Report,
    stop: &'a Stop,
    rate_told: bool,
    busy_told: bool,
    began: Instant,
}

impl Office<'_> {
    /// Why it ended; nothing when enough datagrams came.
    fn serve(&mut self) -> Result<Option<Reason>, Failure> {
        let mut batch = self.mailbox.batch();
        let mut trouble = Trouble::default();
        let mut heard = Instant::now();
        while self.left > 0 {
            let silence = self.quiet.and_then(|quiet| heard.checked_add(quiet));
            let received = match earliest(silence, self.held.as_ref().and_then(Held::due)) {
                None => self.mailbox.receive(&mut batch),
                until => self.mailbox.receive_until(&mut batch, until),
            };
            self.tell_refusals();
            match received {
                Ok(came) => {
                    trouble = Trouble::default();
                    self.handle(&batch)?;
                    if self.quiet.is_some() && came > 0 {
                        heard = Instant::now();
                    }
                }
                Err(e) => self.sit_out(&mut trouble, &e),
            }
            if self.mailbox.is_unheard() {
                return Err(unheard());
            }
            self.answer_due(self.held.is_some().then(Instant::now));
            if let Some(reason) = self.stop.reason() {
                self.last_call(&mut batch)?;
                return Ok(Some(reason));
            }
            if let Some(quiet) = self.quiet.filter(|quiet| heard.elapsed() >= *quiet) {
                self.see_out();
                return Err(Failure::late(Stage::Listen, &self.local, quiet));
            }
        }
        Ok(self.see_out())
    }

    /// Sends the answers whose moment has come; with no `now` all of them.
    fn answer_due(&mut self, now: Option<Instant>) {
        while let Some(one) = self.held.as_mut().and_then(|held| held.next(now)) {
            let mut outgoing = Vec::new();
            self.duty.answer(&one.bundle(), one.heard, &one.local, &mut outgoing);
            self.send(&outgoing);
        }
    }

    /// Waits for the answers that are still to come. Whoever wants the run to end is not kept
    /// waiting: then they come at once.
    fn see_out(&mut self) -> Option<Reason> {
        while let Some(due) = self.held.as_ref().and_then(Held::due) {
            if let Err(reason) = self.stop.sleep(due.saturating_duration_since(Instant::now())) {
                self.answer_due(None);
                return Some(reason);
            }
            self.answer_due(Some(Instant::now()));
        }
        None
    }

    /// What the kernel already holds is still served, for a moment.
    fn last_call(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        let until = Instant::now() + LAST_CALL;
        while self.left > 0 && Instant::now() < until {
            match self.mailbox.receive_now(batch) {
                Ok(1..) => self.handle(batch)?,
                Ok(0) | Err(_) => break,
            }
        }
        self.answer_due(None);
        Ok(())
    }

    /// Waits for what is still owed, and tells what was not waited for.
    fn close(&mut self, grace: Duration) -> Closed {
        let unprinted = self.duty.unprinted();
        if unprinted > 0 {
            let why = format!("{unprinted} bytes for stdout are lost: its reader takes nothing");
            self.report.warn(None, why);
        }
        let Duty::Exec(programs) = &self.duty else {
            return Closed { cut: unprinted > 0, hurried: None };
        };
        let closed = programs.close(grace, self.stop);
        if closed.cut > 0 {
            let why = format!("{} programs still ran and were ended, unanswered", closed.cut);
            self.report.warn(None, why);
        }
        let (sums, dropped) = (closed.sums, &mut self.tally.dropped);
        dropped.unsent += u64::from(sums.unsent);
        dropped.busy += u64::from(sums.busy);
        dropped.failed += u64::from(sums.failed);
        self.tally.went(sums.sent, sums.bytes);
        Closed { cut: closed.cut > 0, hurried: closed.hurried }
    }

    fn handle(&mut self, batch: &Batch) -> Result<(), Failure> {
        // Without a limit and a delay nobody asks what time it is.
        let timed = self.guard.per_second().is_some() || self.held.is_some();
        let now = if timed { Instant::now() } else { self.began };
        let mut outgoing = Vec::with_capacity(batch.len());
        for bundle in batch.bundles() {
            let bundle = bundle.first(u32::try_from(self.left).unwrap_or(u32::MAX));
            self.left -= u64::from(bundle.count()).min(self.left);
            self.one(&bundle, now, &mut outgoing);
            if self.left == 0 {
                break;
            }
        }
        self.duty.flush(self.stop)?;
        self.send(&outgoing);
        Ok(())
    }

    fn one<'a>(&mut self, bundle: &Bundle<'a>, now: Instant, outgoing: &mut Vec<Outgoing<'a>>) {
        let (peer, count) = (bundle.envelope.address(), bundle.count());
        let heard = self.tally.datagrams_in();
        self.tally.came(&peer, count, bundle.bytes.len());
        if self.report.wants_facts() {
            self.tell(bundle, &peer);
        }
        if bundle.envelope.cut {
            self.tally.dropped.cut += 1;
            let step = || format!("A datagram from {peer} is longer than our room for it; dropped");
            self.report.step(step);
        } else if self.duty.answers() {
            let (admitted, silence) = self.guard.admit(&peer, count, now);
            if let Some(silence) = silence {
                self.stay_silent(silence, &peer, count - admitted);
            }
            if admitted > 0 {
                let local = asked(&self.local, bundle.envelope);
                let bundle = bundle.first(admitted);
                match &mut self.held {
                    None => self.duty.answer(&bundle, heard, &local, outgoing),
                    Some(held) => {
                        let refused = held.keep(&bundle, heard, local, now);
                        self.turn_away(refused);
                    }
                }
            }
        } else {
            self.duty.take(bundle);
        }
    }

    /// Told once in a run: the totals tell how many.
    fn turn_away(&mut self, count: u32) {
        self.tally.dropped.busy += u64::from(count);
        if count > 0 && !std::mem::replace(&mut self.busy_told, true) {
            self.report.warn(None, "too many answers wait for their --delay; others are not given");
        }
    }

    fn send(&mut self, outgoing: &[Outgoing<'_>]) {
        let Office { mailbox, tally, report, .. } = self;
        for letter in outgoing {
            tally.went(letter.count(), letter.bytes.len());
        }
        mailbox.send(outgoing, &mut |letter, e| {
            tally.unsent(letter.count(), letter.bytes.len());
            report.step(|| {
                let peer = letter.peer.map(Address::from);
                format!("Answering {} failed: {}", peer.unwrap_or(Address::Unnamed), words(e))
            });
        });
    }

    fn stay_silent(&mut self, silence: Silence, peer: &Address, count: u32) {
        self.tally.silent(silence, count);
        let why = match silence {
            Silence::Port => "its port belongs to a service that answers everything",
            Silence::Itself => "that is ourselves",
            Silence::Nowhere => "it has no address to answer to",
            Silence::Rate => return self.tell_rate(peer),
        };
        self.report.step(|| format!("Not answering {peer}: {why}"));
    }

    /// Once in a run: the totals tell how often it happened.
    fn tell_rate(&mut self, peer: &Address) {
        if !std::mem::replace(&mut self.rate_told, true) {
            let rate = self.guard.per_second().unwrap_or_default();
            let source = peer.ip().map_or_else(|| peer.to_string(), |ip| ip.to_string());
            let why = format!("{source} is answered at most {rate} times a second (--max-rate)");
            self.report.warn(None, why);
        }
    }

    fn tell(&self, bundle: &Bundle<'_>, peer: &Address) {
        for payload in bundle.datagrams() {
            let (peer, bytes) = (peer.to_string(), payload.len());
            let local = asked(&self.local, bundle.envelope).to_string();
            self.report.tell(&Event::Datagram { local, peer, bytes });
        }
    }

    fn tell_refusals(&mut self) {
        for refused in self.mailbox.refusals() {
            self.tally.dropped.refused += 1;
            self.report.step(|| {
                let why = io::Error::from_raw_os_error(refused.errno);
                format!("{} did not take our answer: {}", refused.peer, words(&why))
            });
        }
    }

    fn sit_out(&self, trouble: &mut Trouble, error: &io::Error) {
        if trouble.pause.is_zero() {
            let why = words(error);
            self.report.warn(None, format!("receiving on {}: {why}; going on", self.local));
        }
        trouble.pause = (trouble.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        // Whoever pulls the cord ends the pause, and then the loop sees why.
        let _ = self.stop.sleep(trouble.pause);
    }
}

/// Nobody reads what we print any more.
fn unheard() -> Failure {
    Failure::new(Stage::Stdout, "", io::Error::from_raw_os_error(libc::EPIPE))
}

/// A spell of receives that failed.
#[derive(Default)]
struct Trouble {
    pause: Duration,
}

/// The address of ours that a datagram was sent to.
fn asked(local: &Address, envelope: &Envelope) -> Address {
    match (local, envelope.origin.address) {
        (Address::Inet(bound), Some(ip)) => {
            Address::from(std::net::SocketAddr::new(ip, bound.port()))
        }
        _ => local.clone(),
    }
}
