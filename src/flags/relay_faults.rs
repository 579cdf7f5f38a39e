//! Flags of the relay that inject faults, or record the connections.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::listen::PrintPortFlag;
use crate::error::{Failure, Phase};
use crate::net::stdout::Stdout;
use crate::relay::fault::{FaultPlan, FaultSpec};
use crate::relay::record::Recorder;
use crate::report::Report;
use crate::report::event::Event;

/// Flags for faults.
#[derive(Debug, Args)]
#[command(next_help_heading = "Faults")]
pub struct RelayFaultFlags {
    /// Inject a fault (repeatable): delay=20ms±10ms, rate=64Ki, slice=1..7,
    /// stall=5s@4096, close@4096, reset@4096, drop@4096, refuse=1/20, corrupt=1/1Mi; with --udp also
    /// loss=5%, duplicate=1%, reorder=2%; to-client: or to-target: in front limits it to one direction
    #[arg(long = "fault", value_name = "SPEC", value_parser = FaultSpec::from_str)]
    pub faults: Vec<FaultSpec>,
    /// Repeat the faults of the run that printed this seed [default: a random one]
    #[arg(long, value_name = "N", requires = "faults")]
    pub seed: Option<u64>,
}

/// Flags for recording.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recording")]
pub struct RecordFlags {
    /// Record the relayed bytes in FILE (pcapng; - is stdout), without the TLS that the relay ends
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub record: Option<PathBuf>,
}

impl RelayFaultFlags {
    /// The faults, each accepted by `check`: those of streams or of datagrams. A seed that was not
    /// given is emitted.
    ///
    /// Fails with exit code 2 on a fault of the other kind.
    pub fn plan(
        &self,
        check: fn(&FaultSpec) -> Result<(), String>,
        report: &Report,
    ) -> Result<FaultPlan, Failure> {
        let usage = |why| Failure::usage(Phase::Receive, "--fault", why);
        self.faults.iter().try_for_each(check).map_err(usage)?;
        let plan = FaultPlan { faults: self.faults.clone(), seed: self.seed.unwrap_or_else(seed) };
        if self.seed.is_none() && !plan.is_empty() {
            report.emit(&Event::Seed { seed: plan.seed });
        }
        Ok(plan)
    }
}

impl RecordFlags {
    /// Checks that nothing else is printed on stdout if the capture is. Fails with exit code 2.
    pub fn check_stdout(&self, print_port: &PrintPortFlag) -> Result<(), Failure> {
        if print_port.print_port && self.record.as_deref().is_some_and(|path| path == "-") {
            let why = "stdout has the port (--print-port)";
            return Err(Failure::usage(Phase::File, "--record -", why));
        }
        Ok(())
    }

    /// The recorder, if there is to be one.
    ///
    /// Fails as [`Recorder::create`] does.
    pub fn recorder(&self, stdout: Stdout, report: &Report) -> Result<Option<Recorder>, Failure> {
        self.record.as_deref().map(|path| Recorder::create(path, stdout, report)).transpose()
    }
}

/// A random seed, short enough to be typed.
fn seed() -> u64 {
    RandomState::new().hash_one(()) >> 32
}
