//! `--exec` and `--sh`: a program per connection, and every order of ends.

use std::net::TcpStream;

use crate::support::namespace::Namespace;
use crate::support::peer::{Script, connect};
use crate::support::proc_stats::children;
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, sockit};
use crate::support::wait_until;

fn serve(line: &str) -> Daemon {
    sockit("tcp-server --json").and(line).serve()
}

/// Waits until no process has this argument.
#[track_caller]
fn wait_until_gone(argument: &str) {
    wait_until("no process is left", || count_processes(argument) == 0);
}

/// An argument of sleep(1) that no other process has, also none of an earlier run.
fn unique(n: u32) -> String {
    format!("9876{n}.{}", std::process::id())
}

/// The number of processes with this argument.
fn count_processes(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
        .count()
}

/// Waits until each of these arguments belongs to a process.
#[track_caller]
fn wait_until_run(arguments: &[&str]) {
    wait_until("the program runs", || arguments.iter().all(|word| count_processes(word) > 0));
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

/// A parent process that ignores SIGCHLD passes that on, and the kernel then discards exit statuses.
#[test]
fn exit_status_is_known_where_sigchld_was_ignored() {
    let server = sockit("tcp-server --json --once --sh 'exit 7'");
    let server = server.under(["env", "--ignore-signal=CHLD"]).serve();
    connect(server.addr()).read_all();
    let run = server.wait();
    run.exits(0);
    assert_eq!(run.events_named("closed")[0]["exit_status"], 7, "{}", run.stderr);
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
    let (child, parent) = (unique(1), unique(2));
    let script = format!("trap '' TERM; sleep {child} & sleep {parent}");
    let server = server.arg("--sh").arg(script).serve();
    let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    wait_until_run(&[&child, &parent]);
    drop(client);
    wait_until_gone(&child);
    wait_until_gone(&parent);
    server.wait_for_log("\"ended_by\":\"peer\"");
}

#[test]
fn reset_ends_the_program() {
    let word = unique(3);
    let server = serve(&format!("--grace 300ms --exec 'sleep {word}'"));
    let client = connect(server.addr());
    wait_until_run(&[&word]);
    client.reset();
    wait_until_gone(&word);
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
    let (child, parent) = (unique(4), unique(5));
    let script = format!("trap '' TERM; sleep {child} & sleep {parent}");
    let server = sockit("tcp-server --json --grace 200ms --sh").arg(script).serve();
    let _client = connect(server.addr());
    wait_until_run(&[&child, &parent]);
    server.signal(libc::SIGTERM);
    let run = server.wait();
    run.exits(143);
    let closed = run.events_named("closed");
    assert_eq!(closed.len(), 1, "{}", run.stderr);
    assert_eq!(closed[0]["ended_by"], "signal", "{}", run.stderr);
    wait_until_gone(&child);
    wait_until_gone(&parent);
}

/// A server whose program and the program's child run; both ignore SIGTERM and SIGHUP.
struct ServerWithProgram {
    server: Daemon,
    words: [String; 2],
    _client: std::io::Result<TcpStream>,
}

impl ServerWithProgram {
    fn start(server: &str, n: u32) -> ServerWithProgram {
        let words = [unique(n), unique(n + 1)];
        let script = format!("trap '' TERM HUP; sleep {} & sleep {}", words[0], words[1]);
        let server = sockit(server).arg("--sh").arg(script).serve();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(server.addr());
        socket.send_to(b"question", server.addr()).unwrap();
        wait_until_run(&[&words[0], &words[1]]);
        ServerWithProgram { server, words, _client }
    }

    /// Waits for the exit of the server and of both processes; returns the exit code.
    fn wait(self) -> i32 {
        let code = self.server.wait().code;
        self.words.iter().for_each(|word| wait_until_gone(word));
        code
    }
}

#[test]
fn second_signal_kills_the_process_group() {
    for (n, line) in [(10, "tcp-server --grace 60s"), (12, "udp-server")] {
        let running = ServerWithProgram::start(line, n);
        running.server.signal(libc::SIGTERM);
        running.server.signal(libc::SIGINT);
        let code = running.wait();
        assert!([130, 143].contains(&code), "{line}: {code}");
    }
}

#[test]
fn hangup_and_quit_kill_the_process_group() {
    for (n, signal) in [(20, libc::SIGHUP), (22, libc::SIGQUIT)] {
        let running = ServerWithProgram::start("tcp-server", n);
        running.server.signal(signal);
        assert_eq!(running.wait(), 128 + signal);
    }
}

#[test]
fn timeout_of_the_run_kills_the_process_group() {
    assert_eq!(ServerWithProgram::start("tcp-server --timeout 6s", 30).wait(), 28);
}

#[test]
fn killed_server_ends_its_program() {
    for (n, line) in [(40, "tcp-server"), (41, "udp-server")] {
        let word = unique(n);
        let server = sockit(line).and(&format!("--exec 'sleep {word}'")).serve();
        let _client = TcpStream::connect(server.addr());
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"question", server.addr()).unwrap();
        wait_until_run(&[&word]);
        server.signal(libc::SIGKILL);
        server.wait().exits(137);
        wait_until_gone(&word);
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
    wait_until("no child is left", || children(first) == 0);
}

#[test]
fn idle_timeout_ends_the_program() {
    let server = serve("--idle-timeout 1s --grace 100ms --exec cat");
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
    wait_until("no child is left", || children(pid) == 0);
    wait_until("no descriptor is left", || descriptors(pid).len() <= before.len());
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
    wait_until("no child is left", || children(pid) == 0);
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
