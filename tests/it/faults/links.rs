//! Links that lose, duplicate and reorder packets, or are down for three seconds: two network
//! namespaces with a TUN device each, and threads that copy the packets between them.
//!
//! ```text
//!   server ── near (10.77.0.1) ═══ packets, mangled both ways ═══ far (10.77.0.2) ── client
//! ```

#![allow(unsafe_code)] // unshare(2) for one thread, and the ioctl(2) that makes a TUN device

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::peer;
use crate::support::process::Daemon;
use crate::support::sockit::{Run, Sockit, sockit};

/// The impairments of a link.
#[derive(Clone, Copy)]
struct Impairment {
    /// Percentages of packets that are lost, duplicated, or delayed behind the next one.
    lost: u64,
    doubled: u64,
    late: u64,
    /// The number of packets after which the link is down for `outage`.
    down_after: u64,
    outage: Duration,
}

const LOSSY: Impairment =
    Impairment { lost: 2, doubled: 3, late: 5, down_after: u64::MAX, outage: Duration::ZERO };
const OUTAGE: Impairment =
    Impairment { lost: 0, doubled: 0, late: 0, down_after: 120, outage: Duration::from_secs(3) };

/// The timeout of a run: TCP doubles its retransmission timeout while the link is down.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs `work` on a thread in its own network namespace, whose only link is a TUN device with this
/// address; `None` where the machine allows no namespace. Processes that it starts are in that
/// namespace too.
fn in_network<T: Send + 'static>(
    address: &'static str,
    work: impl FnOnce(File) -> T + Send + 'static,
) -> Option<thread::JoinHandle<T>> {
    let (tx, rx) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let device = network(address);
        let _ = tx.send(device.is_ok());
        work(device.unwrap_or_else(|why| panic!("no network: {why}")))
    });
    rx.recv().is_ok_and(|made| made).then_some(thread)
}

fn network(address: &str) -> io::Result<File> {
    // SAFETY: moves this thread to a new network namespace and touches no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: an ifreq of zeroes is one without a name, and flags are what TUNSETIFF reads.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (at, byte) in request.ifr_name.iter_mut().zip(b"wire") {
        *at = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request outlives the call.
    if unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for words in [
        &["addr", "add", address, "dev", "wire"][..],
        &["link", "set", "wire", "up"],
        &["link", "set", "lo", "up"],
    ] {
        let done = Command::new("ip").args(words).stderr(Stdio::null()).status()?;
        if !done.success() {
            return Err(io::Error::other("ip(8) would not"));
        }
    }
    Ok(device)
}

/// Copies packets in one direction, with impairments, until one end is closed.
fn carry(mut from: File, mut to: File, impairment: Impairment, seed: u64) {
    let mut packet = [0; 2048];
    let (mut delayed, mut random, mut count) = (None::<Vec<u8>>, seed, 0u64);
    let mut down_until = None;
    while let Ok(n) = from.read(&mut packet) {
        count += 1;
        if count == impairment.down_after {
            down_until = Some(Instant::now() + impairment.outage);
        }
        if down_until.is_some_and(|until| Instant::now() < until) {
            continue;
        }
        // xorshift64 (Marsaglia): the same sequence in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let percent = random % 100;
        let Impairment { lost, doubled, late, .. } = impairment;
        match percent {
            percent if percent < lost => {}
            percent if percent < lost + doubled => {
                let _ = to.write_all(&packet[..n]);
                let _ = to.write_all(&packet[..n]);
            }
            percent if percent < lost + doubled + late && delayed.is_none() => {
                delayed = Some(packet[..n].to_vec());
                continue;
            }
            _ => drop(to.write_all(&packet[..n])),
        }
        if let Some(late) = delayed.take() {
            let _ = to.write_all(&late);
        }
    }
}

/// Runs a server and the client of its address over an impaired link; `None` where the machine
/// allows no namespaces.
fn over(
    impairment: Impairment,
    server: Sockit,
    client: impl FnOnce(SocketAddr) -> Sockit + Send + 'static,
) -> Option<Run> {
    peer::program("ip")?;
    let (wire, wires) = std::sync::mpsc::channel::<File>();
    let (address, addresses) = std::sync::mpsc::channel::<SocketAddr>();
    let (done, over) = std::sync::mpsc::channel::<()>();
    let other = wire.clone();
    let near = in_network("10.77.0.1/24", move |device| {
        let _ = wire.send(device);
        let server: Daemon = server.and("--host 10.77.0.1").serve();
        let _ = address.send(server.addr());
        let _ = over.recv();
    });
    let far = near.as_ref().and_then(|_| {
        in_network("10.77.0.2/24", move |device| {
            let _ = other.send(device);
            let server = addresses.recv_timeout(TIMEOUT).expect("the server listens");
            client(server).limit(TIMEOUT).run()
        })
    });
    let Some(far) = far else {
        eprintln!("skipped: network namespaces are not permitted here");
        return None;
    };
    let ends = [wires.recv().ok()?, wires.recv().ok()?];
    let passed = Arc::new(AtomicU64::new(0));
    for (from, to, seed) in [(0, 1, 0x9e37_79b9_7f4a_7c15), (1, 0, 0x2545_f491_4f6c_dd1d)] {
        let (from, to) = (ends[from].try_clone().ok()?, ends[to].try_clone().ok()?);
        let passed = passed.clone();
        thread::spawn(move || {
            carry(from, to, impairment, seed);
            passed.fetch_add(1, Ordering::Relaxed);
        });
    }
    let run = far.join().expect("the client's run");
    let _ = done.send(());
    near.map(thread::JoinHandle::join);
    Some(run)
}

fn noise(size: usize) -> Vec<u8> {
    (0..size as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn is_echoed_completely(impairment: Impairment, server: &str, client: &'static str, size: usize) {
    let bytes = noise(size);
    let input = bytes.clone();
    let run = over(impairment, sockit(server), move |addr| sockit(client).to(addr).stdin(input));
    if let Some(run) = run {
        assert!(run.stdout == bytes, "{server}: {} of {size}, {}", run.stdout.len(), run.stderr);
        run.exits(0);
    }
}

#[test]
fn lossy_link_loses_no_byte() {
    is_echoed_completely(LOSSY, "tcp-server --service echo", "tcp-client", 600_000);
}

#[cfg(feature = "tls")]
#[test]
fn lossy_link_loses_no_byte_of_tls() {
    let server = "tcp-server --tls --service echo";
    is_echoed_completely(LOSSY, server, "tcp-client -q --tls --insecure", 400_000);
}

#[test]
fn link_down_for_three_seconds_loses_no_byte() {
    let client = "tcp-client --idle-timeout 30";
    is_echoed_completely(OUTAGE, "tcp-server --service echo", client, 600_000);
}

#[test]
fn link_down_for_good_exits_28() {
    let down = Impairment { down_after: 60, outage: TIMEOUT, ..OUTAGE };
    let server = sockit("tcp-server --service echo");
    let run = over(down, server, |addr| {
        sockit("tcp-client --idle-timeout 1500ms").to(addr).stdin(noise(600_000))
    });
    let Some(run) = run else { return };
    run.exits(28).fails_at("send");
}

#[test]
fn ping_over_lossy_link_counts_losses() {
    let lossy = Impairment { lost: 10, ..LOSSY };
    let run = over(lossy, sockit("udp-echo --max-rate 0"), |addr| {
        sockit("udp-client --count 300 --interval 2ms --json").to(addr)
    });
    let Some(run) = run else { return };
    run.exits(0);
    let figures: serde_json::Value = serde_json::from_slice(&run.stdout).expect("figures");
    let figure = |name: &str| figures[name].as_u64().expect(name);
    assert_eq!(figure("sent"), 300, "{figures}");
    assert_eq!(figure("received") + figure("lost"), 300, "{figures}");
    assert!(figure("lost") > 10 && figure("duplicates") > 2, "{figures}");
}
