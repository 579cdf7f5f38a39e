//! The process that has a TCP or UDP port, by the tables in /proc (proc(5)).

use std::fs;

use socket2::Type;

/// The state of a TCP socket that listens, and of a UDP socket that is not connected.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// Returns the process that listens on `port`, as `name (pid N)`, if /proc shows it; for datagrams
/// the one with an unconnected socket.
pub fn owner_of_port(port: &str, kind: Type) -> Option<String> {
    let port: u16 = port.parse().ok()?;
    let (tables, state) = if kind == Type::STREAM {
        (["/proc/net/tcp", "/proc/net/tcp6"], LISTEN)
    } else {
        (["/proc/net/udp", "/proc/net/udp6"], UNCONNECTED)
    };
    let inode = tables
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|table| table.lines().skip(1).find_map(|line| inode(line, port, state)))?;
    let wanted = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    let pid = pids.into_iter().find(|pid| has_descriptor(*pid, &wanted))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim_end()))
}

fn has_descriptor(pid: u32, wanted: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted))
}

/// The inode of the socket in this line of the table, if it has `port` and `state`.
fn inode(line: &str, port: u16, wanted: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    // `0100007F:1F90`: address and port in hexadecimal.
    let (_, local) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    // After tx:rx, timer, retransmits, uid and timeout.
    let inode = words.nth(5)?.parse().ok()?;
    let is_wanted = u16::from_str_radix(local, 16) == Ok(port) && state == wanted;
    is_wanted.then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::{LISTEN, UNCONNECTED, inode};

    #[test]
    fn socket_is_found_in_a_line() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 12345 1 0000000000000000 100 0 0 10 0";
        assert_eq!(inode(line, 0x1f90, LISTEN), Some(12345));
        assert_eq!(inode(line, 80, LISTEN), None);
        let connected = line.replace(" 0A ", " 01 ");
        assert_eq!(inode(&connected, 0x1f90, LISTEN), None);
        let datagrams = line.replace(" 0A ", " 07 ");
        assert_eq!(inode(&datagrams, 0x1f90, UNCONNECTED), Some(12345));
        assert_eq!(inode("", 0x1f90, LISTEN), None);
    }
}
