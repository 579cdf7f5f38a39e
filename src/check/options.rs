//! The options of a check.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::target::CheckTarget;
use crate::net::layer::Layer;
use crate::net::route::Route;
use crate::net::socket::SocketOptions;
use crate::resolver::Family;

/// What to check, and how.
#[derive(Debug)]
pub struct CheckOptions {
    /// The targets, in the order of their results.
    pub targets: Vec<CheckTarget>,
    /// The time limit of each attempt at a target: name, connection and layers; `None` is no limit.
    pub timeout: Option<Duration>,
    /// What the run has to reach.
    pub goal: Goal,
    /// The maximum number of concurrent attempts, and of their sockets and threads.
    pub max_jobs: usize,
    /// Address families to use.
    pub family: Family,
    /// The local address; port 0 lets the kernel choose.
    pub source: Option<SocketAddr>,
    /// Options of each socket.
    pub socket: SocketOptions,
    /// Proxy and TLS of the hosts that have one of them.
    pub hosts: HashMap<Arc<str>, HostOptions>,
}

/// How the ports of one host are reached.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Directly, or through a proxy.
    pub route: Route,
    /// The layer whose handshake belongs to the check (TLS).
    pub layer: Option<Arc<dyn Layer>>,
}

/// What a run has to reach.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// How often each target is tried.
    pub repeat: Repeat,
    /// The wanted state of a target.
    pub until: Until,
    /// How many targets must have it.
    pub require: Require,
    /// Which addresses of a target are tried.
    pub addresses: AddressCoverage,
}

/// Which addresses of a target are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressCoverage {
    /// Until one is open.
    FirstOpen,
    /// All of them.
    All,
}

/// How often each target is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// One attempt.
    Once,
    /// Until it has the wanted state.
    Wait {
        /// The time limit of the run; `None` is no limit.
        limit: Option<Duration>,
        /// From the end of an attempt to the next one.
        interval: Duration,
    },
    /// A number of attempts, whose times are measured.
    Count {
        /// The number of attempts.
        times: u32,
        /// From the start of an attempt to the next one.
        interval: Duration,
    },
}

/// The wanted state of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It is open.
    Open,
    /// Nothing accepts connections there.
    Closed,
}

/// How many targets must have the wanted state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// All of them.
    All,
    /// One of them.
    Any,
}

impl CheckOptions {
    /// One attempt at each of `targets`, directly, within 3 seconds each, 32 concurrently.
    pub fn new(targets: Vec<CheckTarget>) -> CheckOptions {
        CheckOptions {
            targets,
            timeout: Some(Duration::from_secs(3)),
            goal: Goal {
                repeat: Repeat::Once,
                until: Until::Open,
                require: Require::All,
                addresses: AddressCoverage::FirstOpen,
            },
            max_jobs: 32,
            family: Family::Any,
            source: None,
            socket: SocketOptions::default(),
            hosts: HashMap::new(),
        }
    }
}
