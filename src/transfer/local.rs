//! The local end of a session: where the bytes to send come from, and where received bytes go.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use crate::error::Phase;
use crate::net::stdio::is_null_device;
use crate::net::stream::{Reader, Writer};

/// Where the bytes to send come from.
pub enum Input {
    /// A reader; [`super::duplex::OnLocalEof`] is what its end means.
    Reader(Box<dyn Reader>),
    /// The null device: no input, so our end of stream follows the peer's. Warns about a peer that
    /// sends nothing, as it may be waiting for ours.
    Null,
    /// No input on request: as the null device, without a warning.
    Ignored,
}

/// What counts as input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InputMode {
    /// Everything but the null device.
    #[default]
    NotNull,
    /// The null device too: an input that ends immediately.
    Any,
    /// Nothing.
    Ignored,
}

impl InputMode {
    /// The input that `source` amounts to; `reader` makes a reader of it.
    pub fn input<S: AsFd>(self, source: S, reader: impl FnOnce(S) -> Box<dyn Reader>) -> Input {
        match self {
            InputMode::Ignored => Input::Ignored,
            InputMode::NotNull if is_null_device(source.as_fd()) => Input::Null,
            InputMode::NotNull | InputMode::Any => Input::Reader(reader(source)),
        }
    }
}

/// A local file or standard stream, as errors name it.
#[derive(Debug, Clone)]
pub struct LocalFile {
    /// The phase of its errors.
    pub phase: Phase,
    /// The target of its errors.
    pub name: String,
    /// The descriptor of a standard stream, which the other process may close at any time.
    pub standard: Option<BorrowedFd<'static>>,
}

impl LocalFile {
    /// Standard input.
    pub fn stdin(fd: BorrowedFd<'static>) -> LocalFile {
        LocalFile { phase: Phase::Stdin, name: "-".into(), standard: Some(fd) }
    }

    /// Standard output.
    pub fn stdout(fd: BorrowedFd<'static>) -> LocalFile {
        LocalFile { phase: Phase::Stdout, name: "-".into(), standard: Some(fd) }
    }

    /// A file.
    pub fn named(name: impl fmt::Display) -> LocalFile {
        LocalFile { phase: Phase::File, name: name.to_string(), standard: None }
    }
}

/// The local end of a session.
pub struct LocalEnd {
    /// Where the bytes to send come from.
    pub reader: Input,
    /// Where received bytes go.
    pub writer: Box<dyn Writer>,
    /// The file of `reader`.
    pub input: LocalFile,
    /// The file of `writer`.
    pub output: LocalFile,
    /// Whether the input is a terminal, which does not end by itself: the peer's end of stream
    /// then ends the session.
    pub endless: bool,
}
