//! Compares sockit with the netcats that are installed, on loopback, in one run:
//!
//! ```console
//! $ cargo bench --bench peers
//! $ cargo bench --bench peers -- relay  # the scenarios whose name contains the word
//! ```
//!
//! Every tool is a child process. Rounds are interleaved (A B C A B C …), so that a change of the
//! machine's load affects all tools; received bytes are hashed; the result is the ratio to sockit
//! within a round. A tool that loses a byte, hangs or fails has no figure.

mod load;
mod relay;
mod rounds;
#[cfg(feature = "tls")]
mod tls;
mod tools;

use std::time::Duration;

use rounds::Table;
use tools::{CLIENTS, ECHO_SERVERS, LISTENERS, RELAYS, UDP_ECHO_SERVERS};

/// Rounds of each scenario.
const ROUNDS: usize = 5;
/// Bytes of a bulk transfer; odd, so that it is no multiple of a buffer size.
const BULK: u64 = (512 << 20) + 4321;
/// Duration of a load.
const LOAD_TIME: Duration = Duration::from_millis(700);

fn main() {
    // `cargo test` runs benches with `--test`; there is nothing to check that the tests do not.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let data = load::file(BULK);
    show("send a file", "MiB/s", CLIENTS, |tool| load::send(tool, &data));
    show("receive into a pipe", "MiB/s", CLIENTS, |tool| load::receive(tool, BULK));
    show("serve a file", "MiB/s", LISTENERS, |tool| load::serve(tool, &data));
    show("echo, 64 bytes there and back", "trips/s", ECHO_SERVERS, |tool| {
        load::trips(tool, LOAD_TIME)
    });
    show("connections", "conn/s", ECHO_SERVERS, |tool| load::connections(tool, LOAD_TIME));
    show("UDP echo, 64 bytes", "trips/s", UDP_ECHO_SERVERS, |tool| {
        load::datagrams(tool, LOAD_TIME)
    });
    show("relay one connection", "MiB/s", RELAYS, |tool| relay::bulk(tool, BULK));
    show("relay per processor time", "MiB/CPU s", RELAYS, |tool| {
        relay::bulk_per_cpu_second(tool, BULK)
    });
    show("relay 64 bytes there and back", "trips/s", RELAYS, |tool| relay::trips(tool, LOAD_TIME));
    show("GET of a large body into a pipe", "MiB/s", tools::GETTERS, |tool| load::get(tool, BULK));
    show("GET of 1 KiB, whole run", "runs/s", tools::GETTERS, |tool| {
        load::small_gets(tool, LOAD_TIME)
    });
    #[cfg(feature = "tls")]
    {
        let sink = tls::Sink::new();
        let send = |tool: &tools::Tool| load::send_tls(tool, &data, &sink);
        show("send a file over TLS", "MiB/s", tools::TLS_CLIENTS, send);
    }
    show("start-up (version or help)", "runs/s", tools::STARTERS, |tool| {
        load::starts(tool, LOAD_TIME)
    });
}

fn show(name: &str, unit: &str, tools: &[tools::Tool], run: impl Fn(&tools::Tool) -> Option<f64>) {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let mut table = Table::new(name, unit);
    for _ in 0..ROUNDS {
        table.begin_round();
        for tool in tools.iter().filter(|tool| tool.is_installed()) {
            table.enter(tool.name, run(tool));
        }
    }
    table.print();
}
