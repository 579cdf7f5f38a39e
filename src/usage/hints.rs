//! Hints for habits from other tools: the sockit command line for what was typed.

use clap::{Arg, Command};

use super::foreign_args::ForeignArgs;
use super::other_tools::{Operands, Tool};
use super::suggested_line::{Suggestion, compose};

/// The tool that the first argument names.
pub fn tool(args: &[String]) -> Option<&'static Tool> {
    let first = args.get(1).filter(|first| *first != "busybox").or(args.get(2))?;
    Tool::named(first)
}

/// The sockit line for one of another tool (`nc -l 9999`, `-zv host 80`, `curl -fO URL`), or for a
/// command of sockit with another tool's flags (`tcp-client -z host 80`).
///
/// `cli` is sockit with the flags of all its commands. `None` where the tool would reject the line.
pub fn suggest(cli: &Command, args: &[String]) -> Option<Suggestion> {
    let first = args.get(1)?;
    let command = cli.find_subcommand(first);
    let (name_at, tool) = match (tool(args), command) {
        (Some(tool), _) => (args.iter().position(|arg| Tool::named(arg).is_some())?, tool),
        (None, Some(command)) => (1, Tool::like(command.get_name())?),
        (None, None) => (0, Tool::named("nc")?),
    };
    if let Operands::Unsupported(what) = tool.operands {
        return Some(Suggestion::Unsupported(what));
    }
    let flags_of = command.or_else(|| cli.find_subcommand(tool.command()));
    let own: Vec<&Arg> = flags_of.into_iter().flat_map(Command::get_arguments).collect();
    let name = command.map(Command::get_name);
    let parsed = ForeignArgs::parse(tool, name, &own, &args[name_at + 1..]);
    compose(tool.operands, parsed.ok()?)
}

#[cfg(test)]
mod tests;
