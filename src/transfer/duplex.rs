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
use super::directions::{DownDirection, EventChannel, UpDirection, spawn};
use super::session::{DownState, Session, Times, UpState};
use crate::error::{Failure, Phase};
use crate::net::stream::{EndedBy, Stream, Writer};
use crate::shutdown::Shutdown;

pub use super::local::{Input, InputMode, LocalEnd, LocalFile};
pub use super::options::{DuplexObserver, DuplexOptions, NO_END_OF_INPUT, OnLocalEof};
pub use super::outcome::DuplexOutcome;

/// A session that is to be started.
pub struct Duplex {
    /// The local end.
    pub local: LocalEnd,
    /// What happens to bytes that are sent.
    pub up: TransferOptions,
    /// What happens to bytes that are received.
    pub down: TransferOptions,
    /// When it ends.
    pub options: DuplexOptions,
}

/// A started session, and the thread of its upload.
struct Started<'a> {
    session: Session<'a>,
    upload: Option<JoinHandle<()>>,
}

impl Started<'_> {
    fn with_upload(mut self, upload: UpDirection) -> io::Result<Self> {
        let Session { options, shutdown, connection, .. } = &self.session;
        let started = upload.start(options.delay, shutdown);
        self.upload = started.inspect_err(|_| connection.abort())?; // the download has started
        Ok(self)
    }

    fn without_input(mut self, writer: Box<dyn Writer>) -> Self {
        self.session.up = UpState::NoInput(writer);
        self
    }
}

impl Duplex {
    /// Copies in both directions between `stream` and the local end until the session is over.
    pub fn run(
        self,
        stream: Stream,
        observer: &dyn DuplexObserver,
        shutdown: &Shutdown,
    ) -> DuplexOutcome {
        let peer = stream.info.peer.clone();
        let shares_input = self.options.shared_input;
        let Started { session, upload } = match self.start(stream, observer, shutdown) {
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
    fn start<'a>(
        mut self,
        stream: Stream,
        observer: &'a dyn DuplexObserver,
        shutdown: &'a Shutdown,
    ) -> io::Result<Started<'a>> {
        let EventChannel { up, down, events } = EventChannel::new()?;
        let cancel = self.cancel_pipe()?;
        let LocalEnd { reader: input, writer: output, .. } = self.local;
        let session = Session {
            events,
            cancel,
            up: UpState::Running,
            down: DownState::Running,
            sent: self.up.meter.clone(),
            received: self.down.meter.clone(),
            input_fd: input_fd(&input, self.local.input.phase),
            input: self.local.input,
            output: self.local.output,
            endless: self.local.endless,
            connection: stream.handle,
            info: stream.info,
            times: Times::start(self.options.delay),
            warns: matches!(input, Input::Null),
            options: self.options,
            observer,
            shutdown,
        };
        let (reader, writer) = (stream.reader, stream.writer);
        let detects_alert = !session.options.shared_input;
        let download = DownDirection {
            reader,
            writer: output,
            options: self.down,
            detects_alert,
            events: down,
        };
        spawn("down", move || download.run())?;
        let started = Started { session, upload: None };
        let Input::Reader(reader) = input else { return Ok(started.without_input(writer)) };
        let half_closes = started.session.options.on_end != OnLocalEof::KeepOpen;
        started.with_upload(UpDirection {
            reader,
            writer,
            options: self.up,
            half_closes,
            events: up,
        })
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
