//! What a client says, what it does with the answer, and when it leaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::script::Script;
use super::session_end::Session;
use super::values::{self, Limit};
use crate::transfer::duplex::{InputMode, OnLocalEof};

/// How long a scripted talk may take unless told otherwise.
const SCRIPT_LIMIT: Duration = Duration::from_secs(10);

/// Flags of every client of a stream.
#[derive(Debug, Args)]
#[command(next_help_heading = "Talking")]
pub struct SessionFlags {
    /// A scripted talk
    #[command(flatten)]
    pub script: Script,
    /// Send FILE instead of stdin (- is stdin)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath,
          conflicts_with = "recv_only")]
    pub input: Option<PathBuf>,
    /// Begin N bytes into the file
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "input")]
    pub offset: Option<u64>,
    /// Send at most N bytes of the file
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "input")]
    pub count: Option<u64>,
    /// Write what comes to FILE instead of stdout (- is stdout)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Stay connected, without a half-close, when stdin ends
    #[arg(long, group = "leaving")]
    pub no_half_close: bool,
    /// Leave at once when stdin ends
    #[arg(long, group = "leaving")]
    pub hang_up: bool,
    /// Leave when all is sent; drop what comes
    #[arg(long, group = "leaving")]
    pub send_only: bool,
    /// How the session ends
    #[command(flatten)]
    pub session: Session,
    /// Exit with 0 when the peer sends nothing for this long after our end of input; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub linger: Limit,
    /// Hold the sending, and the receiving, back to SIZE bytes a second
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub rate: Option<u64>,
    /// Send LF as CR LF; at the prompt, end each message with CR LF
    #[arg(long)]
    pub crlf: bool,
    /// Wait between connecting and the first byte
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::duration)]
    pub delay: Duration,
    /// Write a hex dump of both directions to FILE (- is stderr)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub hex: Option<PathBuf>,
    /// Tell bytes, seconds, rate, phases and who ended it
    #[arg(long)]
    pub stats: bool,
    /// Show progress even where it is not the default
    #[arg(long)]
    pub progress: bool,
    /// Prompt for messages, even when stdin is not a terminal
    #[arg(long, overrides_with = "no_prompt", conflicts_with_all = ["input", "recv_only"])]
    pub prompt: bool,
    /// Take stdin as bytes, even from a terminal
    #[arg(long, overrides_with = "prompt")]
    pub no_prompt: bool,
    /// Line end to add to each message of the prompt or of --send [none]
    #[arg(long, value_name = "END")]
    pub eol: Option<Eol>,
    /// Send empty lines of a prompt without --eol instead of ending at the first
    #[arg(long)]
    pub keep_empty: bool,
    /// Print control characters of the peer as they come at a prompt on a terminal
    ///
    /// Without this flag only text, line ends, tabs and colour (SGR) sequences reach the terminal
    /// unchanged; other control characters and bytes that are not UTF-8 are printed as \xNN.
    #[arg(long)]
    pub raw_output: bool,
    /// End when nothing moves either way for this long; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub idle_timeout: Limit,
    /// Limit for the whole run; 0 = none [a script's default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = values::limit)]
    pub timeout: Option<Limit>,
}

/// A line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Eol {
    /// `\n`
    Lf,
    /// `\r\n`
    Crlf,
}

impl Eol {
    /// Its bytes.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Eol::Lf => b"\n",
            Eol::Crlf => b"\r\n",
        }
    }
}

impl SessionFlags {
    /// What ends each message.
    pub fn line_end(&self) -> &'static [u8] {
        self.eol.map_or(b"", Eol::bytes)
    }

    /// What ends each message of a prompt.
    pub fn prompt_line_end(&self) -> &'static [u8] {
        match self.eol {
            None if self.crlf => Eol::Crlf.bytes(),
            _ => self.line_end(),
        }
    }

    /// What to do when our input ends.
    pub fn on_end(&self) -> OnLocalEof {
        match (self.no_half_close, self.hang_up, self.send_only) {
            (true, _, _) => OnLocalEof::KeepOpen,
            (_, true, _) => OnLocalEof::HangUp,
            (_, _, true) => OnLocalEof::SendOnly,
            _ => OnLocalEof::HalfClose,
        }
    }

    /// What counts as input; a flag for its end means the null device too.
    pub fn input_mode(&self) -> InputMode {
        match self.on_end() {
            OnLocalEof::HalfClose => self.session.input_mode(),
            OnLocalEof::KeepOpen | OnLocalEof::HangUp | OnLocalEof::SendOnly => InputMode::Any,
        }
    }

    /// The file that is sent instead of stdin; `-` is stdin itself.
    pub fn input_file(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// The file that is written instead of stdout; `-` is stdout itself.
    pub fn output_file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// Whether this is a scripted talk.
    pub fn is_script(&self) -> bool {
        !self.script.steps.is_empty()
    }

    /// The whole-run limit: the user's, or a script's own.
    pub fn limit(&self) -> Option<Duration> {
        match self.timeout {
            Some(limit) => limit.0,
            None => self.is_script().then_some(SCRIPT_LIMIT),
        }
    }
}
