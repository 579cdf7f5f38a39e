//! Words on the command line: taken, or met with what was probably meant.
//!
//! A command line that makes no sense is told like any failure: one line, at most one hint, code
//! 2. The hint is the sockit line for a habit from another tool, or the nearest word that exists.

pub mod argv_secrets;
mod color_choice;
pub mod help;
mod hints;
mod missing_features;
mod other_tools;
mod socat_addresses;
mod suggested_line;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use crate::command::Cli;
use crate::error::{ExitCode, Failure, Phase};
use crate::report::event::{ErrorEvent, Event};
use crate::report::{ColorWhen, Report, ReportOptions, Verbosity};
use hints::Advice;
use other_tools::Tool;

/// Reads a command line, its first word being the program's name.
///
/// What cannot be read has been told when this returns: the number is 2; 0 for help and version
/// (23 when stdout cannot take them).
pub fn parse(words: Vec<OsString>) -> Result<Cli, ExitCode> {
    let words = is_help_word(words);
    read(&words).map_err(|error| print_clap_error(error, &words))
}

fn read(words: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command().color(color_choice::color_choice(words));
    let mut matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// `sockit help COMMAND` is `sockit COMMAND --help`.
fn is_help_word(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.len() <= 3 && words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

fn print_clap_error(error: clap::Error, words: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp => requested_command(|| with_examples(error, words).print()),
        ErrorKind::DisplayVersion => requested_command(|| error.print()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = with_examples(error, words).print();
            ExitCode::Usage
        }
        _ => {
            let json = words.iter().any(|word| word == "--json");
            let (verbosity, color) = (Verbosity::Normal, ColorWhen::Auto);
            let report = Report::new(ReportOptions { verbosity, json, color, events: None });
            report.emit(&Event::Error(error_event(&error, words)));
            ExitCode::Usage
        }
    }
}

/// The help that was asked for, with its examples and tables.
fn with_examples(plain: clap::Error, words: &[OsString]) -> clap::Error {
    help::full_command()
        .color(color_choice::color_choice(words))
        .try_get_matches_from(words)
        .err()
        .unwrap_or(plain)
}

fn requested_command(print: impl FnOnce() -> io::Result<()>) -> ExitCode {
    let printed = print().and_then(|()| io::stdout().flush());
    match printed {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let failure = Failure::new(Phase::Stdout, "-", e);
            Report::plain().failure(None, &failure);
            failure.code
        }
        _ => ExitCode::Done,
    }
}

fn error_event(error: &clap::Error, words: &[OsString]) -> ErrorEvent {
    let text = error.render().to_string();
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let unknown = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    let missing = unknown.then(|| missing_features::missing(&words)).flatten();
    let (cause, hint) = match missing {
        Some((word, feature)) => (format!("'{word}': built without feature {feature}"), None),
        None if unknown => (cause(&text), Some(hint(error, &text, &words))),
        None => (cause(&text), habit(&words).or_else(|| tip(&text)).or_else(|| usage(&text))),
    };
    let code = ExitCode::Usage.number();
    ErrorEvent { conn: None, phase: "usage", target: String::new(), cause, code, hint }
}

/// What clap says was wrong, in one line.
fn cause(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or(text);
    let lines = first.strip_prefix("error: ").unwrap_or(first).lines();
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// What clap thinks was meant. Its advice on passing an unknown flag as a value helps nobody here.
fn tip(text: &str) -> Option<String> {
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.filter(|tip| !tip.starts_with("to pass")).map(str::to_string).next()
}

/// The command's words in their order, as clap shows them beneath an error.
fn usage(text: &str) -> Option<String> {
    text.lines().find(|line| line.starts_with("Usage: ")).map(str::to_string)
}

/// A habit is recognised before a mere likeness, but a mistyped command before a host's name.
fn hint(error: &clap::Error, text: &str, words: &[String]) -> String {
    let tool = hints::tool(words);
    let found = match (error.get(ContextKind::SuggestedSubcommand), tool) {
        (Some(names), None) => similar(names).or_else(|| habit(words)),
        _ => habit(words).or_else(|| tip(text).filter(|_| tool.is_none())),
    };
    let first = words.get(1).filter(|word| help::page(word).is_some());
    match (found, tool.map(Tool::command).or(first.map(String::as_str))) {
        (Some(found), _) => found,
        (None, Some(command)) => format!("sockit {command} --help tells all its flags"),
        (None, None) => "sockit -h tells the commands".to_string(),
    }
}

/// The commands that are most like a mistyped one, the likeliest first. clap has it last.
fn similar(names: &ContextValue) -> Option<String> {
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

/// What sockit has for a line that would make sense to another tool.
fn habit(words: &[String]) -> Option<String> {
    // What was typed already is no advice.
    let other = |line: &str| shlex::split(line).is_none_or(|line| line[1..] != words[1..]);
    match hints::advice(words)? {
        Advice::Line(line) => (other(&line) && makes_sense(&line)).then(|| format!("try: {line}")),
        Advice::Absent(why) => Some(format!("not available: {why}")),
    }
}

/// Whether a line that we would advise can be read.
fn makes_sense(line: &str) -> bool {
    let line = line.split(" < ").next().unwrap_or(line);
    let words: Option<Vec<OsString>> =
        shlex::split(line).map(|words| words.into_iter().map(OsString::from).collect());
    words.is_some_and(|words| read(&words).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble_of(line: &str) -> ErrorEvent {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        error_event(&read(&words).unwrap_err(), &words)
    }

    #[test]
    fn what_is_wrong_is_one_line_with_the_likely_word() {
        let typo = trouble_of("sockit tcp-clinet localhost 80");
        assert_eq!(typo.cause, "unrecognized subcommand 'tcp-clinet'");
        assert!(typo.hint.unwrap().contains("'tcp-client'"));
        let between = trouble_of("sockit tcp-clint localhost 80");
        let expected = "some similar subcommands exist: 'tcp-client', 'udp-client'";
        assert_eq!(between.hint.as_deref(), Some(expected));
        let flag = trouble_of("sockit tcp-client --exepct x");
        assert_eq!(flag.cause, "unexpected argument '--exepct' found");
        assert!(flag.hint.unwrap().contains("'--expect'"));
    }

    #[test]
    fn a_line_that_was_typed_already_is_no_hint() {
        let minus = trouble_of("sockit udp-client localhost 9 --wait -1");
        assert!(!minus.hint.unwrap().starts_with("try:"));
    }

    #[test]
    fn a_value_that_is_refused_tells_why_in_the_same_line() {
        let value = trouble_of("sockit tcp-client --timeout soon");
        assert!(value.cause.contains("'soon' is not a duration"), "{}", value.cause);
        assert!(!value.cause.contains('\n'));
    }
}
