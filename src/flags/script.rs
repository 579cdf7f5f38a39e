//! `--send` and `--expect`, which keep the order they were given in.

use super::values;
use crate::client::pattern::Pattern;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};

/// One step of a scripted talk.
#[derive(Debug, Clone)]
pub enum Step {
    /// Say these bytes and wait for the reply.
    Send(Vec<u8>),
    /// Wait until what has arrived matches.
    Expect(Pattern),
}

/// The steps, in order; none for a talk that is not scripted.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// What to do, one after the other.
    pub steps: Vec<Step>,
}

/// Flags that mean nothing to a script. `offset` and `count` are named though they need `input`:
/// clap does not insist on what a flag requires where that is in conflict with another.
const OTHERS: [&str; 8] =
    ["input", "offset", "count", "prompt", "half_close", "recv_only", "send_only", "exit_on_eof"];

const EXPECT_HELP: &str = "\
Wait until what has arrived matches; repeatable, in order with --send

REGEX matches UTF-8 text, where . is a character, as well as bytes, where . is any byte and \\xff is \
the byte 0xff.";

impl clap::FromArgMatches for Script {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Script, clap::Error> {
        let mut script = Script::default();
        script.update_from_arg_matches(matches)?;
        Ok(script)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let mut steps: Vec<(usize, Step)> = Vec::new();
        if let (Some(words), Some(places)) =
            (matches.get_many::<Vec<u8>>("send"), matches.indices_of("send"))
        {
            steps.extend(places.zip(words.cloned().map(Step::Send)));
        }
        if let (Some(words), Some(places)) =
            (matches.get_many::<Pattern>("expect"), matches.indices_of("expect"))
        {
            steps.extend(places.zip(words.cloned().map(Step::Expect)));
        }
        steps.sort_by_key(|(place, _)| *place);
        self.steps = steps.into_iter().map(|(_, step)| step).collect();
        Ok(())
    }
}

impl Args for Script {
    fn augment_args(command: Command) -> Command {
        let arg = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name(value)
                .help(help)
                .help_heading("Talking")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .conflicts_with_all(OTHERS)
        };
        command
            .arg(
                arg(
                    "send",
                    "TEXT",
                    "Say TEXT and wait for the reply; repeatable, with C escapes (\\n)",
                )
                .value_parser(values::text()),
            )
            .arg(
                arg(
                    "expect",
                    "REGEX",
                    "Wait until what has arrived matches; repeatable, in order with --send",
                )
                .long_help(EXPECT_HELP)
                .value_parser(pattern),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Script::augment_args(command)
    }
}

fn pattern(word: &str) -> Result<Pattern, String> {
    word.parse().map_err(|e| format!("'{word}' is not a regular expression: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    #[test]
    fn steps_keep_the_order_they_were_given_in() {
        let command = Script::augment_args(Command::new("t")).mut_args(|arg| {
            let name = arg.get_id().to_string();
            Arg::new(name.clone()).long(name).action(ArgAction::Append).value_parser(
                if arg.get_id() == "send" {
                    clap::builder::ValueParser::new(values::text())
                } else {
                    clap::builder::ValueParser::new(pattern)
                },
            )
        });
        let words = ["t", "--expect", "a", "--send", "b", "--send", "c", "--expect", "d"];
        let matches = command.try_get_matches_from(words).unwrap();
        let script = Script::from_arg_matches(&matches).unwrap();
        let shown: Vec<String> = script
            .steps
            .iter()
            .map(|step| match step {
                Step::Send(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Step::Expect(pattern) => pattern.text().to_uppercase(),
            })
            .collect();
        assert_eq!(shown, ["A", "b", "c", "D"]);
    }
}
