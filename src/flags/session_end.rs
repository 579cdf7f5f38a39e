//! Flags of a session that joins a connection to standard input and output.

use clap::Args;

use crate::transfer::duplex::InputMode;

/// What such a session sends and how it ends; a client and the service pipe have the same flags.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Session {
    /// Half-close immediately when stdin is the null device or closed
    ///
    /// Such a stdin is no input otherwise: our end of stream follows the peer's.
    #[arg(long, group = "leaving")]
    pub half_close: bool,
    /// Ignore stdin
    #[arg(long, group = "leaving")]
    pub recv_only: bool,
    /// End the session when the peer ends its stream, even if stdin has more
    #[arg(long)]
    pub exit_on_eof: bool,
}

impl Session {
    /// What counts as input.
    pub fn input_mode(self) -> InputMode {
        match (self.recv_only, self.half_close) {
            (true, _) => InputMode::Ignored,
            (false, true) => InputMode::Any,
            (false, false) => InputMode::NotNull,
        }
    }

    /// The first of these flags that was given.
    pub fn first_given(self) -> Option<&'static str> {
        [
            ("--half-close", self.half_close),
            ("--recv-only", self.recv_only),
            ("--exit-on-eof", self.exit_on_eof),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}
