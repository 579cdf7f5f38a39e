//! `completions`: what a shell needs to complete commands, flags, values and files.

use clap_complete::Shell;

use crate::error::ExitCode;
use crate::net::stdout;
use crate::report::Report;
use crate::usage::help;

/// What the user asks of completions.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

impl Args {
    /// Writes the script on stdout; fails with code 23 when stdout cannot take it.
    pub fn run(self, _: &Report) -> anyhow::Result<ExitCode> {
        stdout::write_document(&script(self.shell))?;
        Ok(ExitCode::Done)
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::full_command(), "sockit", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_learns_every_command_and_flag() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for command in help::full_command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
                for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                    assert!(script.contains(flag), "{shell}: {} --{flag}", command.get_name());
                }
            }
        }
    }
}
