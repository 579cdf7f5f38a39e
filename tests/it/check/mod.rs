//! `check`: the states of targets, waiting, the command that follows, proxies and TLS.

mod command;
mod layers;
mod limits;
mod output;
mod states;
mod table;
mod targets;
mod udp;
mod wait;

use std::net::{SocketAddr, TcpListener};

use crate::support::sockit::{Run, Sockit, sockit};

/// A check of these addresses.
fn check(line: &str, targets: &[SocketAddr]) -> Sockit {
    targets.iter().fold(sockit("check").and(line), |check, target| check.arg(target.to_string()))
}

/// A listener, which accepts nothing but completes handshakes as long as it exists.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a bound address");
    (listener, address)
}

/// The lines of stdout with every duration as `N`.
fn lines(run: &Run) -> Vec<String> {
    let text = run.text();
    let line = |line: &str| match line.split_once(" open ") {
        Some((target, _)) => format!("{target} open N ms"),
        None => line.to_string(),
    };
    text.lines().map(line).collect()
}

/// The JSON objects on stdout.
fn objects(run: &Run) -> Vec<serde_json::Value> {
    let text = run.text();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}
