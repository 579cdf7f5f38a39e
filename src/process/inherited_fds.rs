//! What this process was given at its start besides stdin, stdout and stderr: descriptors that
//! must not reach our children, and sockets a service manager opened for us.
#![allow(unsafe_code)] // descriptors that came as bare numbers become owned here

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketType};
use sd_notify::NotifyState;
use socket2::Socket;

use crate::error::{Failure, Phase};

/// Keeps every descriptor but 0, 1 and 2 from programs that we start: ours are closed on exec
/// anyway, but some may have come from whoever started us.
pub fn set_cloexec_on_inherited() {
    #[cfg(target_os = "linux")]
    // SAFETY: close_range(2) with CLOEXEC changes a flag of descriptors, whoever owns them; none
    // is closed here, and a kernel that does not know it changes nothing.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
    }
}

/// The kind of socket a server can use.
#[derive(Debug, Clone, Copy)]
pub struct SocketKind {
    /// Which of several sockets is meant: its `FileDescriptorName=` (systemd.socket(5)).
    pub name: &'static str,
    /// On an internet address, or on a path.
    pub inet: bool,
    /// A listening stream socket, or one for datagrams.
    pub stream: bool,
}

/// The socket that a service manager passed to us (sd_listen_fds(3)): the only one, or the one
/// with the wanted name. `None` when we were not started so. May be asked once.
///
/// Fails at [`Stage::Listen`] with code 45 when the socket is of another kind, or when there are
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
            failed(why).with_hint(format!("FileDescriptorName={} marks ours", wanted.name))
        })?,
    };
    // SAFETY: by the protocol the descriptor was opened for us before we started, and nothing else
    // in this process owns it; LISTEN_PID has been compared with our process id.
    let socket = unsafe { OwnedFd::from_raw_fd(chosen.0) };
    check(&socket, wanted).map_err(|why| failed(format!("{}: {why}", chosen.1)))?;
    let socket = Socket::from(socket);
    socket.set_nonblocking(wanted.stream).map_err(|e| failed(e.to_string()))?;
    Ok(Some(socket))
}

/// Whether the variables of the protocol are left over from another process: without our number in
/// LISTEN_PID none of them means us.
fn is_for_another_process() -> bool {
    let Some(pid) = std::env::var_os("LISTEN_PID") else { return true };
    let pid = pid.to_str().and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| pid != std::process::id())
}

fn check(socket: &OwnedFd, wanted: SocketKind) -> Result<(), String> {
    let not_ours = |what: &str| Err(format!("the passed socket is {what}"));
    let Ok(kind) = sockopt::socket_type(socket) else { return not_ours("no socket at all") };
    let domain = rustix::net::getsockname(socket).map(|name| name.address_family());
    let inet = matches!(domain, Ok(AddressFamily::INET | AddressFamily::INET6));
    match (kind, wanted.stream) {
        (SocketType::STREAM, true) | (SocketType::DGRAM, false) => {}
        (SocketType::STREAM, false) => return not_ours("a stream socket, not one for datagrams"),
        (SocketType::DGRAM, true) => return not_ours("a datagram socket, not a stream socket"),
        _ => return not_ours("neither for streams nor for datagrams"),
    }
    match (inet, wanted.inet) {
        (true, false) => return not_ours("on an internet address, not on a path"),
        (false, true) => return not_ours("not on an internet address"),
        _ => {}
    }
    if wanted.stream && !sockopt::socket_acceptconn(socket).unwrap_or(false) {
        return not_ours("not listening (Accept=yes is not for us)");
    }
    Ok(())
}

/// Tells the service manager, if there is one, that we serve (sd_notify(3)).
pub fn notify_ready() {
    sd_notify(NotifyState::Ready);
}

/// Tells the service manager, if there is one, that we are about to end.
pub fn notify_stopping() {
    sd_notify(NotifyState::Stopping);
}

fn sd_notify(state: NotifyState<'_>) {
    if let Err(e) = sd_notify::notify(&[state]) {
        tracing::debug!(%e, "the service manager does not hear us");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: SocketKind = SocketKind { name: "tcp-server", inet: true, stream: true };
    const UDP: SocketKind = SocketKind { name: "udp-server", inet: true, stream: false };
    const UNIX: SocketKind = SocketKind { name: "unix-server", inet: false, stream: true };

    #[test]
    fn a_passed_socket_is_taken_for_what_it_is() {
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
    fn a_connected_socket_does_not_listen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(check(&stream.into(), TCP).is_err());
    }
}
