//! HTTP CONNECT (RFC 9110 §9.3.6): one request, one header, and then the target's bytes.
//!
//! The header is peeked at before it is read, so that early data of the target stays in the receive
//! buffer for the next reader.

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, recv};

use super::LOGIN_HINT;
use super::conn::ProxyConn;
use super::target::Target;
use crate::error::Failure;
use crate::http::head_reader::{HeadReader, HeadStatus};
use crate::http::{Error, Head, Leniency};

const STEP: &str = "CONNECT";
/// Limit of a header, in bytes.
const MAX_HEADER: usize = 64 << 10;
/// Limit of interim responses (1xx).
const MAX_INTERIM: usize = 8;

/// Asks the proxy to connect to `target`.
pub(super) fn connect(
    conn: &mut ProxyConn<'_>,
    target: &Target,
    authorization: Option<String>,
) -> Result<(), Failure> {
    let login = authorization.map(|login| format!("Proxy-Authorization: {login}\r\n"));
    let login = login.unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
    conn.write(STEP, request.as_bytes())?;
    conn.log(format!("> CONNECT {target} HTTP/1.1"));
    if !login.is_empty() {
        conn.log("> Proxy-Authorization: (hidden)");
    }
    for _ in 0..MAX_INTERIM {
        let head = read_head(conn)?;
        conn.log(format!("< HTTP/1.{} {}", head.minor, status(&head)));
        match head.status {
            100..=199 => {}
            200..=299 => return Ok(()),
            _ => return Err(refusal(conn, &head, target)),
        }
    }
    Err(conn.protocol_error(STEP, "too many interim responses"))
}

/// Status code and reason.
fn status(head: &Head) -> String {
    let status = format!("{} {}", head.status, String::from_utf8_lossy(&head.reason));
    status.trim_end().to_string()
}

fn refusal(conn: &ProxyConn<'_>, head: &Head, target: &Target) -> Failure {
    let status = status(head);
    match head.status {
        407 => conn.refused(STEP, &format!("it requires a login: {status}")).with_hint(LOGIN_HINT),
        502..=504 => conn.refused(STEP, &format!("the proxy could not reach {target}: {status}")),
        _ => conn.refused(STEP, &format!("{target} is refused: {status}")),
    }
}

/// Reads one response head with its blank line, and nothing after it.
fn read_head(conn: &mut ProxyConn<'_>) -> Result<Head, Failure> {
    let mut reader = HeadReader::new(MAX_HEADER, Leniency::Strict);
    let mut piece = [0; 4096];
    loop {
        conn.wait(STEP)?;
        let socket = conn.stream.handle.socket();
        let peeked = retry_on_intr(|| recv(socket, &mut piece, RecvFlags::PEEK));
        let (_, count) = peeked.map_err(|error| conn.io_error(STEP, &error.into()))?;
        if count == 0 {
            let why = format!(
                "the proxy closed the connection after {} bytes of its answer",
                reader.bytes_read()
            );
            return Err(conn.protocol_error(STEP, &why));
        }
        let mut rest = &piece[..count];
        let progress = reader.push(&mut rest).map_err(|error| malformed(conn, &error))?;
        let taken = count - rest.len();
        conn.read_exact(STEP, &mut piece[..taken])?;
        match progress {
            HeadStatus::Incomplete => {}
            HeadStatus::Complete(head) => return Ok(head),
            HeadStatus::NotHttp => {
                return Err(conn.protocol_error(STEP, "the answer is not HTTP/1"));
            }
        }
    }
}

fn malformed(conn: &ProxyConn<'_>, error: &Error) -> Failure {
    conn.failure(STEP, &error.text).with_code(error.code)
}
