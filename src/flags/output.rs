//! How a run talks: flags that every command takes.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{ArgAction, Args};
use rustix::fs::OFlags;

use crate::error::{ExitCode, Failure, Phase};
use crate::process::output_file;
use crate::report::{ColorWhen, Report, ReportOptions, Verbosity};

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Talk (on stderr)")]
pub struct LogFlags {
    /// Tell errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Tell each step; -vv and -vvv add tracing
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Tell events as JSON Lines
    #[arg(long, global = true)]
    pub json: bool,
    /// Write all events to FILE, as JSON Lines
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub events: Option<PathBuf>,
    /// Colour: auto, always or never
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
    /// The voice these flags ask for.
    ///
    /// Fails at [`Stage::File`] with code 23 when the events file cannot be made.
    pub fn report(&self) -> Result<Report, Failure> {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
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
                .help("On a terminal, unless NO_COLOR; anywhere with CLICOLOR_FORCE"),
            ColorWhen::Always => PossibleValue::new("always").help("Always"),
            ColorWhen::Never => PossibleValue::new("never").help("Never"),
        })
    }
}

fn open_events(path: &Path) -> Result<(File, String), Failure> {
    use std::os::unix::fs::FileTypeExt;
    // A FIFO opened both ways waits for nobody (fifo(7)): its reader may come later, or never.
    let fifo = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    let mode = if fifo { OFlags::RDWR } else { OFlags::WRONLY };
    let opened = output_file::open(path, mode | OFlags::APPEND | OFlags::CREATE, 0o666);
    let file = opened
        .map_err(|e| Failure::new(Phase::File, path.display(), e).with_code(ExitCode::Write))?;
    Ok((file, path.display().to_string()))
}
