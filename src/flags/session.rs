//! Flags of a session that joins a connection to standard input and output.

use clap::Args;

/// How such a session ends; a client and the service pipe have the same flags.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Session {
    /// End the session when the peer ends its stream, even if stdin has more
    #[arg(long)]
    pub exit_on_eof: bool,
}

impl Session {
    /// The first of these flags that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        self.exit_on_eof.then_some("--exit-on-eof")
    }
}
