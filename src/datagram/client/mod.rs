//! Writing datagrams and printing what comes back, until each has its answer or patience ends.

pub mod ping;
pub mod ping_stats;
pub mod send_window;
pub mod source;
pub mod targets;

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::datagram::RecvBatch;
use crate::error::{ExitCode, Failure, Phase, message_without_errno};
use crate::net::stdout;
use crate::report::Report;
use crate::report::hexdump::HexDump;
use crate::shutdown::{Shutdown, WaitOutcome};
use crate::transfer::tap::{Direction, TapSink};
use send_window::Window;
use source::{NextDatagram, Source};
use targets::{ClientSocket, Targets};

/// What is sent, and what is done with the answers.
pub struct SendJob {
    /// The datagrams.
    pub source: Source,
    /// How long before the first.
    pub delay: Duration,
    /// What becomes of the replies.
    pub replies: Replies,
    /// Answers are printed as they come, without line ends.
    pub raw: bool,
    /// Where both directions are dumped.
    pub dump: Option<HexDump>,
}

/// What a client does with replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// Prints them, and waits this long for those to the last datagram; nothing = without limit.
    Awaited(Option<Duration>),
    /// Drops them, and waits for none.
    Dropped,
}

/// Datagrams kept to be sent again to another address of the peer's, while none has answered.
const KEPT: usize = 64;

/// Sends the letters and prints the answers. No answer at all is no failure.
///
/// Fails with 7 when the peer's machine says that nobody is there, 18 if it had answered before,
/// and at [`Stage::Send`], [`Stage::Stdin`] or [`Stage::Stdout`].
pub fn talk(
    mut lines: Targets<'_>,
    letters: SendJob,
    report: &Report,
    stop: &Shutdown,
) -> Result<ExitCode, Failure> {
    let line = lines.first(report)?;
    let batch = line.mailbox.batch();
    let mut talk = DatagramClient {
        line,
        lines,
        window: match letters.replies {
            Replies::Dropped => Window::without_answers(),
            Replies::Awaited(_) if letters.raw => Window::bulk(),
            Replies::Awaited(_) => Window::request_reply(),
        },
        letters,
        unacked: Vec::new(),
        sent: 0,
        heard: 0,
        refused: None,
        report,
        stop,
    };
    let outcome = talk.run(batch);
    report.step(|| format!("{} datagrams sent, {} came back", talk.sent, talk.heard));
    match outcome {
        Err(failure) if stdout::is_broken_pipe(&failure) => Ok(ExitCode::Done),
        Err(failure) => Err(failure),
        Ok(()) => Ok(ExitCode::Done),
    }
}

struct DatagramClient<'a> {
    line: ClientSocket,
    lines: Targets<'a>,
    letters: SendJob,
    window: Window,
    unacked: Vec<Vec<u8>>,
    sent: u64,
    heard: u64,
    /// The latest refusal, unless something was heard since.
    refused: Option<i32>,
    report: &'a Report,
    stop: &'a Shutdown,
}

/// Whom a wait is for.
#[derive(PartialEq, Eq)]
enum WaitFor {
    Answers,
    AnswersOrStdin,
}

impl DatagramClient<'_> {
    fn run(&mut self, mut batch: RecvBatch) -> Result<(), Failure> {
        let stopped = |reason| Failure::shutdown(Phase::Send, &self.line.shown, reason);
        self.stop.sleep(self.letters.delay).map_err(stopped)?;
        loop {
            self.receive_all(&mut batch)?;
            self.handle_icmp_errors()?;
            if let Some(until) = self.window.blocked_until(Instant::now()) {
                self.wait(Some(until), WaitFor::Answers)?;
                continue;
            }
            match self.letters.source.advance()? {
                NextDatagram::Datagram(bytes) => self.send(bytes, &mut batch)?,
                NextDatagram::Later => drop(self.wait(None, WaitFor::AnswersOrStdin)?),
                NextDatagram::End => break,
            }
        }
        let Replies::Awaited(wait) = self.letters.replies else {
            return self.check_refusals(&mut batch);
        };
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        while self.heard < self.sent {
            if let (Some(errno), false) = (self.refused, self.try_another_address()?) {
                return Err(self.line.refused(errno, self.heard));
            }
            if self.wait(until, WaitFor::Answers)? == WaitOutcome::TimedOut {
                break;
            }
            self.receive_all(&mut batch)?;
        }
        Ok(())
    }

    /// Fails when a refusal is there already; one that comes later is not waited for.
    fn check_refusals(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        self.receive_all(batch)?;
        while let Some(errno) = self.refused {
            if !self.try_another_address()? {
                return Err(self.line.refused(errno, self.heard));
            }
            self.receive_all(batch)?;
        }
        Ok(())
    }

    fn send(&mut self, bytes: Vec<u8>, batch: &mut RecvBatch) -> Result<(), Failure> {
        loop {
            match self.line.send(&bytes) {
                Ok(()) => break,
                // A peer that reads slowly is waited for, and heard meanwhile.
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.receive_all(batch)?,
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                    let errno = e.raw_os_error().unwrap_or(libc::ECONNREFUSED);
                    self.refused = Some(errno);
                    if !self.try_another_address()? {
                        return Err(self.line.refused(errno, self.heard));
                    }
                }
                Err(e) => return Err(self.line.unsent(e)),
            }
            self.check_stop()?;
        }
        if let Some(dump) = &mut self.letters.dump {
            dump.on_bytes(Direction::Sent, &bytes);
        }
        self.report.step(|| format!("Sent {} bytes to {}", bytes.len(), self.line.shown));
        self.sent += 1;
        self.window.sent();
        if self.heard == 0 && self.unacked.len() < KEPT {
            self.unacked.push(bytes);
        }
        self.check_stop()
    }

    /// Takes what is there.
    fn receive_all(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        loop {
            let came = self.line.mailbox.receive_now(batch);
            let came = came.map_err(|e| Failure::new(Phase::Receive, &self.line.shown, e))?;
            if let Some(refused) = self.line.mailbox.icmp_errors().back() {
                self.refused = Some(refused.errno);
            } else if came == 0 {
                return Ok(());
            }
            for bundle in batch.bundles().take(came) {
                if self.line.ignores(bundle.envelope, self.report) {
                    continue;
                }
                for payload in bundle.datagrams() {
                    let peer = || bundle.envelope.address();
                    self.report.step(|| format!("Got {} bytes from {}", payload.len(), peer()));
                    if bundle.envelope.cut {
                        self.report.warn(None, format!("an answer from {} is cut short", peer()));
                    }
                    self.heard += 1;
                    self.window.on_reply();
                    (self.refused, self.unacked) = (None, Vec::new());
                    print(&mut self.letters, payload, self.stop)?;
                }
            }
        }
    }

    /// While there is more to send a refusal is only told: whoever refuses now may be there for
    /// the next.
    fn handle_icmp_errors(&mut self) -> Result<(), Failure> {
        let Some(errno) = self.refused else { return Ok(()) };
        if !self.try_another_address()? && self.letters.source.waits_for_stdin() {
            let why = message_without_errno(&std::io::Error::from_raw_os_error(errno));
            self.report.step(|| format!("{}: {why}", self.line.shown));
        }
        Ok(())
    }

    /// Sends what nobody has taken to the next address of the peer's; false when there is none.
    fn try_another_address(&mut self) -> Result<bool, Failure> {
        let Some(errno) = self.refused else { return Ok(true) };
        if self.heard > 0 || self.sent > self.unacked.len() as u64 {
            return Ok(false);
        }
        let refused = self.line.refused(errno, 0);
        let Some(line) = self.lines.next_after_refusal(refused, self.report)? else {
            return Ok(false);
        };
        (self.line, self.refused) = (line, None);
        for bytes in &self.unacked {
            self.line.send(bytes).map_err(|e| self.line.unsent(e))?;
        }
        Ok(true)
    }

    fn wait(&self, until: Option<Instant>, whom: WaitFor) -> Result<WaitOutcome, Failure> {
        let stdin = rustix::stdio::stdin();
        let out = rustix::stdio::stdout();
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.line.mailbox.socket().as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()),
        ];
        if whom == WaitFor::AnswersOrStdin {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
        }
        let failed = |e| Failure::new(Phase::Receive, &self.line.shown, e);
        let wake = self.stop.wait_any(&mut fds, until).map_err(failed)?;
        if let WaitOutcome::Shutdown(reason) = wake {
            return Err(Failure::shutdown(Phase::Receive, &self.line.shown, reason));
        }
        if fds[1].revents().contains(PollFlags::ERR) {
            // Nobody reads what we print any more.
            let gone = std::io::Error::from_raw_os_error(libc::EPIPE);
            return Err(Failure::new(Phase::Stdout, "-", gone));
        }
        Ok(wake)
    }

    fn check_stop(&self) -> Result<(), Failure> {
        match self.stop.reason() {
            Some(reason) => Err(Failure::shutdown(Phase::Send, &self.line.shown, reason)),
            None => Ok(()),
        }
    }
}

/// Prints an answer on a line of its own or as it came, unless answers are dropped.
fn print(letters: &mut SendJob, payload: &[u8], stop: &Shutdown) -> Result<(), Failure> {
    if letters.replies == Replies::Dropped {
        return Ok(());
    }
    if let Some(dump) = &mut letters.dump {
        dump.on_bytes(Direction::Received, payload);
    }
    match letters.raw || payload.ends_with(b"\n") {
        true => stdout::write_all_or_shutdown(payload, stop),
        false => stdout::write_all_or_shutdown(&[payload, b"\n"].concat(), stop),
    }
}
