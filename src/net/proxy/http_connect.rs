//! HTTP's CONNECT (RFC 9110 §9.3.6): one request, one header, and then the target's bytes.
//!
//! The header is looked at in the kernel's buffer before it is taken out, so that whatever the
//! target says early stays where the next reader looks for it.

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, recv};

use super::{LOGIN_HINT, ProxyConn, Target};
use crate::error::Failure;
use crate::http::head_reader::{HeadReader, HeadStatus};
use crate::http::{Error, Head, Leniency};

const STEP: &str = "CONNECT";
/// The longest header we read.
const MOST_HEADER: usize = 64 << 10;
/// Interim answers (1xx) before the final one.
const MOST_INTERIM: usize = 8;

/// Has the proxy connect to `target`.
pub(super) fn connect(
    line: &mut ProxyConn<'_, '_>,
    target: &Target,
    authorization: Option<String>,
) -> Result<(), Failure> {
    let login = authorization.map(|login| format!("Proxy-Authorization: {login}\r\n"));
    let login = login.unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
    line.write(STEP, request.as_bytes())?;
    for _ in 0..MOST_INTERIM {
        let head = read_head(line)?;
        match head.status {
            100..=199 => {}
            200..=299 => return Ok(()),
            _ => return Err(refusal(line, &head, target)),
        }
    }
    Err(line.protocol_error(STEP, "interim answers without end"))
}

fn refusal(line: &ProxyConn<'_, '_>, head: &Head, target: &Target) -> Failure {
    let said = format!("{} {}", head.status, String::from_utf8_lossy(&head.reason));
    let said = said.trim_end();
    match head.status {
        407 => line.refused(STEP, &format!("it wants a login: {said}")).with_hint(LOGIN_HINT),
        502..=504 => line.refused(STEP, &format!("the proxy could not reach {target}: {said}")),
        _ => line.refused(STEP, &format!("{target} is refused: {said}")),
    }
}

/// Takes one header, up to and with its blank line, off the connection, and nothing behind it.
fn read_head(line: &mut ProxyConn<'_, '_>) -> Result<Head, Failure> {
    let mut gatherer = HeadReader::new(MOST_HEADER, Leniency::Strict);
    let mut piece = [0; 4096];
    loop {
        line.wait(STEP)?;
        let socket = line.stream.hangup.socket();
        let peeked = retry_on_intr(|| recv(socket, &mut piece, RecvFlags::PEEK));
        let (_, count) = peeked.map_err(|error| line.broken(STEP, &error.into()))?;
        if count == 0 {
            let why = format!("the proxy ended after {} bytes of its answer", gatherer.len());
            return Err(line.protocol_error(STEP, &why));
        }
        let mut rest = &piece[..count];
        let gathered = gatherer.push(&mut rest).map_err(|error| malformed(line, &error))?;
        let taken = count - rest.len();
        line.read_exact(STEP, &mut piece[..taken])?;
        match gathered {
            HeadStatus::Incomplete => {}
            HeadStatus::Complete => {
                return gatherer.finish().map_err(|error| malformed(line, &error));
            }
            HeadStatus::NotHttp => {
                return Err(line.protocol_error(STEP, "the answer is not HTTP/1"));
            }
        }
    }
}

fn malformed(line: &ProxyConn<'_, '_>, error: &Error) -> Failure {
    line.fails(STEP, &error.text).with_code(error.kind.code())
}
