//! Flags of a session between a connection and stdin and stdout.

use std::time::Duration;

use clap::Args;

use super::values::{self, Limit};
use crate::transfer::duplex::{DuplexOptions, InputMode, OnLocalEof};

/// Flags that a client and the service pipe share.
#[derive(Debug, Clone, Default, Args)]
pub struct PipeFlags {
    /// Half-close immediately when stdin is the null device or closed
    ///
    /// Without this flag such a stdin counts as no input: the connection is half-closed when the peer
    /// closes.
    #[arg(long, group = "local_eof")]
    pub half_close: bool,
    /// Stay connected, without a half-close, when stdin ends
    #[arg(long, group = "local_eof")]
    pub no_half_close: bool,
    /// Close the connection immediately when stdin ends
    #[arg(long, group = "local_eof")]
    pub hang_up: bool,
    /// Close the connection when all data is sent; discard received data
    #[arg(long, group = "local_eof")]
    pub send_only: bool,
    /// Ignore stdin; only receive
    #[arg(long, group = "local_eof")]
    pub recv_only: bool,
    /// End the session when the peer closes and stdin is silent for DURATION
    ///
    /// Without a value it ends immediately, even if stdin has more data.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "0", value_parser = values::duration)]
    pub exit_on_eof: Option<Duration>,
    /// Treat stdin as ended after this long without data in either direction; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub input_timeout: Limit,
    /// Exit with 0 when the peer sends nothing for this long after the end of input; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub linger: Limit,
    /// Pause for this long after each line sent
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub line_delay: Option<Duration>,
    /// Send LF as CR LF; at the prompt, end each message with CR LF
    #[arg(long)]
    pub crlf: bool,
}

impl PipeFlags {
    /// What follows the end of the local input.
    fn on_local_eof(&self) -> OnLocalEof {
        match (self.no_half_close, self.hang_up, self.send_only) {
            (true, _, _) => OnLocalEof::KeepOpen,
            (_, true, _) => OnLocalEof::HangUp,
            (_, _, true) => OnLocalEof::SendOnly,
            _ => OnLocalEof::HalfClose,
        }
    }

    /// What counts as input. With a flag for the end of the input, the null device is an input that
    /// ends.
    fn input_mode(&self) -> InputMode {
        if self.recv_only {
            InputMode::Ignored
        } else if self.half_close || self.on_local_eof() != OnLocalEof::HalfClose {
            InputMode::Any
        } else {
            InputMode::NotNull
        }
    }

    /// The options of a session, with its idle timeout.
    pub fn options(&self, idle_timeout: Option<Duration>) -> DuplexOptions {
        DuplexOptions {
            input: self.input_mode(),
            on_local_eof: self.on_local_eof(),
            idle_timeout,
            input_timeout: self.input_timeout.0,
            linger: self.linger.0,
            exit_on_eof: self.exit_on_eof,
            line_delay: self.line_delay,
            crlf: self.crlf,
            ..DuplexOptions::default()
        }
    }

    /// The first of these flags that is set.
    pub fn first_given(&self) -> Option<&'static str> {
        [
            ("--half-close", self.half_close),
            ("--no-half-close", self.no_half_close),
            ("--hang-up", self.hang_up),
            ("--send-only", self.send_only),
            ("--recv-only", self.recv_only),
            ("--exit-on-eof", self.exit_on_eof.is_some()),
            ("--input-timeout", self.input_timeout.0.is_some()),
            ("--linger", self.linger.0.is_some()),
            ("--line-delay", self.line_delay.is_some()),
            ("--crlf", self.crlf),
        ]
        .into_iter()
        .find_map(|(flag, is_set)| is_set.then_some(flag))
    }
}
