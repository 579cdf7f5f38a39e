//! Asking the kernel for one TCP socket by its two addresses (sock_diag(7)): the answer costs the
//! same whether the machine has ten sockets or a million.
#![cfg(target_os = "linux")]

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, sendto, socket_with};

/// A socket that the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether it listens: the kernel answers with the listener where the connection is no more.
    pub listens: bool,
    /// Its number; 0 once no process has it.
    pub inode: u32,
}

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// Lengths of `struct nlmsghdr` and `struct inet_diag_req_v2`.
const HEADER: usize = 16;
const REQUEST: usize = 56;
/// Where `idiag_state` and `idiag_inode` of `struct inet_diag_msg` stand, behind the header.
const STATE: usize = HEADER + 1;
const INODE: usize = HEADER + 68;
/// `TCP_LISTEN` of net/tcp_states.h.
const LISTEN: u8 = 10;

/// The TCP socket bound to `local` and connected to `remote`; `None` when there is none.
///
/// Fails where the kernel does not answer such questions.
pub(super) fn find(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Found>> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    let question = question(local, remote);
    sendto(&kernel, &question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    // The kernel has answered before the question's call returns.
    let mut answer = [0; 512];
    let (length, _) = recv(&kernel, &mut answer, RecvFlags::DONTWAIT)?;
    read(&answer[..length])
}

fn question(local: SocketAddr, remote: SocketAddr) -> [u8; HEADER + REQUEST] {
    let mut question = Vec::with_capacity(HEADER + REQUEST);
    // The message's length, its type, NLM_F_REQUEST, then its number and sender: ours is the only.
    question.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    question.extend(BY_FAMILY.to_ne_bytes());
    question.extend(1u16.to_ne_bytes());
    question.extend([0; 8]);
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    question.extend([family as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    // In whatever state.
    question.extend(u32::MAX.to_ne_bytes());
    question.extend(local.port().to_be_bytes());
    question.extend(remote.port().to_be_bytes());
    question.extend(words(local.ip()));
    question.extend(words(remote.ip()));
    question.extend(scope(local).to_ne_bytes());
    // No cookie.
    question.extend([0xff; 8]);
    let mut whole = [0; HEADER + REQUEST];
    whole.copy_from_slice(&question);
    whole
}

/// An address in four words; those of IPv4 leave three empty.
fn words(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let mut words = [0; 16];
            words[..4].copy_from_slice(&ip.octets());
            words
        }
    }
}

fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(address) => address.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

fn read(answer: &[u8]) -> io::Result<Option<Found>> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let kind = answer.get(4..6).ok_or_else(short)?;
    let word = |at: usize| {
        let bytes = answer.get(at..at + 4).ok_or_else(short)?;
        bytes.try_into().map(u32::from_ne_bytes).map_err(|_| short())
    };
    if kind == (libc::NLMSG_ERROR as u16).to_ne_bytes() {
        // The kernel's own errors are negative.
        return match io::Error::from_raw_os_error((word(HEADER)? as i32).wrapping_neg()) {
            e if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            e => Err(e),
        };
    }
    let state = *answer.get(STATE).ok_or_else(short)?;
    Ok(Some(Found { listens: state == LISTEN, inode: word(INODE)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_found_by_its_two_ends_and_nothing_else_is() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (local, peer) = (ours.local_addr().unwrap(), ours.peer_addr().unwrap());
            let found = find(local, peer).unwrap().unwrap();
            assert!(!found.listens && found.inode > 0, "{found:?}");

            // Nobody is connected to itself here.
            assert_eq!(find(local, local).unwrap(), None);
        }
    }

    #[test]
    fn a_short_answer_is_an_error() {
        for length in 0..6 {
            assert!(read(&[0; 88][..length]).is_err());
        }
    }
}
