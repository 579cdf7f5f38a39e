//! The door: parse, start the log, run one command, turn its outcome into an exit code.

use std::panic::PanicHookInfo;
use std::process::ExitCode;

use sockit::command::Cli;
use sockit::error::{Code, Failure, Stage};
use sockit::process::{argv, privileges};
use sockit::report::Report;
use sockit::usage::argv_secrets;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    argv::blot(&words, &argv_secrets::among(&words));
    let code = sockit::command::parse(words).map_or_else(|code| code, run);
    code.number().into()
}

fn run(cli: Cli) -> Code {
    sockit::logging::start(cli.output.verbose, cli.output.json);
    let report = match cli.output.report() {
        Ok(report) => report,
        Err(failure) => {
            let plain = Report::plain();
            return told(&plain, &failure.into());
        }
    };
    let voice = report.clone();
    std::panic::set_hook(Box::new(move |info| tell_panic(&voice, info)));
    if !cli.command.starts_programs() {
        // A kernel that has never heard of it leaves things as they are.
        let _ = privileges::renounce_privileges();
    }
    let command = std::panic::AssertUnwindSafe(|| cli.command.run(&report));
    let code = match std::panic::catch_unwind(command) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => told(&report, &error),
        Err(_) => Code::Negative,
    };
    report.settle(code)
}

/// The one place where a failure becomes a line and a number.
fn told(report: &Report, error: &anyhow::Error) -> Code {
    let Some(failure) = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()) else {
        report.warn(None, format!("{error:#}"));
        return Code::Negative;
    };
    // Whoever sent the signal knows; the number says it to scripts. Advice is printed all the same.
    let is_signal = matches!(failure.code, Code::Interrupted | Code::Terminated);
    if !is_signal || failure.hint.is_some() {
        report.failure(failure.conn, failure);
    }
    failure.code
}

/// One line instead of Rust's own panic text: a mistake of ours, told like any other trouble.
fn tell_panic(report: &Report, info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "no reason given",
    };
    let place = info.location().map(|at| format!(" at {at}")).unwrap_or_default();
    let why = format!("internal error{place}: {text}");
    report.failure(None, &Failure::new(Stage::Socket, "-", why).with_code(Code::Negative));
}
