//! The hex dump of a server.

use std::path::PathBuf;

use clap::Args;

use crate::error::Failure;
use crate::report::Report;
use crate::report::hexdump::ServerDump;

/// The flag of a server's hex dump.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct ServerHexFlag {
    /// Write a hex dump of both directions to FILE (- is stderr)
    ///
    /// Each line begins with the number of the connection, or for datagrams with the address of the
    /// peer; > are sent bytes, < received ones.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub hex: Option<PathBuf>,
}

impl ServerHexFlag {
    /// Opens the dump, if there is one; fails as [`ServerDump::open`] does.
    pub fn open(&self, report: &Report) -> Result<Option<ServerDump>, Failure> {
        self.hex.as_deref().map(|path| ServerDump::open(path, report)).transpose()
    }
}
