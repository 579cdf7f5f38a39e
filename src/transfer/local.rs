//! The local end of a session: where the bytes to send come from, and where received bytes go.

use std::fmt;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

use super::options::{DuplexOptions, InputMode, OnLocalEof};
use crate::error::Phase;
use crate::net::source::Source;
use crate::net::stdio::{FdStream, StdStreams, is_null_device};
use crate::net::stream::{Reader, Writer};

/// Where the bytes to send come from.
pub enum Input {
    /// A reader; [`OnLocalEof`] is what its end means.
    Reader(Box<dyn Reader>),
    /// The null device: no input, so our end of stream follows the peer's. Warns about a peer that
    /// sends nothing, as it may be waiting for ours.
    Null,
    /// No input on request: as the null device, without a warning.
    Ignored,
}

impl Input {
    /// At most `count` bytes of `file`, as far as they count as input.
    pub fn of(mode: InputMode, file: impl AsFd + Send + 'static, count: Option<u64>) -> Input {
        match mode {
            InputMode::Ignored => Input::Ignored,
            InputMode::NotNull if is_null_device(file.as_fd()) => Input::Null,
            InputMode::NotNull | InputMode::Any => {
                Input::Reader(Box::new(Source::new(file, count)))
            }
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
    pub has_terminal_input: bool,
}

impl LocalEnd {
    /// Standard input and output.
    pub fn standard(std: StdStreams, options: &DuplexOptions) -> LocalEnd {
        let (stdin, stdout) = (std.stdin, std.stdout.fd());
        let standard = |phase, fd| LocalFile { phase, name: "-".into(), standard: Some(fd) };
        LocalEnd {
            reader: Input::of(options.input, stdin, None),
            writer: match options.on_local_eof {
                OnLocalEof::SendOnly => Box::new(io::sink()),
                _ => Box::new(FdStream(stdout)),
            },
            input: standard(Phase::Stdin, stdin),
            output: standard(Phase::Stdout, stdout),
            has_terminal_input: stdin.is_terminal(),
        }
    }
}
