//! Relays between a client and a target, both of them here.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::load::{self, Process, TIMEOUT};
use crate::tools::Tool;

/// A relay's process with one connection through it.
struct Relayed {
    relay: Process,
    client: TcpStream,
    target: TcpStream,
}

fn open(tool: &Tool) -> Option<Relayed> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = load::free_port();
    let relay = load::start_relay(tool, port, listener.local_addr().ok()?.port())?;
    let client = load::connect(port)?;
    let (target, _) = listener.accept().ok()?;
    target.set_read_timeout(Some(TIMEOUT)).ok()?;
    target.set_write_timeout(Some(TIMEOUT)).ok()?;
    Some(Relayed { relay, client, target })
}

/// Sends `length` bytes from the client to the target; returns the rate if all have arrived.
fn transfer(mut client: TcpStream, target: &TcpStream, length: u64) -> Option<f64> {
    let began = Instant::now();
    let source = std::thread::spawn(move || {
        let sent = load::send_stream(&mut client, length)?;
        client.shutdown(Shutdown::Write).ok()?;
        Some(sent)
    });
    let sum = load::take_all(target)?;
    let rate = load::rate(&sum, began);
    (Some(&sum) == source.join().ok()?.as_ref()).then_some(rate)
}

/// Measures one connection that sends.
pub fn bulk(tool: &Tool, length: u64) -> Option<f64> {
    let relayed = open(tool)?;
    transfer(relayed.client, &relayed.target, length)
}

/// Measures how much one connection sends per second of the relay's processor time.
pub fn bulk_per_cpu_second(tool: &Tool, length: u64) -> Option<f64> {
    let Relayed { relay, client, target } = open(tool)?;
    transfer(client, &target, length)?;
    drop(target);
    Some(length as f64 / (1 << 20) as f64 / cpu_seconds(relay.id())?)
}

/// Returns the processor time of a process and of its children, after these have ended
/// (proc_pid_stat(5), fields 14 to 17).
fn cpu_seconds(pid: u32) -> Option<f64> {
    let until = Instant::now() + Duration::from_secs(5);
    while !std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?.is_empty() {
        if Instant::now() > until {
            return None;
        }
        std::thread::yield_now();
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok());
    Some(times.sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Measures round trips of 64 bytes over one connection.
pub fn trips(tool: &Tool, load_time: Duration) -> Option<f64> {
    let Relayed { relay: _relay, mut client, mut target } = open(tool)?;
    client.set_nodelay(true).ok()?;
    target.set_nodelay(true).ok()?;
    std::thread::spawn(move || {
        let mut piece = [0; 64];
        while target.read_exact(&mut piece).is_ok() && target.write_all(&piece).is_ok() {}
    });
    load::count_trips(&mut client, load_time)
}
