//! Which service, by the flags that name it or imply it.

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::service::Service;
use crate::service::echo::Echo;
use crate::service::sink::{Chargen, Discard};

/// The services of a server of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Every byte back (RFC 862)
    Echo,
    /// Takes everything, answers nothing (RFC 863)
    Discard,
    /// Printable characters without end (RFC 864)
    Chargen,
}

/// Flags that choose a service and shape it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub struct Choice {
    /// What is done with each connection
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<Name>,
}

impl Choice {
    /// The service these flags ask for.
    pub fn service(&self) -> Result<Box<dyn Service>, Failure> {
        Ok(match self.service.unwrap_or(Name::Echo) {
            Name::Echo => Box::new(Echo),
            Name::Discard => Box::new(Discard),
            Name::Chargen => Box::new(Chargen::default()),
        })
    }
}
