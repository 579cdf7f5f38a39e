//! `chargen`: sends lines of printable characters without end (RFC 864).

use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;

/// The chargen service: sends for as long as the peer reads.
#[derive(Debug)]
pub struct Chargen {
    /// Complete repetitions of the pattern, enough for one write.
    block: Vec<u8>,
}

/// Characters from space to tilde.
const PRINTABLE: usize = 95;
/// Characters in a line, before its CR LF.
const WIDTH: usize = 72;

impl Default for Chargen {
    fn default() -> Chargen {
        let pattern: Vec<u8> = (0..PRINTABLE).flat_map(line).collect();
        Chargen { block: pattern.repeat(9) }
    }
}

/// Line `number` of the pattern: each begins one character later.
fn line(number: usize) -> impl Iterator<Item = u8> {
    let characters = (0..WIDTH).map(move |at| b' ' + ((number + at) % PRINTABLE) as u8);
    characters.chain(*b"\r\n")
}

impl Service for Chargen {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        // A peer that closes ends this with a failed write: the pattern has no other end, and none
        // of it is missed. Only the idle timeout is a failure.
        loop {
            if let Err(failure) = connection.write_all(&self.block) {
                let is_timeout = failure.timed_out();
                return if is_timeout { Err(failure) } else { Ok(connection.ended_by().into()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_that_of_rfc_864() {
        let chargen = Chargen::default();
        let text = std::str::from_utf8(&chargen.block).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert!(lines[0].starts_with(" !\"#$%&'()*+,-./0123456789:;<=>?@ABC"));
        assert!(lines[1].starts_with("!\"#$"));
        assert_eq!(lines[95], lines[0]);
        assert!(lines.iter().all(|line| line.len() == WIDTH));
    }
}
