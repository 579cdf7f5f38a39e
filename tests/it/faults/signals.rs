//! Thousands of signals, and SIGSTOP and SIGCONT: no byte is lost and no run ends.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::each;
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, Sockit, sockit};
use crate::support::wait_until;

/// The number of pieces, sent one per millisecond, and their size.
const PIECES: usize = 1000;
const PIECE: usize = 4096;

/// Signals that do not end a process, but interrupt its system calls.
const HARMLESS: [Signal; 4] = [Signal::WINCH, Signal::URG, Signal::CHILD, Signal::CONT];

fn signal(pid: u32, signal: Signal) {
    // The process may have ended.
    let _ = kill_process(Pid::from_raw(pid as i32).expect("a process id"), signal);
}

/// Sends a thousand signals, one per millisecond, to each process.
fn send_signals(pids: &[u32]) {
    for n in 0..1000 {
        pids.iter().for_each(|pid| signal(*pid, HARMLESS[n % HARMLESS.len()]));
        thread::sleep(Duration::from_millis(1));
    }
}

fn piece(n: usize) -> Vec<u8> {
    (0..PIECE).map(|at| (at * 7 + n * 13) as u8).collect()
}

fn all() -> Vec<u8> {
    (0..PIECES).flat_map(piece).collect()
}

/// Each kind of session with an echo: its server and its client.
fn echo_sessions(dir: &std::path::Path) -> Vec<(&'static str, Daemon, Sockit)> {
    let path = dir.join("socket");
    let by_tcp = |name, server: &str, client: &str| {
        let server = sockit(server).serve();
        let client = sockit(client).to(server.addr());
        (name, server, client)
    };
    let unix = sockit("unix-server --service echo").arg(&path).serve();
    vec![
        by_tcp("splice", "tcp-server --service echo", "tcp-client"),
        by_tcp("copy", "tcp-server --service echo", "tcp-client --rate 100M/s"),
        by_tcp("program", "tcp-server --exec cat", "tcp-client"),
        #[cfg(feature = "tls")]
        by_tcp("tls", "tcp-server --tls --service echo", "tcp-client -q --tls --insecure"),
        ("unix", unix, sockit("unix-client").arg(&path)),
    ]
}

#[test]
fn thousand_signals_per_second_lose_no_byte() {
    let dir = tempfile::tempdir().expect("a folder");
    let wanted = all();
    let rows: Vec<_> = echo_sessions(dir.path())
        .into_iter()
        .map(|(name, server, client)| (name, server, std::sync::Mutex::new(Some(client))))
        .collect();
    each(&rows, |(name, server, client)| {
        let client = client.lock().expect("one hand").take().expect("one turn");
        let mut client = client.stdin_open().limit(3 * LIMIT).start();
        let pids = [client.pid(), server.pid()];
        thread::scope(|scope| {
            scope.spawn(|| send_signals(&pids));
            for n in 0..PIECES {
                client.write_stdin(piece(n));
                thread::sleep(Duration::from_millis(1));
            }
        });
        client.close_stdin();
        let run = client.wait();
        if run.code == 0 && run.stdout == wanted {
            Ok(())
        } else {
            Err(format!(
                "{name}: {} and {} of {} bytes, {}",
                run.code,
                run.stdout.len(),
                wanted.len(),
                run.stderr
            ))
        }
    });
}

#[test]
fn thousand_signals_per_second_lose_no_datagram() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let client = sockit("udp-client --count 300 --interval 3ms --wait 10s --json");
    let client = client.to(server.addr()).start();
    send_signals(&[client.pid(), server.pid()]);
    let run = client.wait();
    run.exits(0);
    let figures: serde_json::Value = serde_json::from_slice(&run.stdout).expect("figures");
    assert_eq!((&figures["received"], &figures["lost"]), (&300.into(), &0.into()), "{figures}");
    server.stop().exits(0);
}

#[cfg(feature = "http")]
#[test]
fn thousand_signals_per_second_leave_a_download_complete() {
    use crate::support::origin::{Answer, ok, origin};
    let body = "x".repeat(900);
    let web = origin([Answer::Drip(ok(&body), Duration::from_millis(1))]);
    let run = web.get("-q").start();
    send_signals(&[run.pid()]);
    run.wait().exits(0).prints(body);
}

#[test]
fn session_continues_after_sigstop_and_sigcont() {
    let dir = tempfile::tempdir().expect("a folder");
    let wanted = all();
    for (name, server, client) in echo_sessions(dir.path()) {
        let mut client = client.stdin_open().start();
        let pids = [client.pid(), server.pid()];
        let (first, rest) = wanted.split_at(wanted.len() / 3);
        let (second, last) = rest.split_at(16 << 10);
        client.write_stdin(first);
        client.wait_for_output_len(first.len());
        for pid in pids {
            signal(pid, Signal::STOP);
            wait_for_state(pid, 'T');
        }
        // No more than the pipe holds while the client is stopped.
        client.write_stdin(second);
        pids.iter().for_each(|pid| signal(*pid, Signal::CONT));
        client.write_stdin(last);
        client.close_stdin();
        let run = client.wait();
        assert!(run.stdout == wanted, "{name}: {} of {}", run.stdout.len(), wanted.len());
        run.exits(0);
        server.stop().exits(0);
    }
}

fn wait_for_state(pid: u32, state: char) {
    let is_there = || {
        // proc(5): the state follows the name, which is in parentheses.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(state))
    };
    wait_until("the state of the process", is_there);
}

#[test]
fn server_accepts_after_sigstop_and_sigcont() {
    let server = sockit("tcp-server").serve();
    signal(server.pid(), Signal::STOP);
    wait_for_state(server.pid(), 'T');
    let addr: SocketAddr = server.addr();
    let mut client = crate::support::peer::connect(addr);
    signal(server.pid(), Signal::CONT);
    crate::support::peer::Script::expect_bytes(&mut client, "Welcome!");
    server.stop().exits(0);
}
