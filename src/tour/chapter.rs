//! Chapters and their steps, parsed from `chapters.txt`: one chapter per tutorial, and one about the
//! relay.
//!
//! Each line of the file is a word and a text. `chapter` and `step` begin one; `needs`, `exits` and
//! `prints` describe the step. In a command line, `{server}` is host and port of the server that was
//! started last and `{port}` its port, `{closed}` a port that refuses connections, `{dir}` the
//! temporary directory.

use super::process::{ProcessEnd, STEP_TIMEOUT, StepResult};

/// One tutorial.
#[derive(Default)]
pub struct Chapter {
    /// The title.
    pub title: &'static str,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// A summary, printed after `Remember:`.
    pub remember: &'static str,
}

/// One step.
#[derive(Default)]
pub struct Step {
    /// What it shows.
    pub title: &'static str,
    /// What is run or stopped.
    pub action: Action,
    /// The expected exit code; not checked for [`Action::Serve`].
    pub code: i32,
    /// Texts that the output must contain.
    pub expected_output: Vec<&'static str>,
    /// What the machine or the build must have; otherwise the step is skipped.
    pub needs: Option<&'static str>,
}

/// The action of a step.
#[derive(Default)]
pub enum Action {
    /// Start a server, which runs on.
    Serve(&'static str),
    /// Run a command until it exits, with the text of a leading `printf 'TEXT' |` on its stdin.
    Run(&'static str),
    /// Wait until the last server exits.
    #[default]
    Wait,
    /// Terminate the last server with SIGTERM.
    Stop,
}

/// All chapters, in their order.
pub fn all() -> Vec<Chapter> {
    let mut chapters = Vec::new();
    for line in include_str!("chapters.txt").lines() {
        let (word, text) = line.split_once(' ').unwrap_or((line, ""));
        match chapters.last_mut() {
            _ if word == "chapter" => chapters.push(Chapter { title: text, ..Chapter::default() }),
            Some(chapter) => chapter.add(word, text),
            None => {}
        }
    }
    chapters
}

impl Chapter {
    fn add(&mut self, word: &str, text: &'static str) {
        match (word, self.steps.last_mut()) {
            ("remember", _) => self.remember = text,
            ("step", _) => self.steps.push(Step { title: text, ..Step::default() }),
            ("needs", Some(step)) => step.needs = Some(text),
            ("serve", Some(step)) => step.action = Action::Serve(text),
            ("run", Some(step)) => step.action = Action::Run(text),
            ("stop", Some(step)) => step.action = Action::Stop,
            ("exits", Some(step)) => step.code = text.parse().unwrap_or_default(),
            ("prints", Some(step)) => step.expected_output.push(text),
            _ => {}
        }
    }
}

impl Step {
    /// How the result differs from the expected one.
    pub fn difference(&self, result: &StepResult) -> Option<String> {
        let is_server = matches!(self.action, Action::Serve(_));
        match result.end {
            ProcessEnd::NotExited => {
                return Some(format!("it did not exit within {} seconds", STEP_TIMEOUT.as_secs()));
            }
            ProcessEnd::Exited(code) if is_server => {
                return Some(format!("the server exited with code {code}"));
            }
            ProcessEnd::Exited(code) if code != self.code => {
                return Some(format!("the exit code is {code} instead of {}", self.code));
            }
            _ => {}
        }
        // The order of stdout and stderr is not defined.
        let missing = self.expected_output.iter().find(|text| !result.output.contains(**text));
        missing.map(|text| format!("'{text}' is missing in the output"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_needs_all_expected_output_and_its_exit_code() {
        let expected_output = vec!["one", "two"];
        let step = Step { code: 7, expected_output, ..Step::default() };
        let fails = |output: &str, end| {
            step.difference(&StepResult { output: output.to_string(), end }).is_some()
        };
        assert!(!fails("one and two", ProcessEnd::Exited(7)));
        assert!(fails("only one", ProcessEnd::Exited(7)));
        assert!(fails("one and two", ProcessEnd::Exited(0)));
        assert!(fails("one and two", ProcessEnd::NotExited));
    }

    #[test]
    fn command_lines_are_valid() {
        let steps = all().into_iter().flat_map(|chapter| chapter.steps);
        for step in steps.filter(|step| step.needs != Some("http")) {
            let (Action::Serve(line) | Action::Run(line)) = step.action else { continue };
            let line = line.split_once(" | ").map_or(line, |(_, line)| line);
            let line = line.replace("{server}", "127.0.0.1 1").replace("{closed}", "1");
            let words = shlex::split(&line.replace("{port}", "1")).unwrap();
            let words = words.into_iter().map(Into::into).collect();
            assert!(crate::command::parse(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn every_line_of_the_file_is_used() {
        let lines = include_str!("chapters.txt").lines().filter(|line| !line.is_empty());
        let parts = |step: &Step| {
            2 + step.expected_output.len()
                + usize::from(step.needs.is_some())
                + usize::from(step.code != 0)
        };
        let used = |chapter: &Chapter| 2 + chapter.steps.iter().map(parts).sum::<usize>();
        assert_eq!(lines.count(), all().iter().map(used).sum::<usize>());
    }
}
