//! The sandbox of each command: what a run may reach once it is set up. Clients have none, nor has a
//! run that starts programs.

use std::ffi::OsStr;

use crate::check::{CheckOptions, CheckTarget};
#[cfg(feature = "http")]
use crate::fetch::output::Destination;
#[cfg(feature = "http")]
use crate::fetch::partial_file::target_dir;
use crate::flags::connect::ConnectFlags;
use crate::flags::datagram_service::DatagramServiceFlags;
use crate::flags::relay_address::RelayAddress;
use crate::flags::service::{ServiceFlags, ServiceName};
use crate::net::unix::UnixAddress;
use crate::process::sandbox::{SandboxPolicy, confine};
use crate::report::Report;
use crate::report::event::Level;

/// Enters the sandbox, if there is one, and logs it under `-vv`.
pub fn enter(policy: impl Into<Option<SandboxPolicy>>, report: &Report) {
    let Some(policy) = policy.into() else { return };
    // Names of addresses that are logged come from files and name servers.
    let named = SandboxPolicy { reads: true, connects: true, ..policy.clone() };
    let confined = confine(if report.looks_up_names() { &named } else { &policy });
    report.step_at(Level::Traffic, || confined.to_string());
}

/// resolve, a relay of datagrams, and the base of every other run that connects: name services and
/// trusted roots are read at any time.
pub fn network() -> SandboxPolicy {
    SandboxPolicy { reads: true, connects: true, ..SandboxPolicy::default() }
}

/// check without a program.
pub fn check(options: &CheckOptions) -> SandboxPolicy {
    let is_unix = |target: &CheckTarget| matches!(target, CheckTarget::Unix(_));
    let sends_to_abstract = options.targets.iter().any(is_unix);
    SandboxPolicy { binds: options.source.is_some(), sends_to_abstract, ..network() }
}

/// http-get; none where the access is not certain: a destination is no regular file, or TLS writes its
/// keys to a file of the user.
#[cfg(feature = "http")]
pub fn http_get(destinations: &[Destination], connect: &ConnectFlags) -> Option<SandboxPolicy> {
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        return None;
    }
    let mut writes = Vec::new();
    for destination in destinations {
        if let Destination::File(path) = destination {
            let directory = target_dir(path)?;
            if !writes.contains(&directory) {
                writes.push(directory);
            }
        }
    }
    Some(SandboxPolicy { binds: connect.source.is_some(), writes, ..network() })
}

/// A relay of connections.
pub fn relay(
    listen: &RelayAddress,
    target: &RelayAddress,
    connect: &ConnectFlags,
) -> SandboxPolicy {
    let removes = match listen {
        RelayAddress::Unix(address) => address.directory(),
        RelayAddress::Inet(_) => None,
    };
    let sends_to_abstract = matches!(target, RelayAddress::Unix(UnixAddress::Abstract(_)));
    SandboxPolicy { removes, binds: connect.source.is_some(), sends_to_abstract, ..network() }
}

/// tcp-server; none for programs, and for a directory in which files are saved.
pub fn tcp_server(service: &ServiceFlags) -> Option<SandboxPolicy> {
    match service.name() {
        ServiceName::Exec => None,
        ServiceName::File if service.files.save.is_some() => None,
        // The file is opened for each connection.
        ServiceName::File => Some(SandboxPolicy { reads: true, ..SandboxPolicy::default() }),
        _ => Some(SandboxPolicy::default()),
    }
}

/// unix-server: as tcp-server, and removes its socket file at exit.
pub fn unix_server(service: &ServiceFlags, path: &OsStr) -> Option<SandboxPolicy> {
    let removes = UnixAddress::parse(path).directory();
    Some(SandboxPolicy { removes, ..tcp_server(service)? })
}

/// unix-server for datagrams: replies go to the sender, whose name may be abstract.
pub fn unix_datagram_server(service: &ServiceFlags, path: &OsStr) -> Option<SandboxPolicy> {
    Some(SandboxPolicy { sends_to_abstract: true, ..unix_server(service, path)? })
}

/// udp-server; none for programs.
pub fn udp_server(service: &DatagramServiceFlags) -> Option<SandboxPolicy> {
    (!service.starts_programs()).then(SandboxPolicy::default)
}

/// udp-echo.
pub fn udp_echo() -> SandboxPolicy {
    SandboxPolicy::default()
}
