//! `--send` and `--expect`, in the order in which they are given.

use super::values;
use crate::client::ScriptStep;
use crate::client::pattern::Pattern;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};

/// The flags of a script.
#[derive(Debug, Clone, Default)]
pub struct ScriptFlags {
    /// The steps in order; empty without a script.
    pub steps: Vec<ScriptStep>,
}

impl ScriptFlags {
    /// Whether there is a script.
    pub fn is_given(&self) -> bool {
        !self.steps.is_empty()
    }
}

/// Flags that conflict with a script. `offset` and `count` are named though they require `input`:
/// clap does not check what a flag requires if that conflicts with another flag.
const CONFLICTS: &str = "input offset count prompt half_close recv_only send_only \
                         exit_on_eof input_timeout line_delay";

const SEND_HELP: &str = "Send TEXT (with C escapes such as \\n) and wait for a reply; repeatable";

const EXPECT_HELP: &str =
    "Wait until received data matches REGEX; repeatable, in order with --send";

const REGEX_HELP: &str = "\
REGEX matches UTF-8 text, where . is a character, as well as bytes, where . is any byte and \\xff is \
the byte 0xff.";

impl clap::FromArgMatches for ScriptFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ScriptFlags, clap::Error> {
        let mut script = ScriptFlags::default();
        script.update_from_arg_matches(matches)?;
        Ok(script)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let mut steps: Vec<(usize, ScriptStep)> = Vec::new();
        if let (Some(texts), Some(indices)) =
            (matches.get_many::<Vec<u8>>("send"), matches.indices_of("send"))
        {
            steps.extend(indices.zip(texts.cloned().map(ScriptStep::Send)));
        }
        if let (Some(patterns), Some(indices)) =
            (matches.get_many::<Pattern>("expect"), matches.indices_of("expect"))
        {
            steps.extend(indices.zip(patterns.cloned().map(ScriptStep::Expect)));
        }
        steps.sort_by_key(|(index, _)| *index);
        self.steps = steps.into_iter().map(|(_, step)| step).collect();
        Ok(())
    }
}

impl Args for ScriptFlags {
    fn augment_args(command: Command) -> Command {
        let arg = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name(value)
                .help(help)
                .help_heading("Session")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .conflicts_with_all(CONFLICTS.split(' '))
        };
        command.arg(arg("send", "TEXT", SEND_HELP).value_parser(values::text())).arg(
            arg("expect", "REGEX", EXPECT_HELP)
                .long_help(format!("{EXPECT_HELP}\n\n{REGEX_HELP}"))
                .value_parser(pattern),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        ScriptFlags::augment_args(command)
    }
}

fn pattern(word: &str) -> Result<Pattern, String> {
    word.parse().map_err(|e| format!("'{word}' is not a regular expression: {e}"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        script: ScriptFlags,
    }

    #[test]
    fn steps_are_in_the_order_of_the_arguments() {
        // Flags of the session that conflict with a script.
        let command = CONFLICTS
            .split(' ')
            .fold(Flags::command(), |command, name| command.arg(Arg::new(name).long(name)));
        let words = ["t", "--expect", "a", "--send", "b", "--send", "c", "--expect", "d"];
        let script = ScriptFlags::from_arg_matches(&command.get_matches_from(words)).unwrap();
        let text = |step: &ScriptStep| match step {
            ScriptStep::Send(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            ScriptStep::Expect(pattern) => pattern.text().to_uppercase(),
        };
        assert_eq!(script.steps.iter().map(text).collect::<Vec<_>>(), ["A", "b", "c", "D"]);
    }
}
