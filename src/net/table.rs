//! The kernel's own table of TCP sockets, for two questions no system call answers: who has the
//! port we wanted, and whether a peer on this machine only half-closed or is gone altogether.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::unmapped;

/// One line of `/proc/net/tcp` (proc(5)).
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
    inode: u64,
}

/// Whether the other end of the connection `local`–`peer` no longer belongs to any process.
///
/// Both ends of a half-closed connection look alike from here (a FIN came), except when the peer
/// lives on this machine, whose kernel lists its socket too: without an inode once it is closed.
/// `None` for peers elsewhere, and where there is no such table.
pub fn peer_is_gone(local: SocketAddr, peer: SocketAddr) -> Option<bool> {
    if peer.ip() != local.ip() && !peer.ip().is_loopback() {
        return None;
    }
    #[cfg(target_os = "linux")]
    if let Some(gone) = is_known_gone(local, peer) {
        return Some(gone);
    }
    let rows = rows()?;
    let theirs = rows.iter().find(|row| row.local == peer && row.remote == local);
    Some(theirs.is_none_or(|row| row.inode == 0))
}

/// As [`peer_is_gone`], asked of the kernel without a look through its whole table. `None` where
/// it does not answer: one without sock_diag(7) knows of no socket at all, not even of ours.
#[cfg(target_os = "linux")]
fn is_known_gone(local: SocketAddr, peer: SocketAddr) -> Option<bool> {
    use super::diag::find;

    let ours = find(local, peer).ok()??;
    if ours.listens {
        return None;
    }
    let theirs = find(peer, local).ok()?;
    Some(theirs.is_none_or(|theirs| theirs.listens || theirs.inode == 0))
}

/// The process that listens on `port`, as `name (pid N)`, if we may know.
pub fn owner_of_port(port: &str) -> Option<String> {
    let port: u16 = port.parse().ok()?;
    let listener = rows()?.into_iter().find(|row| row.listens && row.local.port() == port)?;
    let wanted = format!("socket:[{}]", listener.inode);
    let pids = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    let pid = pids.into_iter().find(|pid| holds(*pid, &wanted))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim_end()))
}

fn holds(pid: u32, wanted: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted))
}

fn rows() -> Option<Vec<Row>> {
    let tables: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    if tables.is_empty() {
        return None;
    }
    Some(tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(row).collect())
}

fn row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace();
    let local = address(words.nth(1)?)?;
    let remote = address(words.next()?)?;
    let listens = words.next()? == "0A";
    // tx:rx, timer, retransmits, uid and timeout stand between.
    let inode = words.nth(5)?.parse().ok()?;
    Some(Row { local, remote, listens, inode })
}

/// `0100007F:1F90`: the address as 32-bit words in this machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, piece) in bytes.chunks_mut(4).enumerate() {
                piece.copy_from_slice(&word(at * 8)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(unmapped(SocketAddr::new(ip, port)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    #[test]
    fn a_half_closed_peer_is_there_and_a_closed_one_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let ends = (ours.local_addr().unwrap(), ours.peer_addr().unwrap());

        theirs.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peer_is_gone(ends.0, ends.1), Some(false));
        drop(theirs);
        let deadline = Instant::now() + Duration::from_secs(5);
        while peer_is_gone(ends.0, ends.1) != Some(true) {
            assert!(Instant::now() < deadline);
        }
    }

    #[test]
    fn a_line_of_the_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 12345 1 0000000000000000 100 0 0 10 0";
        let row = row(line).unwrap();
        assert_eq!(row.local.port(), 0x1f90);
        assert!(row.listens);
        assert_eq!(row.inode, 12345);
    }
}
