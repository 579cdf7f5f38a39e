//! What `-h` and `--help` add to the flags: examples, the environment, the exit codes.
//!
//! `-h` shows the common flags and three examples; `--help`, the man pages and the completions have
//! all flags. The tables of variables and exit codes are in `sockit --help` and in the man pages.

mod environment;
mod pages;

use clap::builder::StyledStr;
use clap::{Arg, Command};

use crate::error::ExitCode;
pub use environment::ENVIRONMENT;

/// What help has for a command besides its flags.
pub struct Page {
    /// The command, or `sockit`.
    pub name: &'static str,
    /// The flags and arguments that `-h` shows, by their long names, separated by blanks.
    pub common_flags: &'static str,
    /// Command lines that work as they are, each with `  # ` and what it does.
    pub examples: [&'static str; 3],
}

/// A command line and what it does.
pub struct Example {
    /// The command line.
    pub line: &'static str,
    /// What it does.
    pub what: &'static str,
}

impl Page {
    /// The examples of the page.
    pub fn examples(&self) -> [Example; 3] {
        self.examples.map(|text| {
            let (line, what) = text.split_once("  # ").unwrap_or((text, ""));
            Example { line, what }
        })
    }
}

/// Maximum width of help.
const WIDTH: usize = 100;
/// Maximum width of its tables, which fit a terminal of 80 columns.
const TABLE_WIDTH: usize = 78;

/// The flags that `-h` shows for every command.
const ALWAYS: [&str; 4] = ["help", "quiet", "verbose", "json"];

/// Adds groups, examples and tables to `cli`: for help, man pages and completions.
pub fn decorate(mut cli: Command) -> Command {
    cli.build();
    let names: Vec<String> = cli.get_subcommands().map(|c| c.get_name().to_string()).collect();
    let cli = names.iter().filter_map(|name| page(name)).fold(cli, |cli, page| {
        cli.mut_subcommand(page.name, |command| decorate_command(command, page))
    });
    let template = front_page(&cli);
    match page("sockit") {
        Some(page) => decorate_command(cli, page).help_template(template),
        None => cli,
    }
}

/// The page of the command of this name.
pub fn page(name: &str) -> Option<&'static Page> {
    pages::ALL.iter().find(|page| page.name == name)
}

/// The template of sockit's own help, which lists the commands by group.
fn front_page(cli: &Command) -> String {
    let (header, literal) = (cli.get_styles().get_header(), cli.get_styles().get_literal());
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_string();
    for (group, names) in pages::GROUPS {
        text += &format!("\n{header}{group}:{header:#}\n");
        for command in names.iter().filter_map(|name| cli.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            text += &format!("  {literal}{:<13}{literal:#}{about}\n", command.get_name());
        }
    }
    text + &format!("\n{header}Logging:{header:#}\n{{options}}{{after-help}}")
}

fn decorate_command(command: Command, page: &Page) -> Command {
    let note = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = examples(page);
    let (short, long) = if page.name == "sockit" {
        let more = "Flags of a command: sockit <command> -h".to_string();
        let tables = [examples.clone(), environment(), exit_codes(), more.clone()];
        (paragraphs([examples, more]), paragraphs(tables))
    } else {
        let all = format!("All flags: sockit {} --help", page.name);
        let tables = "Environment variables and exit codes: sockit --help".to_string();
        (paragraphs([note.clone(), examples.clone(), all]), paragraphs([note, examples, tables]))
    };
    command.mut_args(|arg| shown(arg, page.common_flags)).after_help(short).after_long_help(long)
}

fn paragraphs(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.join("\n\n")
}

/// A flag as help shows it: only the common ones in `-h`.
fn shown(arg: Arg, common: &str) -> Arg {
    let name = arg.get_long().unwrap_or(arg.get_id().as_str());
    let is_rare = common.split(' ').chain(ALWAYS).all(|shown| shown != name);
    let (short, long) = (arg.get_help().map(literal), arg.get_long_help().map(literal));
    let mut arg = arg.hide_short_help(is_rare);
    if let Some(short) = short {
        arg = arg.help(short);
    }
    match long {
        Some(long) => arg.long_help(long),
        None => arg,
    }
}

/// clap takes `{n}` in help for a line break; here it is a placeholder of `--reply`. A style reset
/// between its characters is invisible on a terminal, and not printed anywhere else.
fn literal(text: &StyledStr) -> StyledStr {
    text.ansi().to_string().replace("{n}", "{\u{1b}[0mn}").into()
}

/// The examples, each with its explanation on the same line, or below where that is too long.
fn examples(page: &Page) -> String {
    let shown = page.examples().map(|Example { line, what }| {
        let fits = line.len() + what.len() + 6 <= WIDTH;
        format!("\n  {line}{}# {what}", if fits { "  " } else { "\n      " })
    });
    format!("Examples:{}", shown.concat())
}

fn environment() -> String {
    let row = |(names, what): &(_, &str)| format!("\n  {names}{}", wrap_indented(what, 6));
    format!("Environment:{}", ENVIRONMENT.iter().map(row).collect::<String>())
}

fn exit_codes() -> String {
    let rows = ExitCode::ALL.map(|(code, meaning)| {
        let text = wrap_indented(meaning, 7);
        format!("\n  {:>3}  {}", code.number(), text.trim_start())
    });
    format!("Exit codes:{}", rows.concat())
}

/// `text` on lines of its own, indented, none longer than [`TABLE_WIDTH`].
pub(super) fn wrap_indented(text: &str, indent: usize) -> String {
    let mut lines = String::new();
    let mut room = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if length + 1 > room {
            lines += &format!("\n{:indent$}{word}", "");
            room = TABLE_WIDTH - indent - length;
        } else {
            lines += &format!(" {word}");
            room -= length + 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::command::Cli;

    #[test]
    fn every_command_has_a_page_and_a_group() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(page(name).is_some(), "{name} has no page");
            let groups = pages::GROUPS.iter().filter(|(_, names)| names.contains(&name));
            assert_eq!(groups.count(), 1, "{name}");
        }
    }

    #[test]
    fn tables_fit_a_narrow_terminal() {
        let tables = format!("{}\n{}", environment(), exit_codes());
        assert!(tables.lines().all(|line| line.chars().count() <= TABLE_WIDTH), "{tables}");
    }

    #[test]
    fn common_flags_exist_in_a_complete_build() {
        let mut root = Cli::command();
        root.build();
        for page in pages::ALL.iter().filter(|_| cfg!(all(feature = "tls", feature = "http"))) {
            let Some(command) = root.find_subcommand(page.name) else { continue };
            let has = |name: &str| {
                let mut arguments = command.get_arguments();
                arguments.any(|arg| arg.get_long().unwrap_or(arg.get_id().as_str()) == name)
            };
            for flag in page.common_flags.split(' ') {
                assert!(has(flag), "{} has no {flag}", page.name);
            }
        }
    }

    #[test]
    fn every_example_is_a_valid_command_line() {
        let known: Vec<_> =
            Cli::command().get_subcommands().map(|c| c.get_name().to_string()).collect();
        for Example { line, .. } in pages::ALL.iter().flat_map(Page::examples) {
            let own = line.rsplit(" | ").next().unwrap_or(line);
            let words = shlex::split(own.split(" > ").next().unwrap_or(own)).unwrap();
            let words: Vec<_> = words.into_iter().skip_while(|word| word != "sockit").collect();
            if words.get(1).is_some_and(|name| known.contains(name)) {
                let parsed =
                    crate::usage::parse::<Cli>(words.into_iter().map(Into::into).collect());
                assert!(parsed.is_ok(), "{line}");
            }
        }
    }
}
