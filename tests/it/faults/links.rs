//! Links that lose, double and reorder packets, and die for three seconds: two network namespaces
//! with a TUN device each, and between them a wire of ours that does all that.
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

/// What the wire does.
#[derive(Clone, Copy)]
struct Mischief {
    /// Of a hundred packets so many are lost, doubled, or held back behind the next.
    lost: u64,
    doubled: u64,
    late: u64,
    /// After so many packets nothing passes for a while.
    dies_after: u64,
    outage: Duration,
}

const ROUGH: Mischief =
    Mischief { lost: 2, doubled: 3, late: 5, dies_after: u64::MAX, outage: Duration::ZERO };
const DYING: Mischief =
    Mischief { lost: 0, doubled: 0, late: 0, dies_after: 120, outage: Duration::from_secs(3) };

/// A run has this long: TCP waits longer and longer for a link that is down.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does `work` in a network of its own whose only link is a TUN device with this address; none
/// where the machine lets us make none. What it starts is in that network too.
fn in_a_network<T: Send + 'static>(
    address: &'static str,
    work: impl FnOnce(File) -> T + Send + 'static,
) -> Option<thread::JoinHandle<T>> {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let device = network(address);
        let _ = tell.send(device.is_ok());
        work(device.unwrap_or_else(|why| panic!("no network: {why}")))
    });
    told.recv().is_ok_and(|made| made).then_some(thread)
}

fn network(address: &str) -> io::Result<File> {
    // SAFETY: gives this thread a network of its own, and touches no memory.
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

/// Carries packets from one end to the other, with mischief, until one end is gone.
fn carry(mut from: File, mut to: File, mischief: Mischief, seed: u64) {
    let mut packet = [0; 2048];
    let (mut held, mut dice, mut count) = (None::<Vec<u8>>, seed, 0u64);
    let mut dead_until = None;
    while let Ok(n) = from.read(&mut packet) {
        count += 1;
        if count == mischief.dies_after {
            dead_until = Some(Instant::now() + mischief.outage);
        }
        if dead_until.is_some_and(|until| Instant::now() < until) {
            continue;
        }
        // xorshift64 (Marsaglia): the same dice in every run.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let fate = dice % 100;
        let Mischief { lost, doubled, late, .. } = mischief;
        match fate {
            fate if fate < lost => {}
            fate if fate < lost + doubled => {
                let _ = to.write_all(&packet[..n]);
                let _ = to.write_all(&packet[..n]);
            }
            fate if fate < lost + doubled + late && held.is_none() => {
                held = Some(packet[..n].to_vec());
                continue;
            }
            _ => drop(to.write_all(&packet[..n])),
        }
        if let Some(late) = held.take() {
            let _ = to.write_all(&late);
        }
    }
}

/// Runs `client`, told where the server is, over such a wire; none where there can be none.
fn over(
    mischief: Mischief,
    server: Sockit,
    client: impl FnOnce(SocketAddr) -> Sockit + Send + 'static,
) -> Option<Run> {
    peer::program("ip")?;
    let (wire, wires) = std::sync::mpsc::channel::<File>();
    let (address, addresses) = std::sync::mpsc::channel::<SocketAddr>();
    let (done, over) = std::sync::mpsc::channel::<()>();
    let other = wire.clone();
    let near = in_a_network("10.77.0.1/24", move |device| {
        let _ = wire.send(device);
        let server: Daemon = server.and("--host 10.77.0.1").serve();
        let _ = address.send(server.addr());
        let _ = over.recv();
    });
    let far = near.as_ref().and_then(|_| {
        in_a_network("10.77.0.2/24", move |device| {
            let _ = other.send(device);
            let server = addresses.recv_timeout(PATIENCE).expect("the server listens");
            client(server).limit(PATIENCE).run()
        })
    });
    let Some(far) = far else {
        eprintln!("skipped: this machine lets us make no networks");
        return None;
    };
    let ends = [wires.recv().ok()?, wires.recv().ok()?];
    let passed = Arc::new(AtomicU64::new(0));
    for (from, to, seed) in [(0, 1, 0x9e37_79b9_7f4a_7c15), (1, 0, 0x2545_f491_4f6c_dd1d)] {
        let (from, to) = (ends[from].try_clone().ok()?, ends[to].try_clone().ok()?);
        let passed = passed.clone();
        thread::spawn(move || {
            carry(from, to, mischief, seed);
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

fn comes_back_whole(
    what: &str,
    mischief: Mischief,
    server: &str,
    client: &'static str,
    size: usize,
) {
    let bytes = noise(size);
    let said = bytes.clone();
    let run = over(mischief, sockit(server), move |addr| sockit(client).to(addr).stdin(said));
    if let Some(run) = run {
        assert!(run.stdout == bytes, "{what}: {} of {size}, {}", run.stdout.len(), run.stderr);
        run.exits(0);
    }
}

#[test]
fn a_rough_link_costs_time_and_no_byte() {
    comes_back_whole("tcp", ROUGH, "tcp-server --service echo", "tcp-client", 600_000);
}

#[cfg(feature = "tls")]
#[test]
fn a_rough_link_costs_tls_no_byte() {
    let server = "tcp-server --tls --service echo";
    comes_back_whole("tls", ROUGH, server, "tcp-client -q --tls --insecure", 400_000);
}

#[test]
fn a_link_that_dies_for_three_seconds_is_waited_for() {
    let client = "tcp-client --idle-timeout 30";
    comes_back_whole("dying", DYING, "tcp-server --service echo", client, 600_000);
}

#[test]
fn a_link_that_stays_dead_is_ended_by_the_limits() {
    let dead = Mischief { dies_after: 60, outage: PATIENCE, ..DYING };
    let server = sockit("tcp-server --service echo");
    let run = over(dead, server, |addr| {
        sockit("tcp-client --idle-timeout 1500ms").to(addr).stdin(noise(600_000))
    });
    let Some(run) = run else { return };
    run.exits(28).fails_at("send");
}

#[test]
fn a_ping_counts_what_a_rough_link_did() {
    let rough = Mischief { lost: 10, ..ROUGH };
    let run = over(rough, sockit("udp-echo --max-rate 0"), |addr| {
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
