//! Layers between a connected socket and the user's bytes: a proxy, TLS.
//!
//! A layer takes a [`Stream`] and returns a [`Stream`]. During its handshake every wait is one
//! `poll(2)` that also ends at the deadline of the handshake, so that a peer that sends one byte at
//! a time does not extend it.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::Socket;

use super::socket_event::{OnSocketEvent, SocketEvent};
use super::stream::Stream;
use crate::error::{Failure, Phase};
use crate::net::activity::Activity;
use crate::poll::{earliest, poll_fd};
use crate::shutdown::{Shutdown, WaitOutcome};

/// A protocol that wraps a stream.
pub trait Layer: fmt::Debug + Send + Sync {
    /// Performs the handshake and returns the wrapped stream.
    ///
    /// Fails at the phase of the layer; with 28 when the handshake times out.
    fn wrap(&self, stream: Stream, context: &HandshakeContext<'_>) -> Result<Stream, Failure>;

    /// Bytes of stack that the layer needs on a thread that uses the wrapped stream.
    fn stack_size(&self) -> usize {
        0
    }
}

/// Bytes of stack that an optional layer needs.
pub fn stack_size(layer: Option<&Arc<dyn Layer>>) -> usize {
    layer.map_or(0, |layer| layer.stack_size())
}

/// The target and limits of a handshake: its target, its limits, and where its steps are reported.
pub struct HandshakeContext<'a> {
    /// The peer, as error lines name it.
    pub target: String,
    /// When it times out.
    pub deadline: Option<Instant>,
    /// The limit that leads to `deadline`, for the message.
    pub timeout: Duration,
    /// The end of the run, where the run waits for this handshake.
    pub shutdown: Option<&'a Shutdown>,
    /// Records that a server's connection is idle while it waits.
    pub activity: Option<&'a Activity>,
    /// Where the steps are reported.
    pub emit: OnSocketEvent<'a>,
}

impl HandshakeContext<'_> {
    /// Waits until `socket` is ready for `events`.
    ///
    /// Fails at `phase`: with 28 past the deadline, with 130 or 143 at the end of the run.
    pub fn wait(&self, phase: Phase, socket: &Socket, events: PollFlags) -> Result<(), Failure> {
        let woken = match self.shutdown {
            Some(shutdown) => shutdown.wait(socket.as_fd(), events, self.deadline),
            None => self.wait_alone(socket, events),
        };
        match woken {
            Ok(WaitOutcome::Ready(_)) => Ok(()),
            Ok(WaitOutcome::TimedOut) => Err(Failure::timeout(phase, &self.target, self.timeout)),
            Ok(WaitOutcome::Shutdown(reason)) => {
                Err(Failure::shutdown(phase, &self.target, reason))
            }
            Err(e) => Err(Failure::new(phase, &self.target, e)),
        }
    }

    fn wait_alone(&self, socket: &Socket, events: PollFlags) -> std::io::Result<WaitOutcome> {
        let wait = || poll_fd(socket, events, self.deadline);
        let ready = match self.activity {
            Some(activity) => activity.while_waiting(wait),
            None => wait(),
        }?;
        Ok(if ready.is_empty() { WaitOutcome::TimedOut } else { WaitOutcome::Ready(ready) })
    }

    /// The same handshake, which also times out at `deadline`.
    pub fn until(&self, deadline: Option<Instant>) -> HandshakeContext<'_> {
        let deadline = earliest(self.deadline, deadline);
        HandshakeContext { target: self.target.clone(), deadline, ..*self }
    }

    /// Reports a step of the handshake (`-v`).
    pub fn log(&self, text: impl Into<String>) {
        (self.emit)(SocketEvent::Layer(text.into()));
    }

    /// Reports a message of the handshake (`-vv`): `>` was sent, `<` received. It has no credentials.
    pub fn log_message(&self, text: impl Into<String>) {
        (self.emit)(SocketEvent::HandshakeMessage(text.into()));
    }
}
