//! Flags for logging, which every command has.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{ArgAction, Args};
use rustix::fs::OFlags;

use crate::error::Failure;
use crate::process::output_file;
use crate::report::{ColorWhen, Report, ReportOptions, Verbosity};

/// Logging flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogFlags {
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print each step; -vv also prints what is sent and received, -vvv also each decision
    ///
    /// -v: a line per step, such as socket, bind, listen, accept, connect and close, and why a step
    /// failed. -vv: also a line per send and receive with the first 64 bytes, once a second for bulk
    /// transfers. -vvv: also tracing, which has the reason of each decision (address, transfer method,
    /// state, limit) with the command and the connection; SOCKIT_LOG selects its modules and levels.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Print events on stderr as JSON Lines
    #[arg(long, global = true)]
    pub json: bool,
    /// Append all events to FILE as JSON Lines
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub events: Option<PathBuf>,
    /// Color of messages: auto (on a terminal), always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub color: ColorWhen,
}

impl LogFlags {
    /// The report of the run.
    ///
    /// Fails with phase `file` and code 23 when the events file cannot be opened.
    pub fn report(&self) -> Result<Report, Failure> {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Traffic,
        };
        let events = self.events.as_deref().map(open_events).transpose()?;
        Ok(Report::new(ReportOptions { verbosity, json: self.json, color: self.color, events }))
    }
}

impl clap::ValueEnum for ColorWhen {
    fn value_variants<'a>() -> &'a [ColorWhen] {
        &[ColorWhen::Auto, ColorWhen::Always, ColorWhen::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            ColorWhen::Auto => PossibleValue::new("auto")
                .help("On a terminal, unless NO_COLOR is set; anywhere with CLICOLOR_FORCE"),
            ColorWhen::Always => PossibleValue::new("always").help("Also in pipes and files"),
            ColorWhen::Never => PossibleValue::new("never").help("Nowhere"),
        })
    }
}

fn open_events(path: &Path) -> Result<(File, String), Failure> {
    use std::os::unix::fs::FileTypeExt;
    // A FIFO opened for reading and writing does not wait for a reader (fifo(7)), which may come
    // later or never.
    let fifo = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    let mode = if fifo { OFlags::RDWR } else { OFlags::WRONLY };
    let opened = output_file::open(path, mode | OFlags::APPEND | OFlags::CREATE, 0o666);
    let file = opened.map_err(|e| Failure::write_file(path.display(), e))?;
    Ok((file, path.display().to_string()))
}
