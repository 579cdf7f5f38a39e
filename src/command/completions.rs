//! `completions`: prints the completion script of a shell.

use clap::Command;
use clap_complete::Shell;

use crate::error::{ExitCode, Failure};
use crate::net::stdout::Stdout;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell to complete for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

impl Args {
    /// Writes the completion script for `cli` to stdout; fails with code 23 when that fails.
    pub fn run(self, cli: Command) -> Result<ExitCode, Failure> {
        Stdout::standard().write_document(&script(self.shell, cli))?;
        Ok(ExitCode::Done)
    }
}

fn script(shell: Shell, mut cli: Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli, "sockit", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::command::decorated_command;

    #[test]
    fn script_of_every_shell_has_every_command_and_flag() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, decorated_command())).unwrap();
            for command in decorated_command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
                for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                    assert!(script.contains(flag), "{shell}: {} --{flag}", command.get_name());
                }
            }
        }
    }
}
