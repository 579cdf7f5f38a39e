//! What is printed when the command line is wrong or help is requested.
//!
//! A usage error looks like any other error: one line, at most one hint, code 2. The hint is the
//! sockit line for a habit from another tool, or the most similar word that exists.

pub mod argv_secrets;
mod color_choice;
mod foreign_args;
pub mod help;
mod hints;
mod line_parts;
pub mod man_page;
mod meaning;
pub mod netcat;
pub mod netcat_argv;
pub mod netcat_table;
mod other_tools;
mod suggested_line;
mod tool_flags;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Parser};

use crate::error::{ExitCode, Failure, Phase};
use crate::report::event::{ErrorEvent, Event};
use crate::report::{ColorWhen, Report, ReportOptions, Verbosity};
use other_tools::Tool;
use suggested_line::Suggestion;

/// The command that only builds with the feature http have.
const HTTP: &str = "http-get";

/// A command line that was accepted.
pub struct Parsed<Cli> {
    /// Its flags and arguments.
    pub cli: Cli,
    /// The name of its command.
    pub name: String,
}

/// Parses a command line, its first argument being the program's name.
///
/// Prints help, version or the error itself and returns the exit code: 2 for an error, 0 for help
/// and version, 23 when stdout cannot be written.
pub fn parse<Cli: Parser>(args: Vec<OsString>) -> Result<Parsed<Cli>, ExitCode> {
    let args = rewrite_help_command(args);
    let mut command = Cli::command().color(color_choice::color_choice(&args));
    let matches = command.try_get_matches_from_mut(&args);
    let parsed = matches.and_then(|mut matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_string();
        let cli = Cli::from_arg_matches_mut(&mut matches);
        cli.map(|cli| Parsed { cli, name }).map_err(|error| error.format(&mut command))
    });
    parsed.map_err(|error| print_clap_error(error, Cli::command(), &args))
}

/// Makes `sockit COMMAND --help` of `sockit help COMMAND`.
fn rewrite_help_command(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.len() <= 3 && args.get(1).is_some_and(|arg| arg == "help") {
        args.remove(1);
        args.push("--help".into());
    }
    args
}

fn print_clap_error(error: clap::Error, cli: Command, args: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp => print_stdout(|| decorated_help(error, cli, args).print()),
        ErrorKind::DisplayVersion => print_stdout(|| error.print()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = decorated_help(error, cli, args).print();
            ExitCode::Usage
        }
        _ => {
            let json = args.iter().any(|arg| arg == "--json");
            let (verbosity, color) = (Verbosity::Normal, ColorWhen::Auto);
            let report = Report::new(ReportOptions { verbosity, json, color, events: None });
            report.emit(&Event::Error(error_event(&error, cli, args)));
            ExitCode::Usage
        }
    }
}

/// The help that was requested, with its examples and tables.
fn decorated_help(plain: clap::Error, cli: Command, args: &[OsString]) -> clap::Error {
    help::decorate(cli)
        .color(color_choice::color_choice(args))
        .try_get_matches_from(args)
        .err()
        .unwrap_or(plain)
}

/// Prints help by `print`. Returns 23 when stdout cannot be written, else 0.
pub fn print_stdout(print: impl FnOnce() -> io::Result<()>) -> ExitCode {
    match print().and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let failure = Failure::new(Phase::Stdout, "-", e);
            Report::plain().failure(None, &failure);
            failure.code
        }
        _ => ExitCode::Done,
    }
}

fn error_event(error: &clap::Error, mut cli: Command, args: &[OsString]) -> ErrorEvent {
    cli.build();
    let text = error.render().to_string();
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let unknown = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    let lacks_http =
        unknown && cfg!(not(feature = "http")) && args[1..].contains(&HTTP.to_string());
    let (cause, hint) = if lacks_http {
        (format!("'{HTTP}': built without feature http"), None)
    } else if unknown {
        (cause(&text), Some(hint(error, &text, &cli, &args)))
    } else {
        (cause(&text), suggestion(&cli, &args).or_else(|| tip(&text)).or_else(|| usage(&text)))
    };
    let (code, target) = (ExitCode::Usage.number(), String::new());
    ErrorEvent { conn: None, phase: "usage", target, cause, code, reason: None, hint }
}

/// The error message of clap in one line.
pub fn cause(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or(text);
    let lines = first.strip_prefix("error: ").unwrap_or(first).lines();
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The tip of clap. Its advice on passing an unknown flag as a value does not help here.
fn tip(text: &str) -> Option<String> {
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.filter(|tip| !tip.starts_with("to pass")).map(str::to_string).next()
}

/// The usage line that clap prints after an error.
fn usage(text: &str) -> Option<String> {
    text.lines().find(|line| line.starts_with("Usage: ")).map(str::to_string)
}

/// The hint for an unknown word: a translation comes before a similar flag, but a similar command
/// before the translation of a netcat line.
fn hint(error: &clap::Error, text: &str, cli: &Command, args: &[String]) -> String {
    let tool = hints::tool(args);
    let found = match (error.get(ContextKind::SuggestedSubcommand), tool) {
        (Some(names), None) => similar_commands(names).or_else(|| suggestion(cli, args)),
        _ => suggestion(cli, args).or_else(|| tip(text).filter(|_| tool.is_none())),
    };
    let first = args.get(1).filter(|first| cli.find_subcommand(first).is_some());
    match (found, tool.map(Tool::command).or(first.map(String::as_str))) {
        (Some(found), _) => found,
        (None, Some(command)) => format!("'sockit {command} --help' lists all its flags"),
        (None, None) => "'sockit -h' lists the commands".to_string(),
    }
}

/// The commands that are most similar to a mistyped one, the best match first; clap has it last.
fn similar_commands(names: &ContextValue) -> Option<String> {
    let quoted = |name: &String| format!("'{name}'");
    match names {
        ContextValue::Strings(names) if names.len() > 1 => {
            let names: Vec<String> = names.iter().rev().map(quoted).collect();
            Some(format!("some similar subcommands exist: {}", names.join(", ")))
        }
        ContextValue::Strings(names) => {
            names.first().map(|name| format!("a similar subcommand exists: '{name}'"))
        }
        _ => None,
    }
}

/// The sockit line for a command line that would be valid for another tool.
fn suggestion(cli: &Command, args: &[String]) -> Option<String> {
    // What was typed already is not suggested.
    let differs = |line: &str| shlex::split(line).is_none_or(|line| line[1..] != args[1..]);
    match hints::suggest(cli, args)? {
        Suggestion::Line(line) => {
            (differs(&line) && is_valid_line(cli, &line)).then(|| format!("try: {line}"))
        }
        Suggestion::Unsupported(what) => Some(format!("not available: {what}")),
    }
}

/// Whether sockit accepts a line that is to be suggested.
fn is_valid_line(cli: &Command, line: &str) -> bool {
    shlex::split(line).is_some_and(|args| cli.clone().try_get_matches_from(args).is_ok())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::command::Cli;

    fn event_of(line: &str) -> ErrorEvent {
        let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
        error_event(&Cli::try_parse_from(&args).unwrap_err(), Cli::command(), &args)
    }

    #[test]
    fn unknown_word_is_reported_with_a_similar_one() {
        let typo = event_of("sockit tcp-clinet localhost 80");
        assert_eq!(typo.cause, "unrecognized subcommand 'tcp-clinet'");
        assert!(typo.hint.unwrap().contains("'tcp-client'"));
        let between = event_of("sockit tcp-clint localhost 80");
        let expected = "some similar subcommands exist: 'tcp-client', 'udp-client'";
        assert_eq!(between.hint.as_deref(), Some(expected));
        let flag = event_of("sockit tcp-client --exepct x");
        assert_eq!(flag.cause, "unexpected argument '--exepct' found");
        assert!(flag.hint.unwrap().contains("'--expect'"));
    }

    #[test]
    fn typed_line_is_not_suggested() {
        let minus = event_of("sockit udp-client localhost 9 --wait -1");
        assert!(!minus.hint.unwrap().starts_with("try:"));
    }

    #[test]
    fn rejected_value_is_explained_in_the_same_line() {
        let value = event_of("sockit tcp-client --timeout soon");
        assert!(value.cause.contains("'soon' is not a duration"), "{}", value.cause);
        assert!(!value.cause.contains('\n'));
    }
}
