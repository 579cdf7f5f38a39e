//! The two addresses of socat(1), as one line of sockit.

use super::hints::Request;
use super::suggested_line::Words;

/// Types of addresses, and how sockit's line begins; what is at the other end, and its flag.
const TYPES: [(&str, &[&str]); 12] = [
    ("TCP TCP4 TCP6 TCP-CONNECT TCP4-CONNECT TCP6-CONNECT", &["tcp-client"]),
    ("OPENSSL OPENSSL-CONNECT SSL", &["tcp-client", "--tls"]),
    ("UDP UDP4 UDP6 UDP-CONNECT UDP-SENDTO UDP4-SENDTO UDP6-SENDTO", &["udp-client"]),
    ("UNIX UNIX-CONNECT UNIX-CLIENT", &["unix-client"]),
    ("TCP-LISTEN TCP-L TCP4-LISTEN TCP6-LISTEN", &["tcp-server", "--port"]),
    ("OPENSSL-LISTEN SSL-L", &["tcp-server", "--tls", "--port"]),
    ("UDP-LISTEN UDP-L UDP-RECV UDP-RECVFROM UDP4-LISTEN UDP4-RECV", &["udp-server", "--port"]),
    ("UNIX-LISTEN UNIX-L", &["unix-server"]),
    ("EXEC", &["--exec"]),
    ("SYSTEM SHELL", &["--sh"]),
    ("PIPE", &["--service", "echo"]),
    ("- STDIO STDIN STDOUT", &[]),
];

/// An address: its row, what it names, its options.
struct Address<'a> {
    line: &'static [&'static str],
    target: &'a str,
    options: Vec<&'a str>,
}

impl Address<'_> {
    fn read(word: &str) -> Option<Address<'_>> {
        let (kind, rest) = match word.split_once(':') {
            Some((kind, rest)) => (kind, rest),
            None => (word.split(',').next().unwrap_or(word), ""),
        };
        let is_kind = |name: &str| name.eq_ignore_ascii_case(kind);
        let row = TYPES.iter().find(|(names, _)| names.split(' ').any(is_kind))?;
        let mut options = rest.split(',');
        let target = options.next().unwrap_or_default();
        Some(Address { line: row.1, target, options: options.collect() })
    }

    fn is_net(&self) -> bool {
        self.line.first().is_some_and(|word| !word.starts_with("--"))
    }
}

/// The line for a client or server, and what it is joined to.
pub fn words(request: &Request) -> Words {
    let [left, right] = request.quoted_args.as_slice() else { return Err(None) };
    let read = |word| Address::read(word).ok_or(None);
    let (net, other) = match (read(left)?, read(right)?) {
        (left, right) if left.is_net() && right.is_net() => {
            return Err(Some("a relay between two addresses"));
        }
        (left, right) if left.is_net() => (left, right),
        (left, right) => (right, left),
    };
    if !net.is_net() {
        return Err(None);
    }
    let (command, serves) = (net.line[0], net.line[0].ends_with("-server"));
    if !serves && !other.line.is_empty() {
        return Err(Some("a program run by a client"));
    }
    let mut line: Vec<&str> = net.line.to_vec();
    line.push(net.target);
    match (other.line, command) {
        ([], "tcp-server" | "unix-server") => line.extend(["--service", "pipe"]),
        (flags, _) => line.extend(flags),
    }
    line.extend(Some(other.target).filter(|target| !target.is_empty()));
    if serves && command != "udp-server" && !net.options.contains(&"fork") {
        line.push("--once");
    }
    for option in &net.options {
        line.extend(flags(option).ok_or(None)?);
    }
    Ok(line.into_iter().map(str::to_string).collect())
}

/// What an option of a network address means.
fn flags(option: &str) -> Option<Vec<&str>> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    Some(match (name, value) {
        ("fork" | "reuseaddr" | "nodelay" | "pf", _) | ("verify", "" | "1") => Vec::new(),
        ("crnl" | "crlf", _) => vec!["--crlf"],
        ("verify", "0") => vec!["--insecure"],
        ("bind", _) => vec!["--source", value],
        ("cafile", _) => vec!["--ca-file", value],
        ("cert", _) => vec!["--cert", value],
        ("key", _) => vec!["--key", value],
        _ => return None,
    })
}
