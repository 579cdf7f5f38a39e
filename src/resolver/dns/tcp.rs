//! DNS over TCP (RFC 7766): a length of two bytes, then the message.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::error::{MalformedResponse, QueryError};
use super::question::EncodedQuery;
use super::response::{Outcome, Response, read};

/// The time limit of an exchange without a deadline; TCP's own limits are minutes.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends `query` over a new connection to `server` and reads the reply, until `deadline`.
pub(super) fn exchange(
    query: &EncodedQuery<'_>,
    server: SocketAddr,
    deadline: Option<Instant>,
) -> Result<Response, QueryError> {
    let deadline = deadline.unwrap_or_else(|| Instant::now() + CONNECTION_TIMEOUT);
    let mut stream = TcpStream::connect_timeout(&server, remaining(deadline)?)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    let length = u16::try_from(query.bytes.len()).map_err(io::Error::other)?;
    // Some servers need length and message in one segment (RFC 7766 §8).
    stream.write_all(&[&length.to_be_bytes(), &query.bytes[..]].concat())?;
    let mut length = [0; 2];
    let received = fill(&mut stream, &mut length, deadline)?;
    if received < length.len() {
        let expected = "2 bytes of length".to_string();
        return Err(MalformedResponse::Closed { received, expected }.into());
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    let received = fill(&mut stream, &mut message, deadline)?;
    if received < message.len() {
        let expected = format!("{} bytes", message.len());
        return Err(MalformedResponse::Closed { received, expected }.into());
    }
    let response = read(&message, query.question, query.id)?;
    if response.outcome == Outcome::Truncated {
        return Err(MalformedResponse::Truncated.into());
    }
    Ok(response)
}

/// Reads until `buffer` is full or the stream ends, and returns the number of bytes. A reset counts as
/// the end of the stream.
fn fill(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> Result<usize, QueryError> {
    let mut received = 0;
    while received < buffer.len() {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut buffer[received..]) {
            Ok(0) => break,
            Ok(n) => received += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(received)
}

fn remaining(deadline: Instant) -> Result<Duration, QueryError> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() { Err(QueryError::TimedOut) } else { Ok(remaining) }
}
