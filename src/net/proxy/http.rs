//! HTTP's CONNECT (RFC 9110 §9.3.6): one request, one header, and then the target's bytes.
//!
//! The header is looked at in the kernel's buffer before it is taken out, so that whatever the
//! target says early stays where the next reader looks for it.

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{LOGIN_HINT, Line, Target};
use crate::failure::{Code, Failure};

const STEP: &str = "CONNECT";
/// The longest header we read.
const MOST_HEADER: usize = 64 << 10;
/// Interim answers (1xx) before the final one.
const MOST_INTERIM: usize = 8;

/// Has the proxy connect to `target`.
pub(super) fn connect(
    line: &mut Line<'_, '_>,
    target: &Target,
    authorization: Option<String>,
) -> Result<(), Failure> {
    let login = authorization.map(|login| format!("Proxy-Authorization: {login}\r\n"));
    let login = login.unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
    line.say(STEP, request.as_bytes())?;
    for _ in 0..MOST_INTERIM {
        let header = hear_header(line)?;
        let (status, reason) = read_header(&header).map_err(|why| line.garbled(STEP, &why))?;
        match status {
            100..=199 => {}
            200..=299 => return Ok(()),
            _ => return Err(refusal(line, status, &reason, target)),
        }
    }
    Err(line.garbled(STEP, "interim answers without end"))
}

fn refusal(line: &Line<'_, '_>, status: u16, reason: &str, target: &Target) -> Failure {
    let said = format!("{status} {reason}");
    let said = said.trim_end();
    match status {
        407 => line.refused(STEP, &format!("it wants a login: {said}")).with_hint(LOGIN_HINT),
        502..=504 => line.refused(STEP, &format!("the proxy could not reach {target}: {said}")),
        _ => line.refused(STEP, &format!("{target} is refused: {said}")),
    }
}

/// Takes one header, up to and with its blank line, off the connection, and nothing behind it.
fn hear_header(line: &mut Line<'_, '_>) -> Result<Vec<u8>, Failure> {
    let mut header = Vec::new();
    loop {
        line.wait(STEP)?;
        let before = header.len();
        peek(line, &mut header)?;
        if header.len() == before {
            let why = format!("the proxy ended after {before} bytes of its answer");
            return Err(line.garbled(STEP, &why));
        }
        let end = end_of_header(&header);
        header.truncate(end.unwrap_or(header.len()));
        let taken = before..header.len();
        line.hear(STEP, &mut header[taken])?;
        if !b"HTTP/1.".starts_with(&header[..header.len().min(7)]) {
            return Err(line.garbled(STEP, "the answer is not HTTP/1"));
        }
        if end.is_some() {
            return Ok(header);
        }
        if header.len() > MOST_HEADER {
            let why = format!("the answer's header is over {MOST_HEADER} bytes");
            return Err(line.fails(STEP, &why).with_code(Code::Limit));
        }
    }
}

/// Adds what has come to `seen` and leaves it where it is.
fn peek(line: &mut Line<'_, '_>, seen: &mut Vec<u8>) -> Result<(), Failure> {
    let mut piece = [0; 4096];
    let socket = line.stream.hangup.socket();
    loop {
        match recv(socket, &mut piece, RecvFlags::PEEK) {
            Ok((_, n)) => {
                seen.extend_from_slice(&piece[..n]);
                return Ok(());
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(line.broken(STEP, &e.into())),
        }
    }
}

/// Where the header ends: behind the first blank line, whose lines may end in a bare LF.
fn end_of_header(bytes: &[u8]) -> Option<usize> {
    let mut line_is_empty = false;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if line_is_empty => return Some(at + 1),
            b'\n' => line_is_empty = true,
            b'\r' => {}
            _ => line_is_empty = false,
        }
    }
    None
}

/// Status and reason of a whole header (RFC 9112 §4), whose fields must at least look like
/// fields; what they say is of no use to us.
pub fn read_header(header: &[u8]) -> Result<(u16, String), String> {
    let text = String::from_utf8_lossy(header);
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let status_line = lines.next().unwrap_or_default();
    if text.contains('\0') {
        return Err("the header has a NUL in it".to_string());
    }
    if text.replace("\r\n", "\n").contains('\r') {
        return Err("the header has a CR that ends no line".to_string());
    }
    for line in lines.take_while(|line| !line.is_empty()) {
        let name = line.split_once(':').map_or("", |(name, _)| name);
        if !is_token(name) && !line.starts_with([' ', '\t']) {
            return Err(format!("a header line without a name: {line:?}"));
        }
    }
    status(status_line).ok_or_else(|| format!("not a status line: {status_line:?}"))
}

/// Whether `name` can be a field's: letters, digits and a few signs (RFC 9110 §5.6.2).
fn is_token(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(sound)
}

fn status(line: &str) -> Option<(u16, String)> {
    let rest = line.strip_prefix("HTTP/1.")?;
    let rest = rest.strip_prefix(|minor: char| minor.is_ascii_digit())?.strip_prefix(' ')?;
    let (digits, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let plain = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let status = digits.parse().ok().filter(|status| plain && *status >= 100)?;
    Some((status, reason.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn status_lines_are_read_strictly() {
        assert_eq!(read_header(b"HTTP/1.1 200 OK\r\n\r\n"), Ok((200, "OK".into())));
        assert_eq!(read_header(b"HTTP/1.0 407\nA: b\n\n"), Ok((407, "".into())));
        assert_eq!(read_header(b"HTTP/1.2 200\r\nA: b\r\n c\r\n\r\n"), Ok((200, "".into())));
        for bad in [
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1  200\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
            "HTTP/1.1 200 O\0K\r\n\r\n",
            "HTTP/1.1 200 OK\rA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.x 200 OK\r\n\r\n",
        ] {
            assert!(read_header(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_header_ends_at_its_first_blank_line() {
        assert_eq!(end_of_header(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nearly"), Some(25));
        assert_eq!(end_of_header(b"HTTP/1.1 200 OK\n\nearly\n\n"), Some(17));
        assert_eq!(end_of_header(b"HTTP/1.1 200 OK\r\nA: b\r\n\r"), None);
    }

    proptest! {
        #[test]
        fn no_header_brings_the_reader_down(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_header(&bytes);
            prop_assert!(end_of_header(&bytes).is_none_or(|end| end <= bytes.len()));
        }
    }
}
