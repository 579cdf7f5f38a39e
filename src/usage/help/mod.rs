//! What `-h` and `--help` add to the flags: examples, the environment, the exit codes.
//!
//! `-h` is a screen: the flags one needs on most days and three examples. `--help`, the man pages
//! and the completions know all flags. Nothing of this is built in a run that asks for no help.

mod environment;
mod pages;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};

use crate::command::Cli;
use crate::error::ExitCode;
pub use environment::ENVIRONMENT;

/// What help says of a command beside its flags.
pub struct Page {
    /// The command; the empty word is sockit itself.
    pub name: &'static str,
    /// The flags and arguments that `-h` shows, by their long names.
    pub common_flags: &'static [&'static str],
    /// Command lines that work as they stand, and what each does.
    pub examples: [Example; 3],
}

/// A command line and what it does.
pub type Example = (&'static str, &'static str);

/// How wide help is at most.
const WIDTH: usize = 100;
/// How wide its tables are: a terminal of the usual size breaks none of their lines.
const NARROW: usize = 78;

/// The flags of every command that `-h` shows.
const ALWAYS: [&str; 4] = ["help", "quiet", "verbose", "json"];

/// sockit with all its commands, dressed for people: for help, man pages and completions.
pub fn full_command() -> Command {
    let plain = built_command();
    let names: Vec<String> = plain.get_subcommands().map(|c| c.get_name().to_string()).collect();
    let dressed = names.iter().fold(plain, |command, name| match page(name) {
        Some(page) => command.mut_subcommand(name, |inner| decorate(inner, page)),
        None => command,
    });
    match page("") {
        Some(page) => decorate(dressed, page),
        None => dressed,
    }
}

/// sockit with the flags of all its commands, which a run that asks for one of them leaves aside.
pub fn built_command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// What help says of the command of this name.
pub fn page(name: &str) -> Option<&'static Page> {
    pages::ALL.iter().find(|page| page.name == name)
}

fn decorate(command: Command, page: &Page) -> Command {
    let note = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let all = match page.name {
        "" => "sockit <command> -h".to_string(),
        name => format!("sockit {name} --help"),
    };
    let short = paragraphs([note.clone(), examples(page), format!("Everything: {all}")]);
    let long = paragraphs([note, examples(page), environment(), exit_codes()]);
    command.mut_args(|arg| shown(arg, page.common_flags)).after_help(short).after_long_help(long)
}

fn paragraphs(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.join("\n\n")
}

/// A flag as help shows it: the rare ones only in `--help`.
fn shown(arg: Arg, often: &[&str]) -> Arg {
    let name = arg.get_long().unwrap_or(arg.get_id().as_str());
    let rare = !often.contains(&name) && !ALWAYS.contains(&name);
    let (short, long) = (arg.get_help().map(literal), arg.get_long_help().map(literal));
    let mut arg = arg.hide_short_help(rare);
    if let Some(short) = short {
        arg = arg.help(short);
    }
    match long {
        Some(long) => arg.long_help(long),
        None => arg,
    }
}

/// clap reads `{n}` in help as a line break; here it is a blank of `--reply`. A reset of style
/// between its letters is invisible on a terminal, and not printed anywhere else.
fn literal(text: &StyledStr) -> StyledStr {
    text.ansi().to_string().replace("{n}", "{\u{1b}[0mn}").into()
}

/// Each with what it does behind it, or beneath it where both do not fit a line.
fn examples(page: &Page) -> String {
    let shown = page.examples.map(|(line, what)| match line.len() + what.len() + 6 <= WIDTH {
        true => format!("\n  {line}  # {what}"),
        false => format!("\n  {line}\n      # {what}"),
    });
    format!("Examples:{}", shown.concat())
}

fn environment() -> String {
    let rows = ENVIRONMENT.map(|(names, what)| format!("\n  {names}{}", wrap_indented(what, 6)));
    format!("Environment:{}", rows.concat())
}

/// The exit-code table, for the end of every command's `--help`.
fn exit_codes() -> String {
    let rows = ExitCode::ALL.map(|(code, meaning)| {
        let text = wrap_indented(meaning, 7);
        format!("\n  {:>3}  {}", code.number(), text.trim_start())
    });
    format!("Exit codes:{}", rows.concat())
}

/// `text` on lines of its own, `indent` in, none over [`NARROW`].
fn wrap_indented(text: &str, indent: usize) -> String {
    let mut lines = String::new();
    let mut room = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if length + 1 > room {
            lines += &format!("\n{:indent$}{word}", "");
            room = NARROW - indent - length;
        } else {
            lines += &format!(" {word}");
            room -= length + 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        for command in Cli::command().get_subcommands() {
            assert!(page(command.get_name()).is_some(), "{} has no page", command.get_name());
        }
    }

    #[test]
    fn no_line_of_a_table_is_broken_by_a_narrow_terminal() {
        let tables = format!("{}\n{}", environment(), exit_codes());
        assert!(tables.lines().all(|line| line.chars().count() <= NARROW), "{tables}");
    }

    #[test]
    fn what_a_page_shows_often_is_there_in_a_whole_build() {
        let whole = built_command();
        for page in pages::ALL.iter().filter(|_| cfg!(all(feature = "tls", feature = "http"))) {
            let Some(command) = whole.find_subcommand(page.name) else { continue };
            let has = |name: &str| {
                let mut arguments = command.get_arguments();
                arguments.any(|arg| arg.get_long().unwrap_or(arg.get_id().as_str()) == name)
            };
            for often in page.common_flags {
                assert!(has(often), "{} has no {often}", page.name);
            }
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_is_taken() {
        let known: Vec<_> =
            Cli::command().get_subcommands().map(|c| c.get_name().to_string()).collect();
        for (line, _) in pages::ALL.iter().flat_map(|page| page.examples) {
            let own = line.rsplit(" | ").next().unwrap_or(line);
            let words = shlex::split(own.split(" > ").next().unwrap_or(own)).unwrap();
            let words: Vec<_> = words.into_iter().skip_while(|word| word != "sockit").collect();
            if words.get(1).is_some_and(|name| known.contains(name)) {
                crate::command::parse(words.into_iter().map(Into::into).collect())
                    .unwrap_or_else(|code| panic!("{line}: {code:?}"));
            }
        }
    }
}
