//! The flags that name a program to run.

use clap::Args;

use crate::error::{Failure, Phase};
use crate::process::child::Program;
use crate::process::privileges::set_no_new_privs;

/// Flags of the service exec.
#[derive(Debug, Args)]
#[command(next_help_heading = "Programs (exec)")]
pub struct ExecFlags {
    /// Run this for each connection or datagram, without a shell; alone, it is the service
    ///
    /// Words are split as a shell would, and nothing else is done to them. What the peer sends is
    /// the program's stdin, its stdout is the answer, our stderr is its stderr. PROTO, TCPREMOTEIP,
    /// TCPREMOTEPORT, TCPLOCALIP, TCPLOCALPORT and TCPLOCALHOST tell it who calls: UDP… instead of
    /// TCP… for datagrams, UNIXREMOTEPID, UNIXREMOTEUID and UNIXREMOTEGID for Unix sockets,
    /// TLSREMOTENAME for a client's certificate.
    #[arg(long, value_name = "COMMAND", conflicts_with = "sh", value_hint = clap::ValueHint::CommandString)]
    pub exec: Option<String>,
    /// Run this for each connection or datagram in /bin/sh; alone, it is the service
    #[arg(long, value_name = "COMMAND", value_hint = clap::ValueHint::CommandString)]
    pub sh: Option<String>,
    /// Let programs gain privileges (setuid bits are ignored otherwise)
    #[arg(long)]
    pub allow_new_privileges: bool,
}

impl ExecFlags {
    /// The first of these flags that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        let exec = self.exec.as_ref().map(|_| "--exec");
        exec.or(self.sh.as_ref().map(|_| "--sh"))
    }

    /// The program that is named; from here on nothing we start can gain privileges, unless that
    /// is allowed.
    ///
    /// Fails with code 2 when there is none or its quotes are unbalanced, with 26 when it does not
    /// exist.
    pub fn program(&self) -> Result<Program, Failure> {
        if !self.allow_new_privileges {
            set_no_new_privs()?;
        }
        match (&self.exec, &self.sh) {
            (Some(command), _) => Program::find(split(command)?),
            (None, Some(command)) if command.trim().is_empty() => {
                Err(Failure::usage(Phase::File, "--sh", "the command is empty"))
            }
            (None, Some(command)) => Program::shell(command),
            (None, None) => {
                let why = "which program? --exec COMMAND or --sh COMMAND says it";
                Err(Failure::usage(Phase::File, "--service exec", why))
            }
        }
    }
}

fn split(command: &str) -> Result<Vec<String>, Failure> {
    let words = shlex::split(command)
        .ok_or_else(|| Failure::usage(Phase::File, "--exec", "the quotes are unbalanced"))?;
    match words.is_empty() {
        true => Err(Failure::usage(Phase::File, "--exec", "the command is empty")),
        false => Ok(words),
    }
}
