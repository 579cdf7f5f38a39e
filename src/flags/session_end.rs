//! Flags for the end of a session between a connection and stdin and stdout.

use clap::Args;

use crate::transfer::duplex::InputMode;

/// Flags that a client and the service pipe share.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct SessionEndFlags {
    /// Half-close immediately when stdin is the null device or closed
    ///
    /// Without this flag such a stdin counts as no input: the connection is half-closed when the peer
    /// closes.
    #[arg(long, group = "local_eof")]
    pub half_close: bool,
    /// Ignore stdin; only receive
    #[arg(long, group = "local_eof")]
    pub recv_only: bool,
    /// End the session when the peer closes, even if stdin has more data
    #[arg(long)]
    pub exit_on_eof: bool,
}

impl SessionEndFlags {
    /// What counts as input.
    pub fn input_mode(self) -> InputMode {
        match (self.recv_only, self.half_close) {
            (true, _) => InputMode::Ignored,
            (false, true) => InputMode::Any,
            (false, false) => InputMode::NotNull,
        }
    }

    /// The first of these flags that is set.
    pub fn first_given(self) -> Option<&'static str> {
        [
            ("--half-close", self.half_close),
            ("--recv-only", self.recv_only),
            ("--exit-on-eof", self.exit_on_eof),
        ]
        .into_iter()
        .find_map(|(flag, is_set)| is_set.then_some(flag))
    }
}
