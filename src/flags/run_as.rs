//! Whose process a server is once it listens.

use clap::Args;

use crate::error::Failure;
use crate::process::privileges;

/// Flags of servers that are started as root for their port.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub struct RunAsFlags {
    /// Become this user once the port is ours (name or number)
    #[arg(long, value_name = "USER", value_hint = clap::ValueHint::Username)]
    pub user: Option<String>,
    /// Become this group (name or number) [the user's own]
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
}

impl RunAsFlags {
    /// Becomes who these flags say.
    ///
    /// Fails as [`privileges::assume`] does.
    pub fn switch_user(&self) -> Result<(), Failure> {
        privileges::switch_user(self.user.as_deref(), self.group.as_deref())
    }
}
