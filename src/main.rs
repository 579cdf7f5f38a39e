//! Entry point: parses the arguments, starts logging, runs one command and turns its outcome into an
//! exit code.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use anyhow::anyhow;
use sockit::command::{Cli, Command};
use sockit::error::{ExitCode, Failure, Phase};
use sockit::logging::LogFormat;
use sockit::process::{argv, privileges};
use sockit::report::Report;
use sockit::usage::{Parsed, argv_secrets};

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    argv::redact_argv(&args, &argv_secrets::find_secrets(&args));
    let code = sockit::command::parse(args).map_or_else(|code| code, run);
    code.number().into()
}

fn run(Parsed { cli, name }: Parsed<Cli>) -> ExitCode {
    let format = if cli.output.json { LogFormat::Json } else { LogFormat::Text };
    sockit::logging::start(cli.output.verbose, format);
    let report = match cli.output.report() {
        Ok(report) => report,
        Err(failure) => return report_error(&Report::plain(), &failure.into()),
    };
    let panic_report = report.clone();
    std::panic::set_hook(Box::new(move |info| log_panic(&panic_report, info)));
    if !cli.command.starts_programs() {
        // Kernels before 3.5 do not have it; the command runs nevertheless.
        let _ = privileges::set_no_new_privs();
    }
    let _span = tracing::info_span!("command", name).entered();
    let code = execute(cli.command, &report).unwrap_or_else(|error| report_error(&report, &error));
    report.finish(code)
}

/// Runs the command. A panic becomes an error without a phase.
fn execute(command: Command, report: &Report) -> anyhow::Result<ExitCode> {
    let outcome = catch_unwind(AssertUnwindSafe(|| command.run(report)));
    Ok(outcome.map_err(|_| anyhow!("internal error"))??)
}

/// Turns an error into its line and its exit code.
fn report_error(report: &Report, error: &anyhow::Error) -> ExitCode {
    // The panic hook has printed what is no failure of a phase.
    let Some(failure) = error.downcast_ref::<Failure>() else { return ExitCode::Negative };
    // A run that a signal ended prints no error line, unless there is a hint: the exit code is enough.
    let is_signal = matches!(failure.code, ExitCode::Interrupted | ExitCode::Terminated);
    if !is_signal || failure.hint.is_some() {
        report.failure(failure.conn, failure);
    }
    failure.code
}

/// Prints a panic as one error line instead of the text of the standard library.
fn log_panic(report: &Report, info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "unknown cause",
    };
    let location = info.location().map(|at| format!(" at {at}")).unwrap_or_default();
    let cause = format!("internal error{location}: {text}");
    report.failure(None, &Failure::new(Phase::Socket, "-", cause).with_code(ExitCode::Negative));
}
