//! Runs a program once per message: the message is its input, its complete output the reply.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::ucspi_env;
use crate::net::address::Address;
use crate::poll::poll_until;
use crate::process::child::Leftover;
use crate::process::program::Program;

/// A program that is run once per message.
#[derive(Debug)]
pub struct OneShot {
    program: Program,
    host: String,
    limits: RunLimits,
}

/// The limits of one run.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// How long the program may run.
    pub timeout: Duration,
    /// Bytes of its longest output.
    pub max_output: usize,
}

impl OneShot {
    /// `program`, each run of which has these limits.
    pub fn new(program: Program, limits: RunLimits) -> OneShot {
        OneShot { program, host: ucspi_env::hostname(), limits }
    }

    /// Runs the program with `message` as its input and returns its output.
    ///
    /// Fails with [`ErrorKind::InvalidData`] when the output is too long, with
    /// [`ErrorKind::TimedOut`] when the program takes longer than its timeout.
    pub fn run(&self, local: &Address, peer: &Address, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut child = self.program.start(&ucspi_env::for_datagram(local, peer, &self.host))?;
        let (Some(input), Some(output)) = (child.input.take(), child.output.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let reply = exchange(input, output, message, self.limits);
        let (grace, leftover) = match reply {
            Ok(_) => (self.limits.timeout, Leftover::Keep),
            Err(_) => (Duration::ZERO, Leftover::Kill),
        };
        child.terminate(grace, leftover);
        reply
    }

    /// Kills the programs that still run.
    pub fn close(&self) {
        self.program.kill_all();
    }
}

/// Writes `message` to the program and reads its output, in the order that the program chooses.
fn exchange(
    input: ChildStdin,
    mut output: ChildStdout,
    mut message: &[u8],
    limits: RunLimits,
) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + limits.timeout;
    rustix::io::ioctl_fionbio(&input, true)?;
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut input = (!message.is_empty()).then_some(input);
    let mut reply = Vec::new();
    loop {
        let mut fds = vec![PollFd::new(&output, PollFlags::IN)];
        fds.extend(input.as_ref().map(|input| PollFd::new(input, PollFlags::OUT)));
        if poll_until(&mut fds, Some(deadline))? == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        let is_readable = !fds[0].revents().is_empty();
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            write_some(&mut input, &mut message);
        }
        if !is_readable {
            continue;
        }
        let room = (limits.max_output + 1 - reply.len()) as u64;
        match output.by_ref().take(room).read_to_end(&mut reply) {
            Ok(_) if reply.len() <= limits.max_output => return Ok(reply),
            Ok(_) => {
                let why = format!("its output has more than {} bytes", limits.max_output);
                return Err(io::Error::new(ErrorKind::InvalidData, why));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

/// Writes a part of `message`; closes the pipe at its end, or when the program does not read it.
fn write_some(input: &mut Option<ChildStdin>, message: &mut &[u8]) {
    let Some(pipe) = input else { return };
    match pipe.write(message) {
        Ok(n) => *message = &message[n..],
        Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
        // A program may reply without reading its input.
        Err(_) => *message = &[],
    }
    if message.is_empty() {
        *input = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, message: &[u8], timeout: Duration) -> Result<Vec<u8>, ErrorKind> {
        let limits = RunLimits { timeout, max_output: 65_507 };
        let program = OneShot::new(Program::shell(script).unwrap(), limits);
        let unnamed = Address::Unnamed;
        program.run(&unnamed, &unnamed, message).map_err(|e| e.kind())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn output_of_the_program_is_the_reply() {
        assert_eq!(run("cat; echo .", b"hi ", LONG), Ok(b"hi .\n".to_vec()));
        assert_eq!(run("cat", b"", LONG), Ok(Vec::new()));
        assert_eq!(run("echo unread", &[b'x'; 65_507], LONG), Ok(b"unread\n".to_vec()));
        let long = vec![b'y'; 65_507];
        assert_eq!(run("echo; cat | tail -c 65506", &long, LONG).map(|a| a.len()), Ok(65_507));
    }

    #[test]
    fn too_much_output_and_timeout_are_errors() {
        let endless = run("exec yes", b"?", LONG);
        assert_eq!(endless, Err(ErrorKind::InvalidData));
        let began = Instant::now();
        let late = run("sleep 300", b"?", Duration::from_millis(50));
        assert_eq!(late, Err(ErrorKind::TimedOut));
        assert!(began.elapsed() < LONG);
    }
}
