//! The desk of a server of datagrams: receive some, do the service's duty with each, send the
//! answers, count.
//!
//! Nothing that one datagram brings ends the run: not an error of the kernel's, not a peer's ICMP
//! refusal, not an answer that cannot be sent.

use std::io;
use std::time::{Duration, Instant};

use super::ServerConfig;
use super::delay_queue::DelayQueue;
use super::log::{ServerLog, counters};
use super::stats::ServerStats;
use crate::datagram::listen::Handler;
use crate::datagram::server::reply_policy::{DropReason, ReplyPolicy};
use crate::datagram::{DatagramGroup, DatagramSocket, RecvBatch, Transmit};
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::report::Report;
use crate::report::datagram_stats::Totals;
use crate::shutdown::{Shutdown, ShutdownReason, earliest};

/// Pauses between receives that fail in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long what has already come is still served when the run is to end.
const LAST_CALL: Duration = Duration::from_millis(200);

/// How a run ended.
pub struct ShutdownReport {
    /// Whether something was owed that nobody waited for.
    pub work_dropped: bool,
    /// What put an end to the wait for it.
    pub interrupted_by: Option<ShutdownReason>,
}

/// One server at work.
pub struct DatagramServer<'a> {
    mailbox: DatagramSocket,
    local: Address,
    duty: Handler,
    guard: ReplyPolicy,
    tally: ServerStats,
    /// Where answers wait, if they do.
    held: Option<DelayQueue>,
    /// Datagrams until we leave.
    left: u64,
    quiet: Option<Duration>,
    grace: Duration,
    news: ServerLog<'a>,
    stop: &'a Shutdown,
}

impl<'a> DatagramServer<'a> {
    /// Opens it. Fails at [`Stage::Bind`] on a socket that is not bound.
    pub fn open(
        plan: ServerConfig,
        report: &'a Report,
        stop: &'a Shutdown,
    ) -> Result<DatagramServer<'a>, Failure> {
        let mut duty = plan.duty;
        let outlet = matches!(duty, Handler::Print(_)).then(rustix::stdio::stdout);
        let mailbox = DatagramSocket::for_server(plan.socket, plan.keep_recv_buffer, stop, outlet)
            .map_err(|e| Failure::new(Phase::Bind, "-", e))?;
        if let Handler::Exec(programs) = &mut duty {
            programs.open(mailbox.sender(), report);
        }
        let local = mailbox.local().clone();
        let news = ServerLog::new(report, local.clone());
        news.listening(duty.amplifies());
        Ok(DatagramServer {
            guard: ReplyPolicy::new(local.clone(), plan.max_rate),
            news,
            mailbox,
            local,
            duty,
            tally: ServerStats::new(),
            held: (!plan.delay.is_zero()).then(|| DelayQueue::new(plan.delay)),
            left: plan.max_datagrams.unwrap_or(u64::MAX),
            quiet: plan.accept_timeout,
            grace: plan.grace,
            stop,
        })
    }

    /// Serves. Why it ended; nothing when enough datagrams came.
    ///
    /// Fails at [`Stage::Stdout`] when payloads cannot be printed, at [`Stage::Listen`] with 28 in
    /// too long a silence.
    pub fn serve(&mut self) -> Result<Option<ShutdownReason>, Failure> {
        let mut batch = self.mailbox.batch();
        let mut trouble = ReceiveBackoff::default();
        let mut heard = Instant::now();
        while self.left > 0 {
            let silence = self.quiet.and_then(|quiet| heard.checked_add(quiet));
            let until = earliest(silence, self.held.as_ref().and_then(DelayQueue::next_deadline));
            let received = self.mailbox.receive(&mut batch, until);
            self.log_icmp_errors();
            match received {
                Ok(came) => {
                    trouble = ReceiveBackoff::default();
                    self.handle(&batch)?;
                    if self.quiet.is_some() && came > 0 {
                        heard = Instant::now();
                    }
                }
                Err(e) => self.backoff(&mut trouble, &e),
            }
            if self.mailbox.stdout_closed() {
                return Err(stdout_closed());
            }
            self.answer_due(self.held.is_some().then(Instant::now));
            if let Some(reason) = self.stop.reason() {
                self.drain_queued(&mut batch)?;
                return Ok(Some(reason));
            }
            if let Some(quiet) = self.quiet.filter(|quiet| heard.elapsed() >= *quiet) {
                self.flush_delayed();
                return Err(Failure::timeout(Phase::Listen, &self.local, quiet));
            }
        }
        Ok(self.flush_delayed())
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
    fn flush_delayed(&mut self) -> Option<ShutdownReason> {
        while let Some(due) = self.held.as_ref().and_then(DelayQueue::next_deadline) {
            if let Err(reason) = self.stop.sleep(due.saturating_duration_since(Instant::now())) {
                self.answer_due(None);
                return Some(reason);
            }
            self.answer_due(Some(Instant::now()));
        }
        None
    }

    /// What the kernel already holds is still served, for a moment.
    fn drain_queued(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
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
    pub fn close(&mut self) -> ShutdownReport {
        let unprinted = self.duty.unprinted();
        self.news.unprinted(unprinted);
        let mut closed = ShutdownReport { work_dropped: unprinted > 0, interrupted_by: None };
        if let Handler::Exec(programs) = &self.duty {
            let ended = programs.close(self.grace, self.stop);
            self.news.killed_programs(ended.cut);
            self.tally.by_programs(ended.sums);
            closed = ShutdownReport { work_dropped: ended.cut > 0, interrupted_by: ended.hurried };
        }
        self.log_icmp_errors();
        closed
    }

    /// Where it is bound.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// What was counted.
    pub fn totals(&self) -> Totals {
        self.tally.totals(&self.local)
    }

    fn handle(&mut self, batch: &RecvBatch) -> Result<(), Failure> {
        let now = Instant::now();
        let mut outgoing = Vec::with_capacity(batch.len());
        for bundle in batch.bundles() {
            let bundle = bundle.first(u32::try_from(self.left).unwrap_or(u32::MAX));
            self.left -= u64::from(bundle.count()).min(self.left);
            self.handle_datagrams(&bundle, now, &mut outgoing);
            if self.left == 0 {
                break;
            }
        }
        self.duty.flush(self.stop)?;
        self.send(&outgoing);
        Ok(())
    }

    fn handle_datagrams<'b>(
        &mut self,
        bundle: &DatagramGroup<'b>,
        now: Instant,
        outgoing: &mut Vec<Transmit<'b>>,
    ) {
        let (peer, count) = (bundle.envelope.address(), bundle.count());
        let heard = self.tally.datagrams_in();
        self.tally.received(&peer, count, bundle.bytes.len());
        self.news.log_received(bundle, &peer);
        if bundle.envelope.cut {
            self.tally.dropped.cut += 1;
            self.news.truncated(&peer);
        } else if self.duty.answers() {
            let (admitted, silence) = self.guard.admit(&peer, count, now);
            if let Some(silence) = silence {
                self.stay_silent(silence, &peer, count - admitted);
            }
            if admitted > 0 {
                let local = counters(&self.local, bundle.envelope);
                let bundle = bundle.first(admitted);
                match &mut self.held {
                    None => self.duty.answer(&bundle, heard, &local, outgoing),
                    Some(held) => {
                        let refused = held.push(&bundle, heard, local, now);
                        self.count_dropped(refused);
                    }
                }
            }
        } else {
            self.duty.handle(bundle);
        }
    }

    fn count_dropped(&mut self, count: u32) {
        self.tally.dropped.busy += u64::from(count);
        if count > 0 {
            self.news.delay_queue_full();
        }
    }

    fn send(&mut self, outgoing: &[Transmit<'_>]) {
        let DatagramServer { mailbox, tally, news, .. } = self;
        for letter in outgoing {
            tally.sent(letter.count(), letter.bytes.len());
        }
        mailbox.send(outgoing, &mut |letter, e| {
            tally.unsent(letter.count(), letter.bytes.len());
            news.unsent(letter, e);
        });
    }

    fn stay_silent(&mut self, silence: DropReason, peer: &Address, count: u32) {
        self.tally.dropped(silence, count);
        self.news.not_answered(silence, peer, self.guard.per_second());
    }

    fn log_icmp_errors(&mut self) {
        for refused in self.mailbox.icmp_errors() {
            self.tally.dropped.refused += 1;
            self.news.refused(&refused);
        }
    }

    fn backoff(&self, trouble: &mut ReceiveBackoff, error: &io::Error) {
        if trouble.pause.is_zero() {
            self.news.log_error(error);
        }
        trouble.pause = (trouble.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        // Whoever pulls the cord ends the pause, and then the loop sees why.
        let _ = self.stop.sleep(trouble.pause);
    }
}

/// Nobody reads what we print any more.
fn stdout_closed() -> Failure {
    Failure::new(Phase::Stdout, "", io::Error::from_raw_os_error(libc::EPIPE))
}

/// A spell of receives that failed.
#[derive(Default)]
struct ReceiveBackoff {
    pause: Duration,
}
