//! A question over TCP, where every reply fits (RFC 7766): a length of two bytes, then the
//! message.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::error::{MalformedResponse, Trouble};
use super::question::{EncodedQuery, Question};
use super::response::{Outcome, Response, read};

/// The most a connection may take when no deadline was given, as TCP's own patience would be
/// minutes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `server` over a connection of its own; all of it within `until`.
pub(super) fn exchange(
    question: &Question,
    query: &EncodedQuery,
    server: SocketAddr,
    until: Option<Instant>,
) -> Result<Response, Trouble> {
    let until = until.unwrap_or_else(|| Instant::now() + PATIENCE);
    let mut stream =
        TcpStream::connect_timeout(&server, remaining(until)?).map_err(Trouble::from)?;
    stream.set_write_timeout(Some(remaining(until)?))?;
    stream.write_all(&framed(&query.bytes)?)?;
    let mut length = [0; 2];
    let got = fill(&mut stream, &mut length, until)?;
    if got < length.len() {
        return Err(MalformedResponse::Closed { got, of: None }.into());
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    let got = fill(&mut stream, &mut message, until)?;
    if got < message.len() {
        return Err(MalformedResponse::Closed { got, of: Some(message.len()) }.into());
    }
    let reply = read(&message, question, query.id)?;
    if reply.found == Outcome::Truncated {
        return Err(MalformedResponse::Truncated.into());
    }
    Ok(reply)
}

/// One write carries length and message, as some servers want it (RFC 7766 §8).
fn framed(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), message].concat())
}

/// Reads until `buffer` is full or the peer ends; how many bytes came. A reset is an end too.
fn fill(stream: &mut TcpStream, buffer: &mut [u8], until: Instant) -> Result<usize, Trouble> {
    let mut got = 0;
    while got < buffer.len() {
        stream.set_read_timeout(Some(remaining(until)?))?;
        match stream.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(got)
}

fn remaining(until: Instant) -> Result<Duration, Trouble> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Trouble::Late) } else { Ok(left) }
}
