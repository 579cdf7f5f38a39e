//! ICMP errors for datagrams that a socket has sent.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::{Mutex, PoisonError};

#[cfg(target_os = "linux")]
use socket2::Domain;
use socket2::Socket;

use crate::net::address::Address;

/// ICMP errors kept until they are read; the oldest are discarded first.
const MAX_ICMP_ERRORS: usize = 64;

/// An ICMP error for a datagram we sent, from the error queue of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcmpError {
    /// The destination of the datagram.
    pub peer: Address,
    /// The `errno` of the ICMP message: `ECONNREFUSED`, `EHOSTUNREACH`, … (icmp(7)).
    pub errno: i32,
}

/// The errors that are not read yet. Threads may share it.
#[derive(Debug, Default)]
pub struct IcmpErrors(Mutex<VecDeque<IcmpError>>);

impl IcmpErrors {
    /// The errors that arrived since the last call.
    pub fn take(&self) -> VecDeque<IcmpError> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether `error` of a call on `socket` is an ICMP error of an earlier datagram; it is stored
    /// for [`IcmpErrors::take`] then.
    pub fn store_if_icmp(&self, socket: &Socket, error: &io::Error) -> bool {
        let queued = self.read_error_queue(socket);
        let Some(errno) = error.raw_os_error().filter(|errno| is_icmp_errno(*errno)) else {
            return queued;
        };
        if !queued {
            // Only a connected socket reports ICMP errors without an error queue.
            let Ok(peer) = socket.peer_addr() else { return false };
            self.store(IcmpError { peer: Address::from(&peer), errno });
        }
        true
    }

    #[cfg(target_os = "linux")]
    fn read_error_queue(&self, socket: &Socket) -> bool {
        // A Unix socket has no error queue: MSG_ERRQUEUE would return a datagram.
        if socket.domain().is_ok_and(|domain| domain == Domain::UNIX) {
            return false;
        }
        let errors = std::iter::from_fn(|| super::linux::read_icmp_error(socket));
        errors.take(MAX_ICMP_ERRORS).map(|error| self.store(error)).count() > 0
    }

    #[cfg(not(target_os = "linux"))]
    fn read_error_queue(&self, _: &Socket) -> bool {
        false
    }

    fn store(&self, error: IcmpError) {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() >= MAX_ICMP_ERRORS {
            errors.pop_front();
        }
        errors.push_back(error);
    }
}

/// Whether ICMP messages are reported with this number (icmp(7); RFC 1122 §4.1.3.3).
fn is_icmp_errno(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENOPROTOOPT
            | libc::EPROTO
    )
}
