//! SOCKS 5 (RFC 1928), with user and password (RFC 1929), as a client that connects.

use std::net::SocketAddr;

use super::Login;
use super::conn::ProxyConn;
use super::target::Target;
use crate::error::{ExitCode, Failure, Phase};

const VERSION: u8 = 5;
/// RFC 1928 §3: methods of authentication.
const NO_AUTH: u8 = 0;
const PASSWORD: u8 = 2;
const NO_ACCEPTABLE: u8 = 0xff;
/// RFC 1928 §4, §5.
const CONNECT: u8 = 1;
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

const GREETING: &str = "greeting";
const LOGIN: &str = "login";
const REQUEST: &str = "request";

/// Negotiates the authentication, then asks the proxy to connect to `target`.
pub(super) fn connect(
    conn: &mut ProxyConn<'_>,
    target: &Target,
    login: Option<&Login>,
) -> Result<(), Failure> {
    let request = request(target)?;
    match (negotiate_auth(conn, login)?, login) {
        (NO_AUTH, _) => {}
        (PASSWORD, Some(login)) => authenticate(conn, login)?,
        (NO_ACCEPTABLE, Some(_)) => {
            return Err(conn.refused(GREETING, "it accepts neither this login nor none"));
        }
        (NO_ACCEPTABLE, None) => {
            let why = "it requires an authentication, and no login is given";
            let hint = "a login is written socks5://user:password@HOST:PORT";
            return Err(conn.refused(GREETING, why).with_hint(hint));
        }
        (other, _) => {
            let why = format!("it chose method {other}, which was not offered");
            return Err(conn.protocol_error(GREETING, &why));
        }
    }
    conn.write(REQUEST, &request)?;
    conn.log(format!("> SOCKS5 CONNECT {target}"));
    read_reply(conn, target)
}

/// Offers methods of authentication and returns the chosen one (RFC 1928 §3).
fn negotiate_auth(conn: &mut ProxyConn<'_>, login: Option<&Login>) -> Result<u8, Failure> {
    let methods: &[u8] = if login.is_some() { &[NO_AUTH, PASSWORD] } else { &[NO_AUTH] };
    conn.write(GREETING, &[&[VERSION, methods.len() as u8], methods].concat())?;
    conn.log(format!("> SOCKS5 methods {methods:?}"));
    let mut answer = [0; 2];
    conn.read_exact(GREETING, &mut answer[..1])?;
    check_version(conn, GREETING, answer[0])?;
    conn.read_exact(GREETING, &mut answer[1..])?;
    conn.log(format!("< SOCKS5 method {}", answer[1]));
    Ok(answer[1])
}

fn check_version(conn: &ProxyConn<'_>, step: &str, version: u8) -> Result<(), Failure> {
    let wrong = |why: &str| Err(conn.protocol_error(step, why));
    match version {
        VERSION => Ok(()),
        b'H' => Err(conn
            .protocol_error(step, "the answer looks like HTTP")
            .with_hint("an HTTP proxy is written http://HOST:PORT")),
        0 => wrong("the answer is of SOCKS version 4, not 5"),
        other => wrong(&format!("the answer is not SOCKS 5: it begins with 0x{other:02x}")),
    }
}

/// Sends user and password (RFC 1929 §2).
fn authenticate(conn: &mut ProxyConn<'_>, login: &Login) -> Result<(), Failure> {
    let lengths = [login.user.len() as u8, login.password.len() as u8];
    let parts = [&[1, lengths[0]], &login.user[..], &[lengths[1]], &login.password[..]];
    conn.write(LOGIN, &parts.concat())?;
    conn.log("> SOCKS5 login (hidden)");
    let mut answer = [0; 2];
    conn.read_exact(LOGIN, &mut answer)?;
    conn.log(format!("< SOCKS5 login status {}", answer[1]));
    match answer {
        [_, 0] => Ok(()),
        _ => Err(conn.refused(LOGIN, "user and password are not accepted")),
    }
}

/// The request (RFC 1928 §4); a name that is too long is a usage error (2).
fn request(target: &Target) -> Result<Vec<u8>, Failure> {
    let mut request = vec![VERSION, CONNECT, 0];
    match target {
        Target::Name(name, _) => {
            let Ok(length @ 1..) = u8::try_from(name.len()) else {
                let why = "SOCKS takes names of at most 255 bytes";
                return Err(Failure::usage(Phase::Proxy, name, why));
            };
            request.extend([NAME, length]);
            request.extend(name.bytes());
        }
        Target::Address(SocketAddr::V4(at)) => {
            request.push(V4);
            request.extend(at.ip().octets());
        }
        Target::Address(SocketAddr::V6(at)) => {
            request.push(V6);
            request.extend(at.ip().octets());
        }
    }
    request.extend(target.port().to_be_bytes());
    Ok(request)
}

/// Reads the reply (RFC 1928 §6). The bound address is discarded; the target's bytes follow it.
fn read_reply(conn: &mut ProxyConn<'_>, target: &Target) -> Result<(), Failure> {
    let mut head = [0; 4];
    conn.read_exact(REQUEST, &mut head[..2])?;
    check_version(conn, REQUEST, head[0])?;
    conn.log(format!("< SOCKS5 reply {}", head[1]));
    if head[1] != 0 {
        return Err(refusal(conn, head[1], target));
    }
    conn.read_exact(REQUEST, &mut head[2..])?;
    let address = match head[3] {
        V4 => 4,
        V6 => 16,
        NAME => {
            let mut length = [0];
            conn.read_exact(REQUEST, &mut length)?;
            usize::from(length[0])
        }
        other => {
            let why = format!("the reply has an address of unknown type {other}");
            return Err(conn.protocol_error(REQUEST, &why));
        }
    };
    let mut bound = [0; 255 + 2];
    conn.read_exact(REQUEST, &mut bound[..address + 2])
}

/// An unreachable target is code 7, a refusal of the proxy 97.
fn refusal(conn: &ProxyConn<'_>, reply: u8, target: &Target) -> Failure {
    let unreached = |why: &str| {
        conn.failure(REQUEST, &format!("the proxy could not reach {target}: {why}"))
            .with_code(ExitCode::Connect)
    };
    let refused = |why: &str| conn.refused(REQUEST, &format!("{target} is refused: {why}"));
    match reply {
        1 => refused("general failure of the proxy"),
        2 => refused("not allowed by its rules"),
        3 => unreached("network unreachable"),
        4 => unreached("host unreachable"),
        5 => unreached("connection refused"),
        6 => unreached("time to live expired"),
        7 => refused("command not supported"),
        8 => refused("address type not supported"),
        other => refused(&format!("unknown reply {other}")),
    }
}
