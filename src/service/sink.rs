//! The two ends of nothing: `discard` (RFC 863) and `chargen` (RFC 864).

use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::transfer::buffer::Buffer;

/// Takes everything and answers nothing.
pub struct Discard;

impl Service for Discard {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        guest.activity.set_stream();
        let mut buffer = Buffer::small();
        let mut bulk = false;
        loop {
            // Much that comes at once need not even be copied to us.
            let n = match bulk {
                true => guest.skip(buffer.spare())?,
                false => guest.read(buffer.spare())?,
            };
            if n == 0 {
                let by = guest.ended_by();
                guest.close_gracefully()?;
                return Ok(by.into());
            }
            bulk |= n == buffer.spare().len();
            buffer.grow_if_full(n);
        }
    }
}

/// Sends lines of printable characters for as long as the peer takes them.
pub struct Chargen {
    /// As many whole rounds of the pattern as make a good write.
    page: Vec<u8>,
}

/// Characters from space to tilde.
const PRINTABLE: usize = 95;
/// Characters in a line, before its CR LF.
const WIDTH: usize = 72;

impl Default for Chargen {
    fn default() -> Chargen {
        let round: Vec<u8> = (0..PRINTABLE).flat_map(line).collect();
        Chargen { page: round.repeat(9) }
    }
}

/// Line `number` of the pattern: each begins one character further on.
fn line(number: usize) -> impl Iterator<Item = u8> {
    let characters = (0..WIDTH).map(move |at| b' ' + ((number + at) % PRINTABLE) as u8);
    characters.chain(*b"\r\n")
}

impl Service for Chargen {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        // A peer that stops taking ends this with a failed send: there is no other end to it,
        // and nobody is owed the rest of an endless pattern.
        loop {
            if let Err(failure) = guest.write_all(&self.page) {
                let by = if failure.timed_out() { None } else { Some(guest.ended_by()) };
                return by.map(ServiceOutcome::from).ok_or(failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_the_one_of_rfc_864() {
        let chargen = Chargen::default();
        let text = std::str::from_utf8(&chargen.page).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert!(lines[0].starts_with(" !\"#$%&'()*+,-./0123456789:;<=>?@ABC"));
        assert!(lines[1].starts_with("!\"#$"));
        assert_eq!(lines[95], lines[0]);
        assert!(lines.iter().all(|line| line.len() == WIDTH));
    }
}
