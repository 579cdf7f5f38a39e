//! `exec`: a program per connection, on its standard input and output.
//!
//! ```text
//!   peer ──inward──► child's stdin      the peer's end is the child's end of input
//!   peer ◄─answer─── child's stdout     the child's end of output is our half-close
//! ```
//!
//! The child has pipes, not the socket: so bytes are counted, limits hold, TLS works, and a child
//! that dies cannot tear down what is still under way. Whatever the order of endings, the child
//! and its process group are gone at most a grace after the connection.

mod child_io;
mod one_shot;
mod ucspi_env;

pub use one_shot::OneShot;

use std::io::{self, Read};
use std::process::ChildStdout;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::connection::half_closed;
use super::{Connection, Service, ServiceOutcome};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Writer};
use crate::process::child::{Child, Program};
use crate::shutdown::{earliest, poll_until};
use crate::transfer::buffer::Buffer;
use child_io::CopyState;

/// The stack of the inward thread: TLS under it needs most of it.
const STACK: usize = 256 << 10;
/// How long a peer that has its whole answer may take to close.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// How often a wait for the peer's end looks again where poll(2) does not report it.
const TICK: Duration = Duration::from_millis(100);

/// The poll flag for the peer's end of stream, where there is one.
#[cfg(target_os = "linux")]
const PEER_DONE: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const PEER_DONE: PollFlags = PollFlags::empty();

/// A program for each guest.
#[derive(Debug)]
pub struct Exec {
    program: Program,
    grace: Duration,
    host: String,
}

/// How the child's answer came to its end.
enum OutputEnd {
    /// The child closed its output, and all of it is sent.
    Whole,
    /// The peer went away before.
    Unheard,
    /// The connection broke while there was something to send.
    Broken(io::Error),
}

impl Exec {
    /// Serves each guest by `program`, which has `grace` to end once its connection is over.
    pub fn new(program: Program, grace: Duration) -> Exec {
        Exec { program, grace, host: host() }
    }
}

/// This machine's name.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Service for Exec {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let environment = ucspi_env::of(guest.facts(), &self.host);
        let child = self.program.start(&environment).map_err(|e| {
            guest.stream.hangup.abort();
            Failure::new(Phase::File, &self.program, e)
        })?;
        guest.activity.set_stream();
        let traffic = CopyState::default();
        let served = self.relay(guest, child, &traffic);
        guest.bytes_in = traffic.bytes_in.load(Ordering::Relaxed);
        served
    }

    fn close(&self) {
        self.program.kill_all();
    }
}

impl Exec {
    /// Moves bytes both ways until the connection and the child are both over.
    fn relay(
        &self,
        guest: &mut Connection,
        mut child: Child,
        traffic: &CopyState,
    ) -> Result<ServiceOutcome, Failure> {
        let stream = &mut guest.stream;
        let (reader, activity, input) = (&mut stream.reader, &guest.activity, child.input.take());
        let news = &guest.news;
        let (hangup, facts) = (&stream.hangup, &stream.facts);
        thread::scope(|scope| {
            let inward = || {
                let heard = traffic.peer_to_child(reader.as_mut(), input, activity);
                if traffic.peer_done.load(Ordering::SeqCst) {
                    hangup.probe_peer();
                    half_closed(news, hangup, EndedBy::Peer);
                }
                if heard.is_err() && !traffic.answered.load(Ordering::SeqCst) {
                    traffic.broken.store(true, Ordering::SeqCst);
                    hangup.abort();
                }
                heard
            };
            let inward =
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, inward).map_err(
                    |e| Failure::new(Phase::Socket, &facts.peer, e).with_code(ExitCode::Negative),
                )?;
            let mut answering = OutputPump {
                hangup,
                traffic,
                writer: stream.writer.as_mut(),
                bytes_out: &mut guest.bytes_out,
            };
            let answer = match child.output.take() {
                Some(output) => answering.run(output),
                None => OutputEnd::Whole,
            };
            let ended = self.finish(answer, answering, child, inward);
            ended.map_err(|(e, sending)| failure(facts, traffic, e, sending))
        })
    }

    /// The answer is over, one way or another: ends the connection, then the child.
    fn finish(
        &self,
        answer: OutputEnd,
        answering: OutputPump<'_>,
        child: Child,
        inward: ScopedJoinHandle<'_, io::Result<()>>,
    ) -> Result<ServiceOutcome, (io::Error, bool)> {
        let OutputPump { hangup, traffic, writer, .. } = answering;
        let broken = traffic.broken.load(Ordering::SeqCst);
        let peer_first = traffic.peer_done.load(Ordering::SeqCst);
        let by = match &answer {
            _ if hangup.closed_locally() => EndedBy::Signal,
            OutputEnd::Whole if !peer_first => EndedBy::Us,
            _ => EndedBy::Peer,
        };
        // What arrived after the child's end of input is not answered: an orderly end would hide it.
        let whole = matches!(answer, OutputEnd::Whole) && !broken && !hangup.left_unread();
        if whole {
            traffic.answered.store(true, Ordering::SeqCst);
            // A peer that is gone has its answer or will not have it; there is no more to do.
            let _ = writer.finish();
            wait_for_either(&child, hangup);
        } else {
            hangup.abort();
        }
        let status = child.terminate(self.grace, !whole);
        if !inward.is_finished() {
            hangup.shutdown();
        }
        let heard = inward.join().unwrap_or(Ok(()));
        match (answer, heard) {
            (OutputEnd::Broken(e), _) => Err((e, true)),
            (OutputEnd::Unheard, Err(e)) => Err((e, false)),
            (_, Err(e)) if broken => Err((e, false)),
            _ => Ok(ServiceOutcome { by, exit_status: Some(status), saved: None }),
        }
    }
}

/// Sends the child's output to the peer.
struct OutputPump<'a> {
    hangup: &'a ConnectionHandle,
    traffic: &'a CopyState,
    writer: &'a mut dyn Writer,
    bytes_out: &'a mut u64,
}

impl OutputPump<'_> {
    fn run(&mut self, mut output: ChildStdout) -> OutputEnd {
        let mut buffer = Buffer::small();
        loop {
            match self.wait(&output) {
                Ok(true) => {}
                Ok(false) => return OutputEnd::Unheard,
                Err(e) => return OutputEnd::Broken(e),
            }
            let n = match output.read(buffer.spare()) {
                Ok(0) => return OutputEnd::Whole,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return OutputEnd::Broken(e),
            };
            let (sent, done) = self.traffic.child_to_peer(self.writer, buffer.filled(n));
            *self.bytes_out += sent;
            if let Err(e) = done {
                return OutputEnd::Broken(e);
            }
            buffer.grow_if_full(n);
        }
    }

    /// True once the child's output has bytes or has ended, false once the connection is gone: a
    /// hangup or an error, which poll(2) always reports. A peer that has half-closed still reads.
    fn wait(&self, output: &ChildStdout) -> io::Result<bool> {
        let mut fds = [
            PollFd::new(output, PollFlags::IN),
            PollFd::new(self.hangup.socket(), PollFlags::empty()),
        ];
        poll_until(&mut fds, None)?;
        Ok(!fds[0].revents().is_empty())
    }
}

/// The answer is sent: waits until the peer has closed, or, for a moment only, once the child has
/// ended too.
fn wait_for_either(child: &Child, hangup: &ConnectionHandle) {
    let mut deadline = None;
    let over = PEER_DONE | PollFlags::HUP | PollFlags::ERR;
    loop {
        let tick = PEER_DONE.is_empty().then(|| Instant::now() + TICK);
        let mut fds = [PollFd::new(hangup.socket(), PEER_DONE)];
        let ended = match deadline {
            None => child.wait(&mut fds, tick).unwrap_or(true),
            Some(_) => poll_until(&mut fds, earliest(deadline, tick)).is_err(),
        };
        if fds[0].revents().intersects(over) || deadline.is_some_and(|at| at <= Instant::now()) {
            return;
        }
        if ended && deadline.is_none() {
            deadline = Some(Instant::now() + LAST_WAIT);
        }
    }
}

/// What a broken connection means: 28 for the idle limit, 18 when an answer was not delivered.
fn failure(facts: &ConnectionInfo, traffic: &CopyState, e: io::Error, sending: bool) -> Failure {
    let stage = if sending { Phase::Send } else { Phase::Receive };
    let heard = traffic.bytes_in.load(Ordering::Relaxed) > 0;
    match e.kind() {
        io::ErrorKind::WouldBlock => {
            let why = "nothing moved for the idle limit";
            Failure::new(stage, &facts.peer, why).with_code(ExitCode::Timeout)
        }
        _ if sending || heard => Failure::new(stage, &facts.peer, e).with_code(ExitCode::Partial),
        _ => Failure::new(stage, &facts.peer, e),
    }
}
