//! Habits from other tools: the command line that sockit has for what was typed.

use clap::Arg;

use super::other_tools::{Form, Meaning, Part, Tool};
use super::suggested_line::compose;
use crate::flags::values;
use crate::usage::help;

/// What is known about a line for another tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// A line that does the same.
    Line(String),
    /// sockit cannot do this.
    Absent(&'static str),
}

/// A line for another tool, taken apart.
#[derive(Debug, Default)]
pub struct Request {
    /// The command of sockit that was named, if one was.
    pub command: Option<String>,
    /// What depends on the rest, with its value.
    pub parts: Vec<(Part, String)>,
    /// Flags of sockit that mean the same.
    pub flags: Vec<String>,
    /// Words without a dash.
    pub quoted_args: Vec<String>,
    /// The first thing that sockit has not.
    pub absent: Option<&'static str>,
}

/// The tool that the first word names.
pub fn tool(words: &[String]) -> Option<&'static Tool> {
    let first = words.get(1).filter(|first| *first != "busybox").or(words.get(2))?;
    Tool::named(first)
}

/// The sockit line for one of another tool (`nc -l 9999`, `-zv host 80`, `curl -fO URL`), or for a
/// command of sockit with another tool's flags (`tcp-client -z host 80`); `None` where the line
/// makes no sense to that tool either.
pub fn advice(words: &[String]) -> Option<Advice> {
    let first = words.get(1)?;
    let whole = help::built_command();
    let command = whole.find_subcommand(first);
    let (named, tool) = match (tool(words), command) {
        (Some(tool), _) => (words.iter().position(|word| Tool::named(word).is_some())?, tool),
        (None, Some(command)) => (1, Tool::like(command.get_name())?),
        (None, None) => (0, Tool::named("nc")?),
    };
    if let Form::Absent(why) = tool.form {
        return Some(Advice::Absent(why));
    }
    let own = command.or_else(|| whole.find_subcommand(tool.command()));
    let own: Vec<&Arg> = own.into_iter().flat_map(clap::Command::get_arguments).collect();
    let mut request = Request::of(command.map(clap::Command::get_name));
    let mut rest = &words[named + 1..];
    while let Some((word, more)) = rest.split_first() {
        let next = more.first().map(String::as_str);
        let known = own.iter().find(|arg| is(arg, word));
        let used = match known.filter(|_| command.is_some() || !tool.knows(word)) {
            Some(arg) => request.keep(arg, word, next),
            None => request.take(tool, word, next)?,
        };
        rest = &more[usize::from(used && !more.is_empty())..];
    }
    compose(tool.form, request)
}

/// Whether a word is this flag of sockit.
fn is(arg: &Arg, word: &str) -> bool {
    let long = word.strip_prefix("--").and_then(|word| word.split('=').next());
    let short = word.strip_prefix('-').and_then(|rest| rest.parse().ok());
    long.map_or_else(|| short.is_some() && arg.get_short() == short, |l| arg.get_long() == Some(l))
}

impl Request {
    fn of(command: Option<&str>) -> Request {
        let command = command.map(str::to_string);
        let mut request = Request { command, ..Request::default() };
        let name = request.command.clone().unwrap_or_default();
        for (beginning, part) in [("udp", Part::Udp), ("unix", Part::Unix)] {
            if name.starts_with(beginning) {
                request.set(part, "");
            }
        }
        if name.ends_with("-server") || name == "udp-echo" {
            request.set(Part::Listen, "");
        }
        request
    }

    /// Whether the part was asked for.
    pub fn has(&self, part: Part) -> bool {
        self.get(part).is_some()
    }

    /// The value of the part, the last one that was given.
    pub fn get(&self, part: Part) -> Option<&str> {
        self.parts.iter().rfind(|(name, _)| *name == part).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, part: Part, value: &str) {
        self.parts.push((part, value.to_string()));
    }

    /// Keeps a flag of sockit as it is; whether the next word was its value.
    fn keep(&mut self, arg: &Arg, word: &str, next: Option<&str>) -> bool {
        let takes = arg.get_action().takes_values() && !word.contains('=');
        if arg.is_require_equals_set() && takes {
            // Its value may be left out, so that the next word is one only if it can be nothing else.
            let value = next.filter(|next| values::duration(next).is_ok());
            self.flags.push(value.map_or(word.to_string(), |value| format!("{word}={value}")));
            return value.is_some();
        }
        self.flags.push(word.to_string());
        self.flags.extend(next.filter(|_| takes).map(str::to_string));
        takes
    }

    /// Takes one word of `tool`; whether the next one was its value, `None` for an unknown flag.
    fn take(&mut self, tool: &Tool, word: &str, next: Option<&str>) -> Option<bool> {
        let (name, given) = match word.split_once('=') {
            Some((name, value)) if word.starts_with(['-', '+']) => (name, Some(value)),
            _ => (word, None),
        };
        if let Some((meaning, takes)) = tool.meaning(name) {
            let value = if takes { given.or(next)? } else { "" };
            self.apply(meaning, value);
            return Some(takes && given.is_none());
        }
        match word.strip_prefix('-') {
            Some(letters) if !letters.is_empty() => self.cluster(tool, letters, next),
            None if word.starts_with('+') => None,
            _ => {
                self.quoted_args.push(word.to_string());
                Some(false)
            }
        }
    }

    /// Letters in one word, such as `-lvnp`.
    fn cluster(&mut self, tool: &Tool, letters: &str, next: Option<&str>) -> Option<bool> {
        for (at, letter) in letters.char_indices() {
            let rest = &letters[at + letter.len_utf8()..];
            let (meaning, takes) = tool.meaning(&format!("-{letter}"))?;
            if takes {
                self.apply(meaning, if rest.is_empty() { next? } else { rest });
                return Some(rest.is_empty());
            }
            self.apply(meaning, "");
        }
        Some(false)
    }

    fn apply(&mut self, meaning: Meaning, value: &str) {
        match meaning {
            Meaning::Usual => {}
            Meaning::Absent(why) => self.absent = self.absent.or(Some(why)),
            Meaning::Flag(flag) => self.flags.extend(flag.split(' ').map(str::to_string)),
            Meaning::Value(flag) => self.flags.extend([flag.to_string(), value.to_string()]),
            Meaning::Header(name) => {
                self.flags.extend(["--header".to_string(), format!("{name}: {value}")]);
            }
            Meaning::Proxy(scheme) if !value.contains("://") => {
                self.set(Part::Proxy, &format!("{scheme}://{value}"));
            }
            Meaning::Proxy(_) => self.set(Part::Proxy, value),
            Meaning::Word => self.quoted_args.push(value.to_string()),
            Meaning::Part(part) => self.set(part, value),
        }
    }
}

#[cfg(test)]
mod tests;
