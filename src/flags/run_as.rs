//! The user and group of a server.

use clap::Args;

use crate::error::Failure;
use crate::process::privileges;

/// Flags of servers that are started as root for their port.
#[derive(Debug, Args)]
#[command(next_help_heading = "Privileges")]
pub struct RunAsFlags {
    /// Run as this user (name or number) after binding the port
    #[arg(long, value_name = "USER", value_hint = clap::ValueHint::Username)]
    pub user: Option<String>,
    /// Run as this group (name or number) after binding the port [the user's group]
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
}

impl RunAsFlags {
    /// Changes user and group, if these flags are given.
    ///
    /// Fails as [`privileges::switch_user`] does.
    pub fn switch_user(&self) -> Result<(), Failure> {
        privileges::switch_user(self.user.as_deref(), self.group.as_deref())
    }
}
