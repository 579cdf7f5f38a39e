//! `--exec` and `--sh`: a program per connection, and every order of ends.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::namespace::Namespace;
use crate::support::peer::{Script, connect};
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, sockit};

fn serve(line: &str) -> Daemon {
    sockit("tcp-server --json").and(line).serve()
}

/// Waits until no process has this argument.
#[track_caller]
fn wait_until_gone(argument: &str) {
    let until = Instant::now() + LIMIT;
    while count_processes(argument) > 0 {
        assert!(Instant::now() < until, "{argument} still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The number of processes with this argument.
fn count_processes(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
        .count()
}

/// The children of this process, zombies included.
fn children(pid: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .map(|list| list.split_whitespace().count())
        .sum()
}

/// The targets of the descriptors of a process.
fn descriptors(pid: u32) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    all.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
}

#[test]
fn half_close_ends_the_input_of_the_program() {
    let server = serve("--exec 'sort -r'");
    for _ in 0..50 {
        let mut client = connect(server.addr());
        client.send("a\nc\nb\n");
        client.half_close();
        assert_eq!(client.read_all(), b"c\nb\na\n");
    }
}

#[test]
fn large_output_after_the_half_close_is_complete() {
    let server = serve("--sh 'cat >/dev/null; head -c 5000000 /dev/zero'");
    let mut client = connect(server.addr());
    client.send(vec![b'x'; 3_000_000]);
    client.half_close();
    assert_eq!(client.read_all().len(), 5_000_000);
    server.wait_for_log("\"bytes_out\":5000000");
    server.wait_for_log("\"bytes_in\":3000000");
}

#[test]
fn environment_has_both_addresses() {
    let server = serve(
        "--sh 'echo $PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALIP $TCPLOCALPORT $TCPLOCALHOST'",
    );
    let mut client = connect(server.addr());
    let us = client.local_addr().unwrap().port();
    let all = String::from_utf8(client.read_all()).unwrap();
    assert_eq!(all, format!("TCP 127.0.0.1 {us} 127.0.0.1 {} localhost\n", server.port()));
}

#[test]
fn program_inherits_three_descriptors_and_no_new_privs() {
    let server = sockit("tcp-server --sh 'ls /proc/self/fd; grep NoNewPrivs /proc/self/status'")
        .redirect("5</dev/null")
        .serve();
    let all = String::from_utf8(connect(server.addr()).read_all()).unwrap();
    // ls opens the folder that it lists, as the next descriptor.
    assert_eq!(all, "0\n1\n2\n3\nNoNewPrivs:\t1\n");
    let server = serve("--allow-new-privileges --sh 'grep NoNewPrivs /proc/self/status'");
    assert_eq!(connect(server.addr()).read_all(), b"NoNewPrivs:\t0\n");
}

#[test]
fn closed_event_has_the_exit_status() {
    for (script, status) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
        let server = sockit("tcp-server --json --once --sh").arg(script).serve();
        connect(server.addr()).read_all();
        let run = server.wait();
        run.exits(0);
        let closed = run.events_named("closed");
        assert_eq!(closed[0]["exit_status"], status, "{script}: {closed:?}");
        assert_eq!(closed[0]["ended_by"], "us");
    }
}

#[test]
fn output_of_a_program_that_ignores_its_input_is_complete() {
    let server = serve("--sh 'echo bye'");
    let mut client = connect(server.addr());
    client.send(vec![b'x'; 300_000]);
    client.half_close();
    assert_eq!(client.read_all(), b"bye\n");
}

/// A closed Unix socket is seen immediately; a closed TCP connection looks half-closed until a
/// keepalive probe is refused.
#[test]
fn program_is_killed_after_the_grace_period() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let server = sockit("unix-server --json --grace 300ms").arg(&path);
    let server = server.and("--sh 'trap \"\" TERM; sleep 98761 & sleep 98762'").serve();
    let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    while count_processes("98761") + count_processes("98762") < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(client);
    wait_until_gone("98761");
    wait_until_gone("98762");
    server.wait_for_log("\"ended_by\":\"peer\"");
}

#[test]
fn reset_ends_the_program() {
    let server = serve("--grace 300ms --exec 'sleep 98763'");
    let client = connect(server.addr());
    while count_processes("98763") < 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    client.reset();
    wait_until_gone("98763");
    server.wait_for_log("\"ended_by\":\"reset\"");
}

#[test]
fn half_closed_peer_keeps_its_program() {
    let server = serve("--grace 100ms --sh 'cat; sleep 1; echo late'");
    let mut client = connect(server.addr());
    client.send("early ");
    client.half_close();
    assert_eq!(client.read_all(), b"early late\n");
}

#[test]
fn sigterm_ends_the_input_and_sends_the_output() {
    let server = serve("--sh 'cat; echo bye'");
    let mut client = connect(server.addr());
    client.send("hello ");
    client.expect_bytes("hello ");
    server.signal(libc::SIGTERM);
    assert_eq!(client.read_all(), b"bye\n");
    server.wait().exits(0);
}

#[test]
fn sigterm_leaves_no_program_behind() {
    let server = serve("--grace 200ms --sh 'trap \"\" TERM; sleep 98764 & sleep 98765'");
    let _client = connect(server.addr());
    while count_processes("98764") + count_processes("98765") < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal(libc::SIGTERM);
    server.wait().exits(143);
    wait_until_gone("98764");
    wait_until_gone("98765");
}

/// A program that ignores SIGTERM and SIGHUP, and its child.
const STUBBORN: &str = "--sh 'trap \"\" TERM HUP; sleep 9877N & sleep 9878N'";

/// A server whose program and the program's child run, with `n` in their arguments.
fn with_stubborn_program(server: &str, n: u32) -> Daemon {
    let line = STUBBORN.replace('N', &n.to_string());
    let server = sockit(server).and(&line).serve();
    let (parent, child) = (format!("9877{n}"), format!("9878{n}"));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(server.addr());
    socket.send_to(b"question", server.addr()).unwrap();
    let until = Instant::now() + LIMIT;
    while count_processes(&parent) + count_processes(&child) < 2 {
        assert!(Instant::now() < until, "the program does not run");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The connection, if there is one, ends with the test.
    std::mem::forget(client);
    server
}

#[test]
fn second_signal_kills_the_process_group() {
    for (n, line) in ["tcp-server --grace 60s", "udp-server"].into_iter().enumerate() {
        let server = with_stubborn_program(line, n as u32);
        server.signal(libc::SIGTERM);
        server.signal(libc::SIGINT);
        let code = server.wait().code;
        assert!([130, 143].contains(&code), "{line}: {code}");
        wait_until_gone(&format!("9877{n}"));
        wait_until_gone(&format!("9878{n}"));
    }
}

#[test]
fn hangup_and_quit_kill_the_process_group() {
    for (n, signal) in [(2, libc::SIGHUP), (3, libc::SIGQUIT)] {
        let server = with_stubborn_program("tcp-server", n);
        server.signal(signal);
        server.wait().exits(128 + signal);
        wait_until_gone(&format!("9877{n}"));
        wait_until_gone(&format!("9878{n}"));
    }
}

#[test]
fn whole_run_limit_kills_the_process_group() {
    let server = with_stubborn_program("tcp-server --timeout 2s", 4);
    server.wait().exits(28);
    wait_until_gone("98774");
    wait_until_gone("98784");
}

#[test]
fn killed_server_ends_its_program() {
    for (line, word) in [("tcp-server", "98795"), ("udp-server", "98796")] {
        let server = sockit(line).and(&format!("--exec 'sleep {word}'")).serve();
        let _client = TcpStream::connect(server.addr());
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"question", server.addr()).unwrap();
        let until = Instant::now() + LIMIT;
        while count_processes(word) < 1 {
            assert!(Instant::now() < until, "the program does not run");
            std::thread::sleep(Duration::from_millis(5));
        }
        server.signal(libc::SIGKILL);
        server.wait().exits(137);
        wait_until_gone(word);
    }
}

#[test]
fn process_1_reaps_orphans_of_its_programs() {
    if !Namespace::new().with_host_network().possible() {
        return;
    }
    // The program leaves a background process that ends later, as a child of process 1.
    let server = sockit("tcp-server --sh '(setsid sleep 0.2) >/dev/null 2>&1 & echo started'")
        .under(["unshare", "-r", "-p", "-f", "--kill-child"])
        .serve();
    for _ in 0..10 {
        assert_eq!(connect(server.addr()).read_all(), b"started\n");
    }
    let list = format!("/proc/{0}/task/{0}/children", server.pid());
    let first = std::fs::read_to_string(list).unwrap();
    let first: u32 = first.trim().parse().expect("unshare has one child");
    let until = Instant::now() + LIMIT;
    while children(first) > 0 {
        assert!(Instant::now() < until, "{} children are left", children(first));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn idle_timeout_ends_the_program() {
    let server = serve("--idle-timeout 200ms --grace 100ms --exec cat");
    let mut client = connect(server.addr());
    client.send("hi");
    client.expect_bytes("hi");
    server.wait_for_log("\"ended_by\":\"timeout\"");
}

#[test]
fn missing_program_exits_at_startup() {
    for (flags, code) in [
        ("--exec no-such-program-anywhere", 26),
        ("--exec /etc/passwd", 26),
        ("--exec /", 26),
        ("--exec ''", 2),
        ("--exec 'a \"b'", 2),
        ("--service exec", 2),
        ("--exec cat --sh cat", 2),
        ("--service echo --exec cat", 2),
    ] {
        let run = sockit("tcp-server --port 0").and(flags).run();
        assert_eq!(run.code, code, "{flags}: {}", run.stderr);
    }
}

#[test]
fn thousand_runs_leave_no_zombie_and_no_descriptor() {
    let server = sockit("tcp-server --exec true").serve();
    // Some descriptors are opened for the first connection.
    connect(server.addr()).read_all();
    server.wait_for_log(" closed.");
    let (pid, before) = (server.pid(), descriptors(server.pid()));
    for n in 0..1000 {
        let mut client = connect(server.addr());
        if n % 3 == 0 {
            client.half_close();
        }
        assert_eq!(client.read_all(), b"");
    }
    let until = Instant::now() + LIMIT;
    while children(pid) > 0 || descriptors(pid).len() > before.len() {
        let (children, now) = (children(pid), descriptors(pid));
        assert!(Instant::now() < until, "{children} children, {now:?} and not {before:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn datagram_is_the_input_and_output_is_the_reply() {
    let server =
        sockit("udp-server --sh 'cat; echo \" $PROTO $UDPREMOTEIP $UDPREMOTEPORT\"'").serve();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let us = client.local_addr().unwrap().port();
    for word in ["one", "two", ""] {
        client.send_to(word.as_bytes(), server.addr()).unwrap();
        let mut answer = [0; 100];
        let n = client.recv(&mut answer).unwrap();
        let want = format!("{word} UDP 127.0.0.1 {us}\n");
        assert_eq!(String::from_utf8_lossy(&answer[..n]), want);
    }
    let pid = server.pid();
    let until = Instant::now() + LIMIT;
    while children(pid) > 0 {
        assert!(Instant::now() < until, "a child is left");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.stop().exits(0);
}

#[test]
fn missing_program_of_udp_server_exits_at_startup() {
    for (flags, code) in [
        ("--exec no-such-program-anywhere", 26),
        ("--service exec", 2),
        ("--service print --exec cat", 2),
    ] {
        let run = sockit("udp-server --port 0").and(flags).run();
        assert_eq!(run.code, code, "{flags}: {}", run.stderr);
    }
}

#[cfg(feature = "tls")]
#[test]
fn program_over_tls_reads_the_end_and_its_output_is_complete() {
    let server = serve("--tls --sh 'cat >/dev/null; head -c 1000000 /dev/zero'");
    for _ in 0..5 {
        let run = sockit("tcp-client --tls --insecure -q")
            .to(server.addr())
            .stdin(vec![b'x'; 200_000])
            .run();
        run.exits(0);
        assert_eq!(run.stdout.len(), 1_000_000);
    }
    server.wait_for_log("\"bytes_in\":200000");
    server.wait_for_log("\"bytes_out\":1000000");
}
