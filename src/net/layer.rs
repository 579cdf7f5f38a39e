//! What stands between a connected socket and the user's bytes: a proxy's greeting, TLS.
//!
//! A layer takes a [`Stream`] and returns a [`Stream`]; nothing above can tell. While its
//! handshake goes on, every wait is one `poll(2)` that also ends at the handshake's own
//! deadline, so a peer that drips a byte at a time gains nothing.

use std::fmt;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::Socket;

use super::connect_event::{ConnectEvent, OnConnectEvent};
use super::stream::Stream;
use crate::error::{Failure, Phase};
use crate::net::activity::Activity;
use crate::shutdown::{Shutdown, WaitOutcome, poll_until};

/// Something that can be wrapped around a stream.
pub trait Layer: fmt::Debug + Send + Sync {
    /// Holds the handshake and returns the stream behind it.
    ///
    /// Fails at the layer's own stage; with 28 when the handshake's time has passed.
    fn wrap(&self, stream: Stream, talk: &HandshakeContext<'_>) -> Result<Stream, Failure>;
}

/// The circumstances of a handshake: with whom, for how long, who may call it off, who listens.
pub struct HandshakeContext<'a> {
    /// The other end, as error lines name it.
    pub target: String,
    /// When it must be over.
    pub until: Option<Instant>,
    /// The limit behind `until`, for the message.
    pub limit: Duration,
    /// The run's cord, where the run waits for this handshake.
    pub stop: Option<&'a Shutdown>,
    /// Records that a server's connection is idle while it waits.
    pub activity: Option<&'a Activity>,
    /// Who hears of the steps.
    pub tell: OnConnectEvent<'a>,
}

impl HandshakeContext<'_> {
    /// Waits until `socket` is ready for `what`.
    ///
    /// Fails at `stage`: with 28 past the deadline, with 130 or 143 when the run is ended.
    pub fn wait(&self, stage: Phase, socket: &Socket, what: PollFlags) -> Result<(), Failure> {
        let woken = match self.stop {
            Some(stop) => stop.wait(socket.as_fd(), what, self.until),
            None => self.wait_alone(socket, what),
        };
        match woken {
            Ok(WaitOutcome::Ready(_)) => Ok(()),
            Ok(WaitOutcome::TimedOut) => Err(Failure::timeout(stage, &self.target, self.limit)),
            Ok(WaitOutcome::Shutdown(reason)) => {
                Err(Failure::shutdown(stage, &self.target, reason))
            }
            Err(e) => Err(Failure::new(stage, &self.target, e)),
        }
    }

    fn wait_alone(&self, socket: &Socket, what: PollFlags) -> std::io::Result<WaitOutcome> {
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), what)];
        let mut wait = || poll_until(&mut fds, self.until);
        let ready = match self.activity {
            Some(activity) => activity.while_waiting(wait),
            None => wait(),
        };
        Ok(if ready? == 0 { WaitOutcome::TimedOut } else { WaitOutcome::Ready(what) })
    }

    /// How long it may still take; `None` without a limit.
    pub fn left(&self) -> Option<Duration> {
        self.until.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Tells a part of the layer's story.
    pub fn log(&self, story: impl Into<String>) {
        (self.tell)(ConnectEvent::Layer(story.into()));
    }
}
