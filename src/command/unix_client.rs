//! `unix-client`: connects to a Unix socket and talks as tcp-client does.

use std::ffi::OsString;

use super::{conversation, usage};
use crate::failure::Code;
use crate::flags::talk::Talk;
use crate::flags::values::{self, Limit};
use crate::net::unix::{Name, dial};
use crate::report::Report;

/// What the user asks of unix-client.
#[derive(Debug, clap::Args)]
#[command(after_long_help = usage::exit_codes())]
pub struct Args {
    /// Path of the socket; a leading @ is the abstract namespace
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: OsString,
    /// What to say
    #[command(flatten)]
    pub talk: Talk,
    /// Limit for the connection to stand; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::limit)]
    pub connect_timeout: Limit,
}

impl Args {
    /// Connects and talks to the end.
    pub fn run(self, report: &Report) -> anyhow::Result<Code> {
        let name = Name::read(&self.path);
        let limit = self.connect_timeout.0;
        let connect = |stop: &crate::stop::Stop| {
            report.step(|| format!("Connecting to {name}..."));
            dial(&name, limit, stop)
        };
        Ok(conversation::hold(&self.talk, report, connect)?)
    }
}
