//! Names of hosts and services, looked up with their events: numbers need no lookup and have none.

use std::net::SocketAddr;

use super::socket_event::{OnSocketEvent, SocketEvent};
use crate::error::Failure;
use crate::resolver::{self, Deadline, Family};

/// How names are looked up.
#[derive(Clone, Copy)]
pub struct NameLookup<'a> {
    /// Only addresses of this family.
    pub family: Family,
    /// When a lookup ends.
    pub deadline: Deadline<'a>,
    /// Receives the events.
    pub emit: OnSocketEvent<'a>,
}

impl NameLookup<'_> {
    /// The port of `word`, a number or a service of `proto` (`tcp` or `udp`); fails as
    /// [`resolver::port`] does.
    pub fn port(&self, word: &str, proto: &str) -> Result<u16, Failure> {
        let port = resolver::port(word, proto)?;
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            (self.emit)(SocketEvent::FoundPort(port));
        }
        Ok(port)
    }

    /// The addresses of `host` with `port`; fails as [`resolver::addresses`] does.
    pub fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let is_name = !resolver::is_address(host);
        if is_name {
            (self.emit)(SocketEvent::Resolving(host.to_string()));
        }
        let found = resolver::addresses(host, port, self.family, self.deadline);
        (self.emit)(match &found {
            _ if !is_name => SocketEvent::Numeric,
            Ok(found) => SocketEvent::Resolved(host.to_string(), found.clone()),
            Err(failure) => SocketEvent::Unresolved(host.to_string(), failure.cause()),
        });
        found
    }
}
