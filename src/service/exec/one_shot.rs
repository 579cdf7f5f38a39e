//! A program for each message of a service without streams: the message is its whole input, its
//! whole output the answer.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::ucspi_env;
use crate::net::address::Address;
use crate::process::child::Program;
use crate::shutdown::poll_until;

/// What one read takes.
const PIECE: usize = 16 << 10;

/// Answers messages by a program.
#[derive(Debug)]
pub struct OneShot {
    program: Program,
    host: String,
    limit: Duration,
}

impl OneShot {
    /// Answers by `program`, each run of which may take `limit`.
    pub fn new(program: Program, limit: Duration) -> OneShot {
        OneShot { program, host: super::host(), limit }
    }

    /// The program's answer to `question`, at most `most` bytes; for a program that takes longer
    /// than its limit, or says more, an error.
    pub fn run(
        &self,
        local: &Address,
        peer: &Address,
        question: &[u8],
        most: usize,
    ) -> io::Result<Vec<u8>> {
        let until = Instant::now() + self.limit;
        let mut child = self.program.start(&ucspi_env::of_datagram(local, peer, &self.host))?;
        let (Some(input), Some(output)) = (child.input.take(), child.output.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let answer = exchange(input, output, question, most, until);
        let left = if answer.is_ok() { self.limit } else { Duration::ZERO };
        child.terminate(left, answer.is_err());
        answer
    }

    /// Ends every run that still goes on.
    pub fn close(&self) {
        self.program.kill_all();
    }
}

/// Says the question and hears the answer, whichever the program likes first.
fn exchange(
    input: ChildStdin,
    mut output: ChildStdout,
    mut question: &[u8],
    most: usize,
    until: Instant,
) -> io::Result<Vec<u8>> {
    rustix::io::ioctl_fionbio(&input, true)?;
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut input = (!question.is_empty()).then_some(input);
    let mut answer = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let mut fds = vec![PollFd::new(&output, PollFlags::IN)];
        fds.extend(input.as_ref().map(|input| PollFd::new(input, PollFlags::OUT)));
        if poll_until(&mut fds, Some(until))? == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        let says = !fds[0].revents().is_empty();
        let hears = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if let Some(pipe) = input.as_mut().filter(|_| hears) {
            match pipe.write(question) {
                Ok(n) => question = &question[n..],
                Err(e) if waits(&e) => {}
                // A program need not hear us out to have an answer.
                Err(_) => question = &[],
            }
            if question.is_empty() {
                input = None;
            }
        }
        if says {
            match output.read(&mut piece) {
                Ok(0) => return Ok(answer),
                Ok(n) => answer.extend_from_slice(&piece[..n]),
                Err(e) if waits(&e) => {}
                Err(e) => return Err(e),
            }
        }
        if answer.len() > most {
            let why = format!("the answer has more than {most} bytes");
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
    }
}

fn waits(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, question: &[u8], limit: Duration) -> Result<Vec<u8>, ErrorKind> {
        let answerer = OneShot::new(Program::shell(script).unwrap(), limit);
        let anybody = Address::Unnamed;
        answerer.run(&anybody, &anybody, question, 65_507).map_err(|e| e.kind())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_question_is_the_input_and_the_output_the_answer() {
        assert_eq!(run("cat; echo .", b"hi ", LONG), Ok(b"hi .\n".to_vec()));
        assert_eq!(run("cat", b"", LONG), Ok(Vec::new()));
        assert_eq!(run("echo deaf", &[b'x'; 65_507], LONG), Ok(b"deaf\n".to_vec()));
        let long = vec![b'y'; 65_507];
        assert_eq!(run("echo; cat | tail -c 65506", &long, LONG).map(|a| a.len()), Ok(65_507));
    }

    #[test]
    fn an_answer_too_long_or_too_late_is_none() {
        let endless = run("exec yes", b"?", LONG);
        assert_eq!(endless, Err(ErrorKind::InvalidData));
        let began = Instant::now();
        let late = run("sleep 300", b"?", Duration::from_millis(50));
        assert_eq!(late, Err(ErrorKind::TimedOut));
        assert!(began.elapsed() < LONG);
    }
}
