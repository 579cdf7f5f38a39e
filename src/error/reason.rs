//! Which system call a failure comes from, and what usually causes it (`-v`).

use nix::errno::Errno::{self, *};

use super::Phase::{self, *};
use super::{ExitCode, Failure};

/// One row of the table: phases, error number, and the usual cause.
type Row = (&'static [Phase], Errno, &'static str);

/// Phases of a connection, before and after it is established.
const NETWORK: &[Phase] = &[Connect, Send, Receive];
/// Phases of an established connection.
const TRANSFER: &[Phase] = &[Send, Receive];
/// Phases that read or write local files.
const LOCAL: &[Phase] = &[Stdin, Stdout, File];
/// Phases that need a new descriptor.
const OPENING: &[Phase] = &[Socket, Listen, File];

const TABLE: &[Row] = &[
    (OPENING, EMFILE, "the process has as many descriptors as `ulimit -n` allows"),
    (OPENING, ENFILE, "the system has as many open files as it allows"),
    (&[Socket], EAFNOSUPPORT, "this machine has no addresses of this family"),
    (&[Socket], EPERM, "the option needs a capability such as CAP_NET_ADMIN"),
    (&[Socket], ENODEV, "this machine has no such network interface"),
    (
        &[Bind, Listen],
        EADDRINUSE,
        "another program is bound to this address, or to all addresses with this port",
    ),
    (
        &[Bind],
        EACCES,
        "ports below 1024 need root or CAP_NET_BIND_SERVICE, and a path needs a writable directory",
    ),
    (&[Bind], EADDRNOTAVAIL, "no network interface of this machine has this address"),
    (&[Bind], ENOENT, "the directory of the path does not exist"),
    (&[Connect], ECONNREFUSED, "no program listens there, or a firewall rejects connections"),
    (TRANSFER, ECONNREFUSED, "no program receives on the port of the peer"),
    (&[Connect], ETIMEDOUT, "the host is down, or a firewall drops the packets"),
    (TRANSFER, ETIMEDOUT, "the peer or the network to it is down"),
    (NETWORK, EHOSTUNREACH, "no host has this address in its network, or a router reports so"),
    (NETWORK, ENETUNREACH, "the routing table has no route to this address"),
    (&[Connect], EADDRNOTAVAIL, "the address cannot be connected to, or no local port is free"),
    (
        &[Connect, Send],
        EACCES,
        "it is a broadcast address, a firewall rule forbids it, or the path is not writable",
    ),
    (&[Connect, Send], EPERM, "a firewall rule of this machine forbids it"),
    (&[Connect], ENOENT, "no socket has this path: the server does not run"),
    (&[Connect], ENOTSOCK, "the path is not a socket"),
    (&[Connect], EPROTOTYPE, "the socket is one of the other type"),
    (TRANSFER, ECONNRESET, "the peer closed with data unread, was killed, or restarted"),
    (&[Send], EPIPE, "the peer has closed the connection before"),
    (&[Send], EMSGSIZE, "the datagram is longer than UDP (65,507 bytes) or the socket allows"),
    (&[Send], ENOBUFS, "the queue of the network device is full"),
    (&[Shutdown], ENOTCONN, "the peer has reset the connection before"),
    (LOCAL, ENOENT, "no file has this name, or a directory of its path is missing"),
    (LOCAL, EACCES, "the permissions of the file or of a directory do not allow it"),
    (LOCAL, EISDIR, "it is a directory"),
    (LOCAL, ENOSPC, "the disk is full"),
    (LOCAL, EROFS, "the file system is mounted read-only"),
    (LOCAL, EPIPE, "the reader of the pipe has exited"),
    (LOCAL, EBADF, "the descriptor is closed, or not open in this direction"),
];

impl Failure {
    /// Which system call failed, and what usually causes it, in one sentence; `None` where nothing
    /// is known beyond the cause itself.
    pub fn reason(&self) -> Option<String> {
        let Some(errno) = self.errno() else { return self.reason_without_errno() };
        let is_row = |row: &&Row| row.0.contains(&self.phase) && row.1 as i32 == errno;
        let (_, name, cause) = TABLE.iter().find(is_row)?;
        Some(format!("{} failed with {name:?}: {cause}", self.system_call(errno)?))
    }

    fn reason_without_errno(&self) -> Option<String> {
        let reason = match (self.phase, self.code) {
            (Phase::Port, ExitCode::Resolve) => {
                "getaddrinfo(3) failed: the list of services (services(5)) lacks this one"
            }
            // The wait of check ends by a timeout too, whose cause is that of its last attempt.
            (Phase::Connect, ExitCode::Timeout) if self.cause().starts_with("timed out") => {
                "connect(2) has no result: the host is down, or a firewall drops the packets"
            }
            _ => return None,
        };
        Some(reason.to_string())
    }

    fn system_call(&self, errno: i32) -> Option<&'static str> {
        Some(match self.phase {
            Phase::Socket if self.target.starts_with("--") => "setsockopt(2)",
            Phase::Socket => "socket(2)",
            Phase::Bind => "bind(2)",
            Phase::Listen => "listen(2)",
            Phase::Connect => "connect(2)",
            Phase::Send => "send(2)",
            Phase::Receive => "recv(2)",
            Phase::Shutdown => "shutdown(2)",
            Phase::Stdin => "read(2)",
            Phase::Stdout => "write(2)",
            Phase::File if errno == ENOSPC as i32 => "write(2)",
            Phase::File => "open(2)",
            Phase::Resolve | Phase::Port | Phase::Proxy | Phase::Tls => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn reason(phase: Phase, target: &str, errno: i32) -> Option<String> {
        Failure::new(phase, target, io::Error::from_raw_os_error(errno)).reason()
    }

    #[test]
    fn reason_names_the_call_and_the_error_number() {
        let refused = reason(Phase::Connect, "db:1", libc::ECONNREFUSED).unwrap();
        assert!(
            refused.starts_with("connect(2) failed with ECONNREFUSED: no program"),
            "{refused}"
        );
        let option = reason(Phase::Socket, "--mark", libc::EPERM).unwrap();
        assert!(option.starts_with("setsockopt(2) failed with EPERM"), "{option}");
        assert_eq!(reason(Phase::Tls, "db:1", libc::ECONNREFUSED), None);
        assert_eq!(reason(Phase::Connect, "db:1", libc::E2BIG), None);
    }

    #[test]
    fn only_a_connect_without_result_is_a_lost_packet() {
        let limit = std::time::Duration::from_secs(1);
        let lost = Failure::timeout(Phase::Connect, "db:1", limit).reason().unwrap();
        assert!(lost.starts_with("connect(2) has no result"), "{lost}");
        let wait = Failure::new(Phase::Connect, "db:1", "not open after 1s: Connection refused");
        assert_eq!(wait.with_code(ExitCode::Timeout).reason(), None);
    }

    #[test]
    fn every_row_is_one_sentence_and_is_reached() {
        for (phases, errno, cause) in TABLE {
            assert!(!cause.ends_with('.') && cause.len() < 100, "{cause}");
            for phase in *phases {
                let reason = reason(*phase, "x", *errno as i32).unwrap();
                assert!(
                    reason.ends_with(&format!("{errno:?}: {cause}")),
                    "{phase} {errno}: {reason}"
                );
            }
        }
    }
}
