//! The arguments of another tool, parsed by that tool's table.

use clap::Arg;

use super::meaning::{Meaning, Setting};
use super::other_tools::{Operands, Tool};
use crate::flags::values;

/// Arguments of another tool, or of a sockit command with another tool's flags among them.
#[derive(Debug, Default)]
pub struct ForeignArgs {
    /// The sockit command, if one was given.
    pub command: Option<String>,
    /// Flags whose translation depends on the other arguments, with their values.
    pub settings: Vec<(Setting, String)>,
    /// Flags already translated, with their values.
    pub flags: Vec<String>,
    /// Arguments that are not flags.
    pub operands: Vec<String>,
    /// A program to start, with `--` before it.
    pub program: Vec<String>,
    /// The first flag that sockit has no equivalent for, in words.
    pub unsupported: Option<&'static str>,
}

impl ForeignArgs {
    /// Parses `args` as those of `tool`; flags of the sockit command `own` are kept as they are.
    ///
    /// Fails with the argument whose flag neither knows, or lacks its value.
    pub fn parse(
        tool: &Tool,
        command: Option<&str>,
        own: &[&Arg],
        args: &[String],
    ) -> Result<ForeignArgs, String> {
        let mut parsed = ForeignArgs::of_command(command);
        let mut rest = args;
        while let Some((arg, more)) = rest.split_first() {
            if arg == "--" {
                if tool.operands == Operands::Wait {
                    parsed.program = rest.to_vec();
                } else {
                    parsed.operands.extend_from_slice(more);
                }
                break;
            }
            let next = more.first().map(String::as_str);
            let known = own.iter().find(|flag| is_flag(flag, arg));
            let known = known.filter(|flag| !takes_number(tool, flag, arg, next));
            let took_next = match known.filter(|_| command.is_some() || !tool.has_flag(arg)) {
                Some(flag) => parsed.keep(flag, arg, next),
                None => parsed.translate(tool, arg, next).ok_or_else(|| arg.clone())?,
            };
            rest = &more[usize::from(took_next && !more.is_empty())..];
        }
        Ok(parsed)
    }

    /// What the name of a sockit command implies.
    fn of_command(command: Option<&str>) -> ForeignArgs {
        let name = command.unwrap_or_default();
        let mut args =
            ForeignArgs { command: command.map(str::to_string), ..ForeignArgs::default() };
        for (prefix, setting) in [("udp", Setting::Udp), ("unix", Setting::Unix)] {
            if name.starts_with(prefix) {
                args.set(setting, "");
            }
        }
        if name == "check" {
            args.set(Setting::Scan, "");
        }
        if args.server().is_some() {
            args.set(Setting::Listen, "");
        }
        args
    }

    /// The sockit command, if it is a server.
    pub fn server(&self) -> Option<&str> {
        let is_server = |name: &&str| name.ends_with("-server") || *name == "udp-echo";
        self.command.as_deref().filter(is_server)
    }

    /// Whether the setting was given.
    pub fn has(&self, setting: Setting) -> bool {
        self.get(setting).is_some()
    }

    /// The last value that the setting was given.
    pub fn get(&self, setting: Setting) -> Option<&str> {
        self.settings.iter().rfind(|(name, _)| *name == setting).map(|(_, value)| value.as_str())
    }

    /// All values that the setting was given.
    pub fn all(&self, setting: Setting) -> impl Iterator<Item = &str> {
        let values = self.settings.iter().filter(move |(name, _)| *name == setting);
        values.map(|(_, value)| value.as_str())
    }

    /// Records a setting and its value, which may be empty.
    pub fn set(&mut self, setting: Setting, value: &str) {
        self.settings.push((setting, value.to_string()));
    }

    /// Keeps a flag of sockit unchanged; returns whether the next argument was its value.
    fn keep(&mut self, flag: &Arg, arg: &str, next: Option<&str>) -> bool {
        let takes_value = flag.get_action().takes_values() && !arg.contains('=');
        if flag.is_require_equals_set() && takes_value {
            // The value is optional: the next argument is one only if it can be nothing else.
            let value = next.filter(|next| values::duration(next).is_ok());
            self.flags.push(value.map_or(arg.to_string(), |value| format!("{arg}={value}")));
            return value.is_some();
        }
        self.flags.push(arg.to_string());
        self.flags.extend(next.filter(|_| takes_value).map(str::to_string));
        takes_value
    }

    /// Translates one argument of `tool`; returns whether the next one was its value, `None` for
    /// an unknown flag.
    fn translate(&mut self, tool: &Tool, arg: &str, next: Option<&str>) -> Option<bool> {
        let (name, attached) = match arg.split_once('=') {
            Some((name, value)) if arg.starts_with(['-', '+']) => (name, Some(value)),
            _ => (arg, None),
        };
        if let Some((meaning, takes_value)) = tool.meaning(name) {
            let value = if takes_value { attached.or(next)? } else { "" };
            self.apply(meaning, value);
            return Some(takes_value && attached.is_none());
        }
        match arg.strip_prefix('-') {
            Some(letters) if !letters.is_empty() => self.translate_cluster(tool, letters, next),
            None if arg.starts_with('+') => None,
            _ => {
                self.operands.push(arg.to_string());
                Some(false)
            }
        }
    }

    /// Translates several short flags in one argument, such as `-lvnp`.
    fn translate_cluster(
        &mut self,
        tool: &Tool,
        letters: &str,
        next: Option<&str>,
    ) -> Option<bool> {
        for (at, letter) in letters.char_indices() {
            let rest = &letters[at + letter.len_utf8()..];
            let (meaning, takes_value) = tool.meaning(&format!("-{letter}"))?;
            if takes_value {
                self.apply(meaning, if rest.is_empty() { next? } else { rest });
                return Some(rest.is_empty());
            }
            self.apply(meaning, "");
        }
        Some(false)
    }

    fn apply(&mut self, meaning: Meaning, value: &str) {
        match meaning {
            Meaning::Ignored => {}
            Meaning::Unsupported(what) => self.unsupported = self.unsupported.or(Some(what)),
            Meaning::Flag(flag) => self.flags.extend(flag.split(' ').map(str::to_string)),
            Meaning::Value(flag) => self.flags.extend([flag.to_string(), value.to_string()]),
            Meaning::Header(name) => {
                self.flags.extend(["--header".to_string(), format!("{name}: {value}")]);
            }
            Meaning::Proxy(scheme) if !value.contains("://") => {
                self.set(Setting::Proxy, &format!("{scheme}://{value}"));
            }
            Meaning::Proxy(_) => self.set(Setting::Proxy, value),
            Meaning::Operand => self.operands.push(value.to_string()),
            Meaning::Setting(setting) => self.set(setting, value),
        }
    }
}

/// Whether the number after `arg` is its value for `tool`, but not for `flag`, which takes none.
fn takes_number(tool: &Tool, flag: &Arg, arg: &str, next: Option<&str>) -> bool {
    let takes_value = tool.meaning(arg).is_some_and(|(_, takes_value)| takes_value);
    !flag.get_action().takes_values()
        && takes_value
        && next.is_some_and(|next| next.parse::<u32>().is_ok())
}

/// Whether `arg` is this flag of sockit, in its short or long form.
fn is_flag(flag: &Arg, arg: &str) -> bool {
    if let Some(long) = arg.strip_prefix("--") {
        return long.split('=').next() == flag.get_long();
    }
    let short: Option<char> = arg.strip_prefix('-').and_then(|rest| rest.parse().ok());
    short.is_some() && flag.get_short() == short
}
