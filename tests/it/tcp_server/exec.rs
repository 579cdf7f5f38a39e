//! `--exec` and `--sh`: a program per connection, whatever the order of endings.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::namespace::Namespace;
use crate::support::peer::{Script, call};
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, sockit};

fn serve(line: &str) -> Daemon {
    sockit("tcp-server --json").and(line).serve()
}

/// Waits until no process with this argument lives.
#[track_caller]
fn nobody_runs(argument: &str) {
    let until = Instant::now() + LIMIT;
    while runs(argument) > 0 {
        assert!(Instant::now() < until, "{argument} still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many processes have this word on their command line.
fn runs(argument: &str) -> usize {
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

/// What each descriptor of a process is.
fn descriptors(pid: u32) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    all.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
}

#[test]
fn the_peers_end_is_the_programs_end_of_input_and_the_answer_still_comes() {
    let server = serve("--exec 'sort -r'");
    for _ in 0..50 {
        let mut caller = call(server.addr());
        caller.say("a\nc\nb\n");
        caller.finish();
        assert_eq!(caller.hear_all(), b"c\nb\na\n");
    }
}

#[test]
fn a_large_answer_after_the_half_close_is_whole() {
    let server = serve("--sh 'cat >/dev/null; head -c 5000000 /dev/zero'");
    let mut caller = call(server.addr());
    caller.say(vec![b'x'; 3_000_000]);
    caller.finish();
    assert_eq!(caller.hear_all().len(), 5_000_000);
    server.wait_to_say("\"bytes_out\":5000000");
    server.wait_to_say("\"bytes_in\":3000000");
}

#[test]
fn the_environment_says_who_calls() {
    let server = serve(
        "--sh 'echo $PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALIP $TCPLOCALPORT $TCPLOCALHOST'",
    );
    let mut caller = call(server.addr());
    let us = caller.local_addr().unwrap().port();
    let all = String::from_utf8(caller.hear_all()).unwrap();
    assert_eq!(all, format!("TCP 127.0.0.1 {us} 127.0.0.1 {} localhost\n", server.port()));
}

#[test]
fn only_three_descriptors_are_inherited_and_no_privilege_gained() {
    let server = sockit("tcp-server --sh 'ls /proc/self/fd; grep NoNewPrivs /proc/self/status'")
        .redirect("5</dev/null")
        .serve();
    let all = String::from_utf8(call(server.addr()).hear_all()).unwrap();
    // ls itself opens the folder it lists, as the next descriptor.
    assert_eq!(all, "0\n1\n2\n3\nNoNewPrivs:\t1\n");
    let server = serve("--allow-new-privileges --sh 'grep NoNewPrivs /proc/self/status'");
    assert_eq!(call(server.addr()).hear_all(), b"NoNewPrivs:\t0\n");
}

#[test]
fn the_exit_status_is_in_the_closed_event() {
    for (script, status) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
        let server = sockit("tcp-server --json --once --sh").arg(script).serve();
        call(server.addr()).hear_all();
        let run = server.wait();
        run.exits(0);
        let closed = run.events_named("closed");
        assert_eq!(closed[0]["exit_status"], status, "{script}: {closed:?}");
        assert_eq!(closed[0]["ended_by"], "us");
    }
}

#[test]
fn a_program_that_leaves_at_once_is_heard_however_much_we_say() {
    let server = serve("--sh 'echo bye'");
    let mut caller = call(server.addr());
    caller.say(vec![b'x'; 300_000]);
    caller.finish();
    assert_eq!(caller.hear_all(), b"bye\n");
}

/// A closed Unix socket is seen immediately; a closed TCP connection looks half-closed until a
/// keepalive probe is refused.
#[test]
fn a_program_that_outlives_its_connection_is_ended_after_the_grace() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let server = sockit("unix-server --json --grace 300ms").arg(&path);
    let server = server.and("--sh 'trap \"\" TERM; sleep 98761 & sleep 98762'").serve();
    let caller = std::os::unix::net::UnixStream::connect(&path).unwrap();
    while runs("98761") + runs("98762") < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(caller);
    nobody_runs("98761");
    nobody_runs("98762");
    server.wait_to_say("\"ended_by\":\"peer\"");
}

#[test]
fn a_reset_ends_the_program_too() {
    let server = serve("--grace 300ms --exec 'sleep 98763'");
    let caller = call(server.addr());
    while runs("98763") < 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    caller.reset();
    nobody_runs("98763");
    server.wait_to_say("\"ended_by\":\"reset\"");
}

#[test]
fn a_peer_that_waits_half_closed_keeps_its_program() {
    let server = serve("--grace 100ms --sh 'cat; sleep 1; echo late'");
    let mut caller = call(server.addr());
    caller.say("early ");
    caller.finish();
    assert_eq!(caller.hear_all(), b"early late\n");
}

#[test]
fn sigterm_ends_the_input_and_hears_the_answer() {
    let server = serve("--sh 'cat; echo bye'");
    let mut caller = call(server.addr());
    caller.say("hello ");
    caller.hear("hello ");
    server.signal(libc::SIGTERM);
    assert_eq!(caller.hear_all(), b"bye\n");
    server.wait().exits(0);
}

#[test]
fn sigterm_leaves_no_program_behind() {
    let server = serve("--grace 200ms --sh 'trap \"\" TERM; sleep 98764 & sleep 98765'");
    let _caller = call(server.addr());
    while runs("98764") + runs("98765") < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal(libc::SIGTERM);
    server.wait().exits(143);
    nobody_runs("98764");
    nobody_runs("98765");
}

/// A program that ignores the signals by which it could be asked to end, and its child.
const STUBBORN: &str = "--sh 'trap \"\" TERM HUP; sleep 9877N & sleep 9878N'";

/// A server whose program and that program's child run, with `n` in their command lines.
fn with_stubborn_program(server: &str, n: u32) -> Daemon {
    let line = STUBBORN.replace('N', &n.to_string());
    let server = sockit(server).and(&line).serve();
    let (parent, child) = (format!("9877{n}"), format!("9878{n}"));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let caller = TcpStream::connect(server.addr());
    socket.send_to(b"question", server.addr()).unwrap();
    let until = Instant::now() + LIMIT;
    while runs(&parent) + runs(&child) < 2 {
        assert!(Instant::now() < until, "the program does not run");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The connection, if there is one, ends with the test.
    std::mem::forget(caller);
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
        nobody_runs(&format!("9877{n}"));
        nobody_runs(&format!("9878{n}"));
    }
}

#[test]
fn hangup_and_quit_kill_the_process_group() {
    for (n, signal) in [(2, libc::SIGHUP), (3, libc::SIGQUIT)] {
        let server = with_stubborn_program("tcp-server", n);
        server.signal(signal);
        server.wait().exits(128 + signal);
        nobody_runs(&format!("9877{n}"));
        nobody_runs(&format!("9878{n}"));
    }
}

#[test]
fn whole_run_limit_kills_the_process_group() {
    let server = with_stubborn_program("tcp-server --timeout 2s", 4);
    server.wait().exits(28);
    nobody_runs("98774");
    nobody_runs("98784");
}

#[test]
fn killed_server_takes_its_program_with_it() {
    for (line, word) in [("tcp-server", "98795"), ("udp-server", "98796")] {
        let server = sockit(line).and(&format!("--exec 'sleep {word}'")).serve();
        let _caller = TcpStream::connect(server.addr());
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"question", server.addr()).unwrap();
        let until = Instant::now() + LIMIT;
        while runs(word) < 1 {
            assert!(Instant::now() < until, "the program does not run");
            std::thread::sleep(Duration::from_millis(5));
        }
        server.signal(libc::SIGKILL);
        server.wait().exits(137);
        nobody_runs(word);
    }
}

#[test]
fn process_1_reaps_orphans_of_its_programs() {
    if !Namespace::new().on_our_network().possible() {
        return;
    }
    // The program leaves a process behind that ends later, as a child of process 1.
    let server = sockit("tcp-server --sh '(setsid sleep 0.2) >/dev/null 2>&1 & echo started'")
        .under(["unshare", "-r", "-p", "-f", "--kill-child"])
        .serve();
    for _ in 0..10 {
        assert_eq!(call(server.addr()).hear_all(), b"started\n");
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
fn an_idle_connection_ends_its_program() {
    let server = serve("--idle-timeout 200ms --grace 100ms --exec cat");
    let mut caller = call(server.addr());
    caller.say("hi");
    caller.hear("hi");
    server.wait_to_say("\"ended_by\":\"timeout\"");
}

#[test]
fn what_cannot_be_run_is_told_at_the_start() {
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
fn a_thousand_runs_leave_no_zombie_and_no_descriptor() {
    let server = sockit("tcp-server --exec true").serve();
    // Some of its own are only made when it takes its first caller.
    call(server.addr()).hear_all();
    server.wait_to_say(" closed.");
    let (pid, before) = (server.pid(), descriptors(server.pid()));
    for n in 0..1000 {
        let mut caller = call(server.addr());
        if n % 3 == 0 {
            caller.finish();
        }
        assert_eq!(caller.hear_all(), b"");
    }
    let until = Instant::now() + LIMIT;
    while children(pid) > 0 || descriptors(pid).len() > before.len() {
        let (children, now) = (children(pid), descriptors(pid));
        assert!(Instant::now() < until, "{children} children, {now:?} and not {before:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_datagram_is_a_programs_input_and_its_output_the_answer() {
    let server =
        sockit("udp-server --sh 'cat; echo \" $PROTO $UDPREMOTEIP $UDPREMOTEPORT\"'").serve();
    let caller = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    caller.set_read_timeout(Some(LIMIT)).unwrap();
    let us = caller.local_addr().unwrap().port();
    for word in ["one", "two", ""] {
        caller.send_to(word.as_bytes(), server.addr()).unwrap();
        let mut answer = [0; 100];
        let n = caller.recv(&mut answer).unwrap();
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
fn programs_for_datagrams_are_named_at_the_start() {
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
fn a_program_behind_tls_hears_the_end_and_answers_whole() {
    let server = serve("--tls --sh 'cat >/dev/null; head -c 1000000 /dev/zero'");
    for _ in 0..5 {
        let run = sockit("tcp-client --tls --insecure -q")
            .to(server.addr())
            .stdin(vec![b'x'; 200_000])
            .run();
        run.exits(0);
        assert_eq!(run.stdout.len(), 1_000_000);
    }
    server.wait_to_say("\"bytes_in\":200000");
    server.wait_to_say("\"bytes_out\":1000000");
}
