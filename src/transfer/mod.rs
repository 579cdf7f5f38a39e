//! Copies bytes between two ends, with the call that suits both.
//!
//! [`pump`] chooses by the kinds of the ends: sendfile from a file to a socket, splice where one of
//! them is a socket and the other a pipe, a file or the null device, and a large buffer otherwise. A
//! tap, a filter or a rate needs the buffer. Each faster method falls back to the buffer when the
//! kernel refuses it, and nothing is lost.

pub mod buffer;
mod copy;
pub mod crlf;
mod directions;
pub mod duplex;
mod local;
mod meter;
mod options;
mod outcome;
#[cfg(target_os = "linux")]
mod sendfile;
mod session;
#[cfg(target_os = "linux")]
pub mod splice;
mod strategy;
pub mod tap;
pub mod throttle;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use crate::net::stream::{Reader, Writer};
use crate::net::stream_observer::Observation;
use crate::poll::poll_until;

pub use copy::{is_interrupted, write_counted};
pub use meter::Meter;

use throttle::Throttle;

/// What happens to the bytes of one direction.
#[derive(Default)]
pub struct TransferOptions {
    /// Counts delivered bytes.
    pub meter: Meter,
    /// Limits the rate.
    pub throttle: Option<Throttle>,
    /// Pause after each line.
    pub line_delay: Option<Duration>,
    /// Changes the bytes.
    pub filter: Option<crlf::Crlf>,
    /// Observes the bytes.
    pub tap: Option<tap::Tap>,
    /// Ends the transfer, as if the source had ended, once this hangs up: a source that outlives
    /// it may be silent.
    pub cancel: Option<OwnedFd>,
}

impl TransferOptions {
    /// Waits until `from` is readable; `false` once the transfer is cancelled. Without `cancel` the
    /// read itself waits.
    fn wait_readable(&self, from: Option<BorrowedFd<'_>>) -> io::Result<bool> {
        let (Some(cancel), Some(from)) = (&self.cancel, from) else { return Ok(true) };
        let mut fds = [
            PollFd::from_borrowed_fd(cancel.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(from, PollFlags::IN),
        ];
        poll_until(&mut fds, None)?;
        Ok(fds[0].revents().is_empty())
    }

    /// Waits until `bytes` may be transferred, and passes them to the tap: before they are sent, or a
    /// quick answer would be observed first.
    pub fn begin(&mut self, bytes: &[u8]) {
        if let Some(throttle) = &mut self.throttle {
            throttle.wait_for(bytes.len());
        }
        if let Some(tap) = &mut self.tap {
            tap.on_bytes(bytes);
        }
    }

    /// How many of `max` bytes may be transferred together.
    pub fn chunk_size(&self, max: usize) -> usize {
        self.throttle.as_ref().map_or(max, |throttle| throttle.chunk_size().min(max))
    }

    /// Why the bytes pass through a buffer, for the trace.
    fn copy_reason(&self, from: &dyn Reader, to: &dyn Writer) -> &'static str {
        if !self.can_stay_in_kernel() {
            "a hex dump, a filter or a rate needs the bytes"
        } else if from.observation().max(to.observation()) != Observation::None {
            "the log needs the bytes"
        } else {
            "these two ends have no faster method"
        }
    }

    /// Whether nothing reads or changes the bytes, so that they may stay in the kernel.
    fn can_stay_in_kernel(&self) -> bool {
        let is_throttled = self.throttle.is_some() || self.line_delay.is_some();
        !is_throttled && self.filter.is_none() && self.tap.is_none()
    }
}

/// The end at which a transfer failed.
#[derive(Debug)]
pub enum TransferError {
    /// The source failed.
    Read(io::Error),
    /// The destination failed; what was read last is not all delivered.
    Write(io::Error),
}

impl TransferError {
    /// The system's error.
    pub fn error(&self) -> &io::Error {
        match self {
            TransferError::Read(e) | TransferError::Write(e) => e,
        }
    }
}

/// Copies from `from` to `to` until the end of `from`.
pub fn pump(
    from: &mut dyn Reader,
    to: &mut dyn Writer,
    options: &mut TransferOptions,
) -> Result<(), TransferError> {
    #[cfg(target_os = "linux")]
    if options.can_stay_in_kernel() {
        match move_in_kernel(from, to, options) {
            Err(splice::FastPathError::LeftToCopy) => {}
            Err(splice::FastPathError::Failed(e)) => return Err(e),
            Ok(()) => return Ok(()),
        }
    }
    tracing::debug!(method = "copy", why = options.copy_reason(from, to), "transfer");
    copy::run(from, to, options)
}

/// Lets the kernel move the bytes, as far as it can for these two.
#[cfg(target_os = "linux")]
fn move_in_kernel(
    from: &dyn Reader,
    to: &dyn Writer,
    options: &TransferOptions,
) -> Result<(), splice::FastPathError> {
    use splice::FastPathError::LeftToCopy;
    use strategy::TransferMethod;
    let (Some(source), Some(target)) = (from.plain_fd(), to.plain_fd()) else {
        return Err(LeftToCopy);
    };
    let method = strategy::faster_method(source, target)
        .filter(|method| method.suits(from.observation().max(to.observation())))
        .ok_or(LeftToCopy)?;
    tracing::debug!(method = method.name(), "transfer");
    let done = match method {
        TransferMethod::Sendfile => sendfile::run(source, from.end_offset(), target, &|bytes| {
            options.meter.add(bytes);
            report_sendfile(source, bytes, to);
        }),
        TransferMethod::SpliceDirect => splice::direct::run(source, target, options),
        TransferMethod::SpliceThrough => splice::through::run(source, target, options),
    };
    if let Err(LeftToCopy) = done {
        let bytes = options.meter.total();
        tracing::debug!(method = method.name(), bytes, "falling back to copy");
    }
    done
}

/// Reports bytes of `file` before its position, which sendfile(2) has sent.
#[cfg(target_os = "linux")]
fn report_sendfile(file: BorrowedFd<'_>, bytes: usize, to: &dyn Writer) {
    if to.observation() != Observation::None
        && let Ok(position) = rustix::fs::tell(file)
    {
        to.on_sendfile(position.saturating_sub(bytes as u64), bytes);
    }
}
