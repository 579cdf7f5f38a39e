//! The process that listens on a TCP port, by the tables in /proc (proc(5)).

use std::fs;

/// Returns the process that listens on `port`, as `name (pid N)`, if /proc shows it.
pub fn owner_of_port(port: &str) -> Option<String> {
    let port: u16 = port.parse().ok()?;
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|table| table.lines().skip(1).find_map(|line| listener(line, port)))?;
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

/// The inode of the socket in this line of the table, if it listens on `port`.
fn listener(line: &str, port: u16) -> Option<u64> {
    let mut words = line.split_whitespace();
    // `0100007F:1F90`: address and port in hexadecimal.
    let (_, local) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    // After tx:rx, timer, retransmits, uid and timeout.
    let inode = words.nth(5)?.parse().ok()?;
    let is_wanted = u16::from_str_radix(local, 16) == Ok(port) && state == "0A";
    is_wanted.then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::listener;

    #[test]
    fn listener_is_found_in_a_line() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 12345 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listener(line, 0x1f90), Some(12345));
        assert_eq!(listener(line, 80), None);
        let connected = line.replace(" 0A ", " 01 ");
        assert_eq!(listener(&connected, 0x1f90), None);
        assert_eq!(listener("", 0x1f90), None);
    }
}
