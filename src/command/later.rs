//! Commands that nobody asked for are never described, nor are flags where none is given: for a
//! short run, start-up is most of the cost, and most of start-up was describing them.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::OnceLock;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

/// The commands, of which only the one that the first word names is there: clap hands the flags
/// of all commands on to each.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<T: Subcommand> Subcommand for Named<T> {
    fn augment_subcommands(command: Command) -> Command {
        if is_described() {
            return T::augment_subcommands(command);
        }
        let Some(first) = std::env::args_os().nth(1) else {
            return T::augment_subcommands(command);
        };
        match T::augment_subcommands(Command::new("all")).find_subcommand(first) {
            Some(named) => command.subcommand(named.clone()),
            None => T::augment_subcommands(command),
        }
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Named::<T>::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

impl<T: FromArgMatches> FromArgMatches for Named<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Named<T>, clap::Error> {
        T::from_arg_matches(matches).map(Named)
    }

    // Without this all that was found is copied to be taken apart.
    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Named<T>, clap::Error> {
        T::from_arg_matches_mut(matches).map(Named)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// A command's flags, described only once the command is known to be meant.
#[derive(Debug)]
pub struct Later<T>(pub Box<T>);

impl<T: Args> Args for Later<T> {
    fn augment_args(command: Command) -> Command {
        match is_described() {
            true => T::augment_args(command),
            false => command.defer(describe::<T>),
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Later::<T>::augment_args(command)
    }
}

thread_local! {
    /// Whether the line that is read has no flags.
    static PLAIN: Cell<bool> = const { Cell::new(false) };
}

/// Has `read` read a line that has no flags.
pub fn plainly<T>(read: impl FnOnce() -> T) -> T {
    PLAIN.set(true);
    let done = read();
    PLAIN.set(false);
    done
}

/// Flags that are described only to read a line that has any; else they are what they are by
/// default.
#[derive(Debug, Default)]
pub struct IfAny<T>(T);

impl<T> Deref for IfAny<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Args + Default> Args for IfAny<T> {
    fn augment_args(command: Command) -> Command {
        if PLAIN.get() { command } else { T::augment_args(command) }
    }

    fn augment_args_for_update(command: Command) -> Command {
        IfAny::<T>::augment_args(command)
    }
}

impl<T: FromArgMatches + Default> FromArgMatches for IfAny<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<IfAny<T>, clap::Error> {
        if PLAIN.get() { Ok(IfAny::default()) } else { T::from_arg_matches(matches).map(IfAny) }
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<IfAny<T>, clap::Error> {
        if PLAIN.get() { Ok(IfAny::default()) } else { T::from_arg_matches_mut(matches).map(IfAny) }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        if PLAIN.get() { Ok(()) } else { self.0.update_from_arg_matches(matches) }
    }
}

/// Whether this run describes commands: what is added later stands after the flags of all commands,
/// and in a description they come last.
fn is_described() -> bool {
    static DESCRIBED: OnceLock<bool> = OnceLock::new();
    let words = ["-h", "--help", "help", "man", "completions"];
    *DESCRIBED.get_or_init(|| std::env::args_os().any(|arg| words.iter().any(|word| arg == *word)))
}

/// Adds the flags. What has been said of the command where the commands are listed stands.
fn describe<T: Args>(said: Command) -> Command {
    let about = said.get_about().cloned();
    let long_about = said.get_long_about().cloned();
    let after = said.get_after_help().cloned();
    let long_after = said.get_after_long_help().cloned();
    let mut command = T::augment_args(said).long_about(None::<&'static str>);
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long_about) = long_about {
        command = command.long_about(long_about);
    }
    if let Some(after) = after {
        command = command.after_help(after);
    }
    if let Some(long_after) = long_after {
        command = command.after_long_help(long_after);
    }
    command
}

impl<T: FromArgMatches> FromArgMatches for Later<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Later<T>, clap::Error> {
        T::from_arg_matches(matches).map(Box::new).map(Later)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Later<T>, clap::Error> {
        T::from_arg_matches_mut(matches).map(Box::new).map(Later)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tcp_client;
    use crate::flags::output::Output;

    /// What flags are by default is said twice: in their descriptions, and by `Default`.
    fn is_read_alike<T: Args + std::fmt::Debug>(words: &[&str]) {
        let read = || {
            let matches = T::augment_args(Command::new("t")).get_matches_from(words);
            format!("{:?}", T::from_arg_matches(&matches).unwrap())
        };
        assert_eq!(plainly(read), read());
    }

    #[test]
    fn a_line_without_flags_means_the_same_whether_flags_are_known_or_not() {
        is_read_alike::<IfAny<Output>>(&["t"]);
        is_read_alike::<tcp_client::Args>(&["t"]);
        is_read_alike::<tcp_client::Args>(&["t", "localhost", "80"]);
        #[cfg(feature = "http")]
        is_read_alike::<crate::command::http_get::Args>(&["t", "localhost", "localhost/2"]);
    }
}
