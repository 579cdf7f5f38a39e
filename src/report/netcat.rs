//! Events in the words of nc.openbsd, which scripts read, for `sockit nc`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::escape::escape;
use super::event::{ErrorEvent, Event, Side};
use crate::error::{ExitCode, Phase};
use crate::net::socket_event::SocketEvent;
use crate::resolver::{getaddrinfo, run_with_deadline, service_name};

/// How long a name is looked up for an address that is printed.
const NAME_TIMEOUT: Duration = Duration::from_secs(1);

/// What the lines depend on.
#[derive(Debug, Default)]
pub struct NetcatWords {
    /// Whether more than errors is printed (`-v`).
    pub verbose: bool,
    /// Whether addresses are printed without names (`-n`).
    pub numeric: bool,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The host, as the user wrote it.
    pub host: String,
    /// The port, as the user wrote it.
    pub port: String,
    /// Whether nc.openbsd would send the end of stdin and wait, too (`-N`).
    pub sends_end: bool,
    /// Whether a failure to connect was printed, with its address.
    pub has_failed: AtomicBool,
}

impl NetcatWords {
    /// The lines of an event; `None` where nc.openbsd prints nothing.
    pub fn line(&self, event: &Event) -> Option<String> {
        match event {
            Event::Error(error) => self.error(error),
            Event::Log { message } => Some(escape(message).into_owned()),
            _ if !self.verbose => None,
            Event::Listening { local, awaited } => Some(self.listening(local, awaited)),
            Event::Accepted(ends) => {
                let peer = ends.peer.parse().map(|peer| self.host_and_port(peer));
                let peer = peer.unwrap_or_else(|_| escape(&ends.local).into_owned());
                Some(format!("Connection received on {peer}"))
            }
            Event::Connected(ends) => ends.peer.parse().ok().map(|peer| self.succeeded(peer)),
            Event::HalfClosed { by: Side::Local, .. } if !self.sends_end => {
                Some("nc: sent the end of input, waiting for the rest of the answer".to_string())
            }
            Event::Warning { message, .. } => Some(format!("nc: {}", escape(message))),
            _ => None,
        }
    }

    /// The line of a step of connecting.
    pub fn connect_line(&self, event: &SocketEvent) -> Option<String> {
        match event {
            SocketEvent::Failed(address, cause) => self.connect_failed(address.inet()?, cause),
            // A connection has an event of its own.
            SocketEvent::Connected(address) if self.verbose && self.protocol == "udp" => {
                Some(self.succeeded(address.inet()?))
            }
            _ => None,
        }
    }

    fn connect_failed(&self, address: SocketAddr, cause: &str) -> Option<String> {
        self.has_failed.store(true, Ordering::Relaxed);
        self.verbose.then(|| {
            let Self { protocol, .. } = self;
            let (host, port) = (self.host_with_address(address), address.port());
            format!("nc: connect to {host} port {port} ({protocol}) failed: {}", escape(cause))
        })
    }

    fn listening(&self, local: &str, awaited: &str) -> String {
        let name = match local.parse() {
            Ok(address) => self.host_and_port(address),
            Err(_) => escape(local).into_owned(),
        };
        match awaited {
            "datagrams" => format!("Bound on {name}"),
            _ if local.parse::<SocketAddr>().is_err() => {
                format!("Bound on {name}\nListening on {name}")
            }
            _ => format!("Listening on {name}"),
        }
    }

    fn succeeded(&self, peer: SocketAddr) -> String {
        let Self { numeric, protocol, .. } = self;
        let (host, port) = (self.host_with_address(peer), peer.port());
        let service = (!numeric).then(|| service_name(port, protocol)).flatten();
        let service = service.unwrap_or_else(|| "*".to_string());
        format!("Connection to {host} {port} port [{protocol}/{service}] succeeded!")
    }

    fn error(&self, error: &ErrorEvent) -> Option<String> {
        let is_connect = error.phase == Phase::Connect.name();
        let is_silent = !self.verbose && !self.port.is_empty();
        if is_connect && (is_silent || self.has_failed.load(Ordering::Relaxed)) {
            return None;
        }
        let Self { host, port, protocol, .. } = self;
        let (target, cause) = (escape(&error.target), escape(&error.cause));
        let text = if is_connect && port.is_empty() {
            format!("{target}: {cause}")
        } else if is_connect {
            format!("connect to {host} port {port} ({protocol}) failed: {cause}")
        } else if error.phase == Phase::Resolve.name() && target.is_empty() {
            format!("getaddrinfo {cause}")
        } else if error.phase == Phase::Resolve.name() {
            format!("getaddrinfo for host \"{target}\" port {port}: {cause}")
        } else if error.phase == Phase::Port.name() {
            let word = target.split('/').next().unwrap_or_default();
            format!("port number {}: {word}", port_fault(word))
        } else if error.code == ExitCode::Usage.number() {
            [target.as_ref(), cause.as_ref()].join(" ").trim().to_string()
        } else {
            format!("{} {target}: {cause}", error.phase)
        };
        let hint = error.hint.as_ref().filter(|_| error.code == ExitCode::Usage.number());
        let hint = hint.map(|hint| format!("\nhint: {}", escape(hint))).unwrap_or_default();
        Some(format!("nc: {text}{hint}"))
    }

    /// The host as written, with its address if it is a name.
    fn host_with_address(&self, address: SocketAddr) -> String {
        let ip = getaddrinfo::format_ip(&address);
        if self.numeric || self.host == ip || self.host.is_empty() {
            ip
        } else {
            format!("{} ({ip})", escape(&self.host))
        }
    }

    /// The name of an address, if it has one, and its port.
    fn host_and_port(&self, address: SocketAddr) -> String {
        let ip = getaddrinfo::format_ip(&address);
        let is_named = !self.numeric && !address.ip().is_unspecified();
        let deadline = Some(Instant::now() + NAME_TIMEOUT);
        let name = is_named
            .then(|| run_with_deadline(&ip, deadline.into(), move || getaddrinfo::name(address)))
            .and_then(|found| found.ok()?.ok()?)
            .or_else(|| (is_named && address.ip().is_loopback()).then(|| "localhost".to_string()));
        format!("{} {}", name.map_or(ip, |name| escape(&name).into_owned()), address.port())
    }
}

/// What is wrong with the word of a port.
fn port_fault(word: &str) -> &'static str {
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        "invalid"
    } else if word.bytes().all(|byte| byte == b'0') {
        "too small"
    } else {
        "too large"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    fn words(verbose: bool) -> NetcatWords {
        let (host, port) = ("127.0.0.1".to_string(), "9".to_string());
        NetcatWords { verbose, numeric: true, protocol: "tcp", host, port, ..Default::default() }
    }

    #[test]
    fn refused_connection_is_printed_once_and_only_under_v() {
        let refused = Failure::new(Phase::Connect, "127.0.0.1:9", "Connection refused");
        let event = Event::failure(None, &refused);
        assert_eq!(words(false).line(&event), None);
        let words = words(true);
        let line = "nc: connect to 127.0.0.1 port 9 (tcp) failed: Connection refused";
        assert_eq!(words.line(&event).as_deref(), Some(line));
        let address = "127.0.0.1:9".parse().unwrap();
        assert_eq!(words.connect_failed(address, "Connection refused").as_deref(), Some(line));
        assert_eq!(words.line(&event), None);
    }

    #[test]
    fn other_errors_are_printed_without_v() {
        let full = Failure::new(Phase::Stdout, "-", "No space left on device");
        let line = words(false).line(&Event::failure(None, &full));
        assert_eq!(line.as_deref(), Some("nc: stdout -: No space left on device"));
        let unknown = Failure::usage(Phase::Socket, "", "invalid option -- 'K'").with_hint("h");
        let line = words(false).line(&Event::failure(None, &unknown));
        assert_eq!(line.as_deref(), Some("nc: invalid option -- 'K'\nhint: h"));
    }

    #[test]
    fn end_of_stdin_is_printed_where_netcat_would_not_send_it() {
        let event = Event::HalfClosed { conn: 1, by: Side::Local, peer: None };
        let line = words(true).line(&event).unwrap();
        assert!(line.contains("sent the end of input"), "{line}");
        assert_eq!(NetcatWords { sends_end: true, ..words(true) }.line(&event), None);
    }

    #[test]
    fn unix_server_is_bound_and_listening() {
        let listening = Event::Listening { local: "s.sock".into(), awaited: "connection" };
        let line = words(true).line(&listening);
        assert_eq!(line.as_deref(), Some("Bound on s.sock\nListening on s.sock"));
    }
}
