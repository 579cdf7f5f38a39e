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
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use super::TransferOptions;
use super::directions::{DownDirection, EventChannel, EventReceiver, UpDirection, spawn};
use super::session::{DownState, Session, Times, UpState};
use crate::error::{Failure, Phase};
use crate::net::stream::{EndedBy, Stream};
use crate::shutdown::Shutdown;

pub use super::local::{Input, InputMode, LocalEnd, LocalFile};
pub use super::options::{DuplexObserver, DuplexOptions, NO_END_OF_INPUT, OnLocalEof};
pub use super::outcome::DuplexOutcome;

/// A session that is to be started.
pub struct Duplex<'a> {
    /// The local end.
    pub local: LocalEnd,
    /// What happens to bytes that are sent.
    pub up: TransferOptions,
    /// What happens to bytes that are received.
    pub down: TransferOptions,
    /// When it ends.
    pub options: DuplexOptions,
    /// Observes it.
    pub observer: &'a dyn DuplexObserver,
    /// Ends it early.
    pub shutdown: &'a Shutdown,
}

/// A started session, and the thread of its upload.
struct Started<'a> {
    session: Session<'a>,
    upload: Option<JoinHandle<()>>,
}

impl<'a> Duplex<'a> {
    /// Copies in both directions between `stream` and the local end until the session is over.
    pub fn run(self, stream: Stream) -> DuplexOutcome {
        let peer = stream.info.peer.clone();
        let shares_input = self.options.shared_input;
        let Started { session, upload } = match self.start(stream) {
            Ok(started) => started,
            Err(e) => {
                let failure = Failure::local_resource(peer, e);
                return DuplexOutcome::failure(EndedBy::Local, failure);
            }
        };
        // Drops the session, which cancels the upload.
        let outcome = session.run();
        if shares_input {
            upload.map(JoinHandle::join);
        }
        outcome
    }

    /// Fails when no pipe or thread can be created.
    fn start(mut self, stream: Stream) -> io::Result<Started<'a>> {
        let EventChannel { up: up_events, down: down_events, events } = EventChannel::new()?;
        let cancel = self.cancel_pipe()?;
        let mut session = self.session(&stream, events);
        session.cancel = cancel;
        let Stream { reader, writer, .. } = stream;
        let Duplex { local, up, down, options, .. } = self;
        let download = DownDirection {
            reader,
            writer: local.writer,
            options: down,
            detects_alert: !options.shared_input,
            events: down_events,
        };
        spawn("down", move || download.run())?;
        let Input::Reader(reader) = local.reader else {
            session.up = UpState::NoInput(writer);
            return Ok(Started { session, upload: None });
        };
        let half_closes = options.on_end != OnLocalEof::KeepOpen;
        let upload = UpDirection { reader, writer, options: up, half_closes, events: up_events };
        let started = upload.start(options.delay, session.shutdown);
        // The download has started.
        let upload = started.inspect_err(|_| session.connection.abort())?;
        Ok(Started { session, upload })
    }

    /// The session before either direction has started.
    fn session(&self, stream: &Stream, events: EventReceiver) -> Session<'a> {
        let LocalEnd { reader, input, output, endless, .. } = &self.local;
        Session {
            events,
            cancel: None,
            up: UpState::Running,
            down: DownState::Running,
            sent: self.up.meter.clone(),
            received: self.down.meter.clone(),
            input_fd: input_fd(reader, input.phase),
            input: input.clone(),
            output: output.clone(),
            endless: *endless,
            connection: stream.handle.clone(),
            info: stream.info.clone(),
            times: Times::start(self.options.delay),
            warns: matches!(reader, Input::Null),
            options: self.options,
            observer: self.observer,
            shutdown: self.shutdown,
        }
    }

    /// Closing the returned end cancels the upload from an input that may be silent.
    fn cancel_pipe(&mut self) -> io::Result<Option<PipeWriter>> {
        if !self.options.shared_input && self.options.input_timeout.is_none() {
            return Ok(None);
        }
        let (handle, cancel) = io::pipe()?;
        self.up.cancel = Some(handle.into());
        Ok(Some(cancel))
    }
}

/// A second descriptor of an input that is a file, to poll whether it holds more.
fn input_fd(input: &Input, phase: Phase) -> Option<OwnedFd> {
    match input {
        Input::Reader(reader) if phase == Phase::File => reader.raw()?.try_clone_to_owned().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
