//! A session between a connection and a local end: both directions concurrently, a thread each.
//!
//! ```text
//!   local reader ──up──► stream writer      end of input: half-close, wait for the peer;
//!                                           no input: half-close after the peer's end of stream
//!   local writer ◄─down─ stream reader      peer's end: continue until our input ends or fails
//! ```
//!
//! Nothing is dropped in either direction: what was received is written before the session ends,
//! and what could not be delivered is a failure.

use std::io::{self, PipeWriter};

use super::TransferOptions;
use super::crlf::Crlf;
use super::directions::{Direction, DirectionEvent, DirectionState, EventQueue};
use super::session::{Session, Times};
use crate::error::{Failure, Phase};
use crate::net::stream::{EndedBy, Stream};
use crate::shutdown::Shutdown;

pub use super::local::{Input, LocalEnd, LocalFile};
pub use super::options::{DuplexObserver, DuplexOptions, InputMode, NO_END_OF_INPUT, OnLocalEof};
pub use super::outcome::DuplexOutcome;

/// A session that is to be started.
pub struct Duplex<'a> {
    /// The local end.
    pub local: LocalEnd,
    /// What happens to bytes that are sent, apart from `options`.
    pub up: TransferOptions,
    /// What happens to bytes that are received.
    pub down: TransferOptions,
    /// How it runs, and when it ends.
    pub options: DuplexOptions,
    /// Observes it.
    pub observer: &'a dyn DuplexObserver,
    /// Ends it early.
    pub shutdown: &'a Shutdown,
}

impl<'a> Duplex<'a> {
    /// Copies in both directions between `stream` and the local end until the session is over.
    pub fn run(self, stream: Stream) -> DuplexOutcome {
        let peer = stream.info.peer.clone();
        match self.start(stream) {
            Ok(session) => session.run(),
            Err(e) => DuplexOutcome::failure(EndedBy::Local, Failure::local_resource(peer, e)),
        }
    }

    /// Fails when no pipe or thread can be created.
    fn start(mut self, stream: Stream) -> io::Result<Session<'a>> {
        let queue = EventQueue::new()?;
        let (events, down_events) =
            (queue.sender(DirectionEvent::Up), queue.sender(DirectionEvent::Down));
        let cancel = self.cancel_pipe()?;
        let mut session = self.session(&stream, queue);
        session.cancel = cancel;
        let Stream { reader, writer: to_peer, .. } = stream;
        let Duplex { local, up, down, options, .. } = self;
        let (writer, filter) = (local.writer, options.crlf.then(Crlf::default));
        Direction { reader, writer, options: down, events: down_events }.start_down(options)?;
        let Input::Reader(reader) = local.reader else {
            session.up = DirectionState::NoInput(to_peer);
            return Ok(session);
        };
        let up = TransferOptions { line_delay: options.line_delay, filter, ..up };
        let upload = Direction { reader, writer: to_peer, options: up, events };
        let started = upload.start_up(options, session.shutdown);
        // The download has started.
        session.upload = started.inspect_err(|_| session.connection.abort())?;
        Ok(session)
    }

    /// The session before either direction has started.
    fn session(&self, stream: &Stream, queue: EventQueue) -> Session<'a> {
        let LocalEnd { reader, input, output, has_terminal_input, .. } = &self.local;
        // A second descriptor of a file, to poll whether it holds more.
        let input_fd = match reader {
            Input::Reader(reader) if input.phase == Phase::File => reader.plain_fd(),
            _ => None,
        };
        Session {
            queue,
            upload: None,
            cancel: None,
            up: DirectionState::Running,
            down: DirectionState::Running,
            sent: self.up.meter.clone(),
            received: self.down.meter.clone(),
            input_fd: input_fd.and_then(|fd| fd.try_clone_to_owned().ok()),
            input: input.clone(),
            output: output.clone(),
            has_terminal_input: *has_terminal_input,
            connection: stream.handle.clone(),
            info: stream.info.clone(),
            times: Times::start(self.options.delay),
            can_warn_of_silence: matches!(reader, Input::Null),
            options: self.options,
            observer: self.observer,
            shutdown: self.shutdown,
        }
    }

    /// Closing the returned end cancels the upload from an input that may be silent.
    fn cancel_pipe(&mut self) -> io::Result<Option<PipeWriter>> {
        if !self.options.is_server && self.options.input_timeout.is_none() {
            return Ok(None);
        }
        let (handle, cancel) = io::pipe()?;
        self.up.cancel = Some(handle.into());
        Ok(Some(cancel))
    }
}

#[cfg(test)]
mod tests;
