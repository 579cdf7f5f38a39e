//! Flags of the service exec: the program to run.

use clap::Args;

use crate::error::{Failure, Phase};
use crate::process::privileges::set_no_new_privs;
use crate::process::program::{Program, prepare_children};

/// Flags of the service exec.
#[derive(Debug, Args)]
#[command(next_help_heading = "Programs (exec)")]
pub struct ExecFlags {
    /// Run COMMAND for each connection or datagram, without a shell (implies --service exec)
    ///
    /// COMMAND is split into words as by a shell, without expansions. The program reads what the
    /// peer sends on stdin, its stdout is the reply, and its stderr is that of sockit. The
    /// environment has the addresses (UCSPI): PROTO, TCPREMOTEIP, TCPREMOTEPORT, TCPLOCALIP,
    /// TCPLOCALPORT and TCPLOCALHOST; UDP… instead of TCP… for datagrams; UNIXREMOTEPID,
    /// UNIXREMOTEUID and UNIXREMOTEGID for Unix sockets; TLSREMOTENAME for a client certificate.
    #[arg(long, value_name = "COMMAND", conflicts_with = "sh", value_hint = clap::ValueHint::CommandString)]
    pub exec: Option<String>,
    /// Run COMMAND for each connection or datagram with /bin/sh (implies --service exec)
    #[arg(long, value_name = "COMMAND", value_hint = clap::ValueHint::CommandString)]
    pub sh: Option<String>,
    /// Honor setuid and setgid bits of programs; ignored without this flag
    #[arg(long)]
    pub allow_new_privileges: bool,
}

impl ExecFlags {
    /// The first of these flags that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        let exec = self.exec.as_ref().map(|_| "--exec");
        exec.or(self.sh.as_ref().map(|_| "--sh"))
    }

    /// The program. This process is prepared for children, and from now on none can gain privileges,
    /// unless that is allowed (`PR_SET_NO_NEW_PRIVS`).
    ///
    /// Fails with code 2 without a command or with unbalanced quotes, with 26 when the program does
    /// not exist.
    pub fn program(&self) -> Result<Program, Failure> {
        if !self.allow_new_privileges {
            set_no_new_privs()?;
        }
        prepare_children()?;
        match (&self.exec, &self.sh) {
            (Some(command), _) => Program::find(split(command)?),
            (None, Some(command)) if command.trim().is_empty() => {
                Err(Failure::usage(Phase::File, "--sh", "the command is empty"))
            }
            (None, Some(command)) => Program::shell(command),
            (None, None) => {
                let why = "needs --exec COMMAND or --sh COMMAND";
                Err(Failure::usage(Phase::File, "--service exec", why))
            }
        }
    }
}

fn split(command: &str) -> Result<Vec<String>, Failure> {
    let words = shlex::split(command)
        .ok_or_else(|| Failure::usage(Phase::File, "--exec", "the quotes are unbalanced"))?;
    if words.is_empty() {
        return Err(Failure::usage(Phase::File, "--exec", "the command is empty"));
    }
    Ok(words)
}
