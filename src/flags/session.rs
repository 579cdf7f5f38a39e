//! Flags of a client session: input, output, messages, limits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::pipe::PipeFlags;
use super::script::ScriptFlags;
use super::values::{self, Limit};
use crate::client::{PromptMode, SessionOptions};
use crate::transfer::duplex::DuplexOptions;

/// The limit of a script's run without `--timeout`.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Flags of every client of a stream.
#[derive(Debug, Args)]
#[command(next_help_heading = "Session")]
pub struct SessionFlags {
    #[command(flatten)]
    pub(crate) script: ScriptFlags,
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
    #[command(flatten)]
    pub(crate) pipe: PipeFlags,
    /// Limit each direction to SIZE bytes per second
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub rate: Option<u64>,
    /// Time between connecting and sending
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
    /// Without this flag only text, line ends, tabs and color (SGR) sequences reach the terminal
    /// unchanged; other control characters and bytes that are not UTF-8 are printed as \xNN.
    #[arg(long)]
    pub raw_output: bool,
    /// Timeout without data in either direction; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub idle_timeout: Limit,
    /// Timeout of the complete run; 0 = none [default of a script: 10s]
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

    /// `--crlf` is a line end at the prompt, but in a script only a conversion of line ends.
    fn line_end(&self) -> &'static [u8] {
        match self.eol {
            Some(eol) => eol.bytes(),
            None if self.pipe.crlf && !self.script.is_given() => Eol::Crlf.bytes(),
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
            output: file(flags.output.as_deref()),
            hex: flags.hex.clone(),
            duplex: DuplexOptions {
                delay: flags.delay,
                ..flags.pipe.options(flags.idle_timeout.0)
            },
            rate: flags.rate,
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
