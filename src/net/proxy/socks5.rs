//! SOCKS 5 (RFC 1928), with user and password (RFC 1929), as a client that connects.

use std::net::IpAddr;

use super::{Credentials, ProxyConn, Target};
use crate::error::{ExitCode, Failure, Phase};

const VERSION: u8 = 5;
/// RFC 1928 §3: methods of authentication.
const OPEN: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_OF_THESE: u8 = 0xff;
/// RFC 1928 §4, §5.
const CONNECT: u8 = 1;
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

const GREETING: &str = "greeting";
const LOGIN: &str = "login";
const REQUEST: &str = "request";

/// Greets the proxy, logs in if it asks, and has it connect to `target`.
pub(super) fn connect(
    line: &mut ProxyConn<'_, '_>,
    target: &Target,
    login: Option<&Credentials>,
) -> Result<(), Failure> {
    let request = request(target)?;
    match negotiate_auth(line, login.is_some())? {
        OPEN => {}
        PASSWORD if login.is_some() => authenticate(line, login)?,
        NONE_OF_THESE if login.is_some() => {
            return Err(line.refused(GREETING, "it takes neither our login nor none"));
        }
        NONE_OF_THESE => {
            let failure = line.refused(GREETING, "it wants an authentication we cannot offer");
            return Err(failure.with_hint("a login is written socks5://user:password@HOST:PORT"));
        }
        other => {
            let why = format!("it chose method {other}, which we did not offer");
            return Err(line.protocol_error(GREETING, &why));
        }
    }
    line.write(REQUEST, &request)?;
    read_reply(line, target)
}

/// RFC 1928 §3: what we offer, and what the proxy takes of it.
fn negotiate_auth(line: &mut ProxyConn<'_, '_>, with_login: bool) -> Result<u8, Failure> {
    match with_login {
        true => line.write(GREETING, &[VERSION, 2, OPEN, PASSWORD])?,
        false => line.write(GREETING, &[VERSION, 1, OPEN])?,
    }
    let mut answer = [0; 2];
    line.read_exact(GREETING, &mut answer[..1])?;
    check_version(line, GREETING, answer[0])?;
    line.read_exact(GREETING, &mut answer[1..])?;
    Ok(answer[1])
}

fn check_version(line: &ProxyConn<'_, '_>, step: &str, version: u8) -> Result<(), Failure> {
    let wrong = |why: &str| Err(line.protocol_error(step, why));
    match version {
        VERSION => Ok(()),
        b'H' => wrong("the answer looks like HTTP").map_err(|failure: Failure| {
            failure.with_hint("an HTTP proxy is written http://HOST:PORT")
        }),
        0 => wrong("the answer is of SOCKS version 4, not 5"),
        other => wrong(&format!("the answer is not SOCKS 5: it begins with 0x{other:02x}")),
    }
}

/// RFC 1929 §2.
fn authenticate(line: &mut ProxyConn<'_, '_>, login: Option<&Credentials>) -> Result<(), Failure> {
    let Some(login) = login else { return Ok(()) };
    let mut message = vec![1, login.user.len() as u8];
    message.extend_from_slice(&login.user);
    message.push(login.password.len() as u8);
    message.extend_from_slice(&login.password);
    line.write(LOGIN, &message)?;
    let mut answer = [0; 2];
    line.read_exact(LOGIN, &mut answer)?;
    match answer {
        [_, 0] => Ok(()),
        _ => Err(line.refused(LOGIN, "user and password are not accepted")),
    }
}

/// RFC 1928 §4; a name that is too long to be asked for is usage (2).
fn request(target: &Target) -> Result<Vec<u8>, Failure> {
    let mut request = vec![VERSION, CONNECT, 0];
    let port = match target {
        Target::Name(name, port) => {
            let Ok(length @ 1..) = u8::try_from(name.len()) else {
                let why = "SOCKS takes names of at most 255 bytes";
                return Err(Failure::usage(Phase::Proxy, name, why));
            };
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(name.as_bytes());
            *port
        }
        Target::Address(at) => {
            match at.ip() {
                IpAddr::V4(ip) => {
                    request.push(V4);
                    request.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    request.push(V6);
                    request.extend_from_slice(&ip.octets());
                }
            }
            at.port()
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// RFC 1928 §6. The bound address is read, because the target's bytes come right behind it, and
/// told to nobody: it is the proxy's own affair.
fn read_reply(line: &mut ProxyConn<'_, '_>, target: &Target) -> Result<(), Failure> {
    let mut head = [0; 4];
    line.read_exact(REQUEST, &mut head[..2])?;
    check_version(line, REQUEST, head[0])?;
    match head[1] {
        0 => {}
        reply => return Err(refusal(line, reply, target)),
    }
    line.read_exact(REQUEST, &mut head[2..])?;
    let address = match head[3] {
        V4 => 4,
        V6 => 16,
        NAME => {
            let mut length = [0];
            line.read_exact(REQUEST, &mut length)?;
            usize::from(length[0])
        }
        other => {
            let why = format!("the reply has an address of unknown type {other}");
            return Err(line.protocol_error(REQUEST, &why));
        }
    };
    let mut bound = [0; 255 + 2];
    line.read_exact(REQUEST, &mut bound[..address + 2])
}

/// A target that could not be reached is code 7, a proxy that does not want to is 97.
fn refusal(line: &ProxyConn<'_, '_>, reply: u8, target: &Target) -> Failure {
    let unreached = |why: &str| {
        line.fails(REQUEST, &format!("the proxy could not reach {target}: {why}"))
            .with_code(ExitCode::Connect)
    };
    let refused = |why: &str| line.refused(REQUEST, &format!("{target} is refused: {why}"));
    match reply {
        1 => refused("general failure of the proxy"),
        2 => refused("not allowed by its rules"),
        3 => unreached("network unreachable"),
        4 => unreached("host unreachable"),
        5 => unreached("connection refused"),
        6 => unreached("time to live expired"),
        7 => refused("it does not know how to connect"),
        8 => refused("it does not know this type of address"),
        other => refused(&format!("reply {other}, which has no meaning")),
    }
}
