//! Flags of a client session: input, output, messages, limits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::script::ScriptFlags;
use super::session_end::SessionEndFlags;
use super::values::{self, Limit};
use crate::client::{PromptMode, SessionOptions};
use crate::transfer::duplex::{InputMode, OnLocalEof};

/// The limit of a script's run without `--timeout`.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Flags of every client of a stream.
#[derive(Debug, Args)]
#[command(next_help_heading = "Session")]
pub struct SessionFlags {
    /// Steps of a script
    #[command(flatten)]
    pub script: ScriptFlags,
    /// Send FILE instead of stdin (- is stdin)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath,
          conflicts_with = "recv_only")]
    pub input: Option<PathBuf>,
    /// Skip the first SIZE bytes of the input
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "input")]
    pub offset: Option<u64>,
    /// Send at most SIZE bytes of the input
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "input")]
    pub count: Option<u64>,
    /// Write received data to FILE instead of stdout (- is stdout)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Stay connected, without a half-close, when stdin ends
    #[arg(long, group = "local_eof")]
    pub no_half_close: bool,
    /// Close the connection immediately when stdin ends
    #[arg(long, group = "local_eof")]
    pub hang_up: bool,
    /// Close the connection when all data is sent; discard received data
    #[arg(long, group = "local_eof")]
    pub send_only: bool,
    /// End of the session
    #[command(flatten)]
    pub end: SessionEndFlags,
    /// Exit with 0 when the peer sends nothing for this long after the end of input; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub linger: Limit,
    /// Limit each direction to SIZE bytes per second
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub rate: Option<u64>,
    /// Send LF as CR LF; at the prompt, end each message with CR LF
    #[arg(long)]
    pub crlf: bool,
    /// Wait this long between connecting and sending
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    pub delay: Duration,
    /// Write a hex dump of both directions to FILE (- is stderr)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub hex: Option<PathBuf>,
    /// Print transfer statistics at the end
    #[arg(long)]
    pub stats: bool,
    /// Show progress on a terminal, also without --input or --output
    #[arg(long)]
    pub progress: bool,
    /// Prompt for messages, even if stdin is not a terminal
    #[arg(long, overrides_with = "no_prompt", conflicts_with_all = ["input", "recv_only"])]
    pub prompt: bool,
    /// Send stdin as bytes without a prompt, even from a terminal
    #[arg(long, overrides_with = "prompt")]
    pub no_prompt: bool,
    /// Line end to add to each message of the prompt or of --send [default: none]
    #[arg(long, value_name = "END")]
    pub eol: Option<Eol>,
    /// Send empty lines at a prompt without --eol, instead of ending at the first
    #[arg(long)]
    pub keep_empty: bool,
    /// Print the peer's control characters unchanged at a prompt on a terminal
    ///
    /// Without this flag only text, line ends, tabs and colour (SGR) sequences reach the terminal
    /// unchanged; other control characters and bytes that are not UTF-8 are printed as \xNN.
    #[arg(long)]
    pub raw_output: bool,
    /// Timeout without data in either direction; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub idle_timeout: Limit,
    /// Timeout for the complete run; 0 = none [default of a script: 10s]
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
    fn bytes(self) -> &'static [u8] {
        match self {
            Eol::Lf => b"\n",
            Eol::Crlf => b"\r\n",
        }
    }
}

impl SessionFlags {
    /// The timeout of the complete run: the one given, or a script's default.
    pub fn run_timeout(&self) -> Option<Duration> {
        match self.timeout {
            Some(limit) => limit.0,
            None => self.script.is_given().then_some(SCRIPT_TIMEOUT),
        }
    }

    fn on_local_eof(&self) -> OnLocalEof {
        match (self.no_half_close, self.hang_up, self.send_only) {
            (true, _, _) => OnLocalEof::KeepOpen,
            (_, true, _) => OnLocalEof::HangUp,
            (_, _, true) => OnLocalEof::SendOnly,
            _ => OnLocalEof::HalfClose,
        }
    }

    /// With a flag for the end of the input, the null device is an input that ends.
    fn input_mode(&self) -> InputMode {
        match self.on_local_eof() {
            OnLocalEof::HalfClose => self.end.input_mode(),
            OnLocalEof::KeepOpen | OnLocalEof::HangUp | OnLocalEof::SendOnly => InputMode::Any,
        }
    }

    /// `--crlf` is a line end at the prompt, but in a script only a conversion of line ends.
    fn line_end(&self) -> &'static [u8] {
        match self.eol {
            Some(eol) => eol.bytes(),
            None if self.crlf && !self.script.is_given() => Eol::Crlf.bytes(),
            None => b"",
        }
    }

    fn prompt_mode(&self) -> PromptMode {
        if self.prompt {
            PromptMode::Always
        } else if self.no_prompt || self.input.is_some() {
            PromptMode::Never
        } else {
            PromptMode::Auto
        }
    }
}

impl From<&SessionFlags> for SessionOptions {
    fn from(flags: &SessionFlags) -> SessionOptions {
        SessionOptions {
            script: flags.script.steps.clone(),
            prompt: flags.prompt_mode(),
            input: file(flags.input.as_deref()),
            offset: flags.offset,
            count: flags.count,
            input_mode: flags.input_mode(),
            output: file(flags.output.as_deref()),
            hex: flags.hex.clone(),
            on_local_eof: flags.on_local_eof(),
            exit_on_eof: flags.end.exit_on_eof,
            linger: flags.linger.0,
            idle_timeout: flags.idle_timeout.0,
            delay: flags.delay,
            rate: flags.rate,
            crlf: flags.crlf,
            line_end: flags.line_end(),
            keep_empty: flags.keep_empty,
            raw_output: flags.raw_output,
            progress: flags.progress,
            stats: flags.stats,
        }
    }
}

/// The file that replaces stdin or stdout; `-` is stdin or stdout itself.
fn file(path: Option<&Path>) -> Option<PathBuf> {
    path.filter(|path| path.as_os_str() != "-").map(Path::to_path_buf)
}
