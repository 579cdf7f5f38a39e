//! The options of a client session, as plain data.

use std::path::PathBuf;

use super::pattern::Pattern;
use crate::transfer::duplex::DuplexOptions;

/// How a session with a connected peer runs.
#[derive(Debug, Default)]
pub struct SessionOptions {
    /// The steps of a script; empty for a pipe or a prompt.
    pub script: Vec<ScriptStep>,
    /// Whether messages are read at a prompt.
    pub prompt: PromptMode,
    /// The file to send instead of stdin.
    pub input: Option<PathBuf>,
    /// Bytes of the input to skip.
    pub offset: Option<u64>,
    /// Maximum number of bytes of the input to send.
    pub count: Option<u64>,
    /// The file to write instead of stdout.
    pub output: Option<PathBuf>,
    /// The file of the hex dump; `-` is stderr.
    pub hex: Option<PathBuf>,
    /// How the session runs, and when it ends.
    pub duplex: DuplexOptions,
    /// Bytes per second in each direction.
    pub rate: Option<u64>,
    /// Added to each message of a prompt or a script.
    pub line_end: &'static [u8],
    /// Whether a prompt without a line end sends empty lines instead of ending at the first.
    pub keep_empty: bool,
    /// Whether the peer's control characters reach the terminal of a prompt unescaped.
    pub raw_output: bool,
    /// Whether progress is drawn for a session without files too.
    pub progress: bool,
    /// Whether statistics are emitted at the end.
    pub stats: bool,
}

/// When messages are read at a prompt, line by line, instead of bytes from the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PromptMode {
    /// If stdin is a terminal.
    #[default]
    Auto,
    /// Always, unless there is no input.
    Always,
    /// Never.
    Never,
}

/// One step of a script.
#[derive(Debug, Clone)]
pub enum ScriptStep {
    /// Send these bytes and wait for the reply.
    Send(Vec<u8>),
    /// Wait until the received bytes match.
    Expect(Pattern),
}
