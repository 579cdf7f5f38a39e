//! Socket activation and readiness notification of systemd (sd_listen_fds(3), sd_notify(3)).
#![allow(unsafe_code)] // a descriptor that is passed as a number becomes owned

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketType};
use sd_notify::NotifyState;
use socket2::Socket;

use crate::error::{Failure, Phase};

/// The kind of socket that a server needs.
#[derive(Debug, Clone, Copy)]
pub struct SocketKind {
    /// The `FileDescriptorName=` that selects one of several sockets (systemd.socket(5)).
    pub name: &'static str,
    /// Of the internet families, rather than a Unix socket.
    pub inet: bool,
    /// A listening stream socket, rather than a datagram socket.
    pub stream: bool,
}

/// Takes the socket that a service manager passed (sd_listen_fds(3)): the only one, or the one with
/// the wanted name. `None` without socket activation. May be called once.
///
/// Fails at [`Phase::Listen`] with code 45 when the socket is of another kind, or when there are
/// several and none has the name.
pub fn passed_socket(wanted: SocketKind) -> Result<Option<Socket>, Failure> {
    if is_for_another_process() {
        return Ok(None);
    }
    let failed = |why: String| Failure::new(Phase::Listen, "LISTEN_FDS", why);
    let passed: Vec<(i32, String)> = match sd_notify::listen_fds_with_names() {
        Ok(passed) => passed.collect(),
        Err(e) => return Err(failed(e.to_string())),
    };
    let chosen = match passed.as_slice() {
        [] => return Ok(None),
        [only] => only,
        several => several.iter().find(|(_, name)| name == wanted.name).ok_or_else(|| {
            let names: Vec<&str> = several.iter().map(|(_, name)| name.as_str()).collect();
            let why = format!("several sockets were passed ({})", names.join(", "));
            failed(why).with_hint(format!("FileDescriptorName={} selects one", wanted.name))
        })?,
    };
    // SAFETY: by the protocol the descriptor was opened before this process started, and nothing else
    // in it owns the descriptor; LISTEN_PID has been compared with the process id.
    let socket = unsafe { OwnedFd::from_raw_fd(chosen.0) };
    check(&socket, wanted).map_err(|why| failed(format!("{}: {why}", chosen.1)))?;
    let socket = Socket::from(socket);
    socket.set_nonblocking(wanted.stream).map_err(|e| failed(e.to_string()))?;
    Ok(Some(socket))
}

/// Whether the variables of the protocol are meant for another process: LISTEN_PID is absent or has
/// another process id.
fn is_for_another_process() -> bool {
    let Some(pid) = std::env::var_os("LISTEN_PID") else { return true };
    let pid = pid.to_str().and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| pid != std::process::id())
}

fn check(socket: &OwnedFd, wanted: SocketKind) -> Result<(), String> {
    let mismatch = |what: &str| Err(format!("the passed socket is {what}"));
    let Ok(kind) = sockopt::socket_type(socket) else { return mismatch("not a socket") };
    let domain = rustix::net::getsockname(socket).map(|name| name.address_family());
    let inet = matches!(domain, Ok(AddressFamily::INET | AddressFamily::INET6));
    match (kind, wanted.stream) {
        (SocketType::STREAM, true) | (SocketType::DGRAM, false) => {}
        (SocketType::STREAM, false) => return mismatch("a stream socket, not one for datagrams"),
        (SocketType::DGRAM, true) => return mismatch("a datagram socket, not a stream socket"),
        _ => return mismatch("neither for streams nor for datagrams"),
    }
    match (inet, wanted.inet) {
        (true, false) => return mismatch("on an internet address, not on a path"),
        (false, true) => return mismatch("not on an internet address"),
        _ => {}
    }
    if wanted.stream && !sockopt::socket_acceptconn(socket).unwrap_or(false) {
        return mismatch("not listening (Accept=yes is not supported)");
    }
    Ok(())
}

/// Notifies the service manager, if there is one, that the server accepts (sd_notify(3)).
pub fn notify_ready() {
    sd_notify(NotifyState::Ready);
}

/// Notifies the service manager, if there is one, that the server is stopping.
pub fn notify_stopping() {
    sd_notify(NotifyState::Stopping);
}

fn sd_notify(state: NotifyState<'_>) {
    if let Err(e) = sd_notify::notify(&[state]) {
        tracing::debug!(%e, "sd_notify failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: SocketKind = SocketKind { name: "tcp-server", inet: true, stream: true };
    const UDP: SocketKind = SocketKind { name: "udp-server", inet: true, stream: false };
    const UNIX: SocketKind = SocketKind { name: "unix-server", inet: false, stream: true };

    #[test]
    fn passed_socket_must_be_of_the_wanted_kind() {
        let tcp: OwnedFd = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into();
        let udp: OwnedFd = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into();
        let (file, _) = std::io::pipe().unwrap();
        let file: OwnedFd = file.into();
        assert_eq!(check(&tcp, TCP), Ok(()));
        assert_eq!(check(&udp, UDP), Ok(()));
        for (socket, wanted) in
            [(&tcp, UDP), (&tcp, UNIX), (&udp, TCP), (&file, TCP), (&file, UDP), (&udp, UNIX)]
        {
            assert!(check(socket, wanted).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn connected_socket_does_not_listen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(check(&stream.into(), TCP).is_err());
    }
}
