//! Exhausted resources: descriptors, memory, threads, disk space.

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::scenarios::{Peers, Scenario};
use super::{each, is_orderly, step};
use crate::support::namespace::Namespace;
use crate::support::peer::{self, Script, connect};
use crate::support::sockit::{LIMIT, Run, Sockit, copy_sockit, sockit};
use crate::support::wait_until;

/// Whether the process ended before main: the loader failed, or the kernel could not grow the first
/// stack. The C library and the standard library abort when they cannot allocate what they need.
fn never_started(run: &Run) -> bool {
    let aborts =
        ["failed to register TLS destructor", "memory allocation of", "an alternative stack"];
    if run.code == 134 && aborts.iter().any(|words| run.stderr.contains(words)) {
        return true;
    }
    let has_error = run.stderr.lines().any(|line| line.starts_with("sockit: "));
    [127, 139].contains(&run.code) && run.stdout.is_empty() && !has_error
}

fn within(limit: &str, scenario: &Scenario, peers: &Peers) -> Result<Run, String> {
    let (run, out) = peers.play(scenario);
    let run = run.under(["prlimit", limit]).run();
    if !never_started(&run) {
        scenario.check(&run, &out).map_err(|why| format!("{} / {limit}: {why}", scenario.name))?;
    }
    Ok(run)
}

#[test]
fn client_with_few_descriptors_succeeds_or_reports() {
    let Some(_) = peer::program("prlimit") else { return };
    let peers = Peers::new();
    let scenarios = peers.scenarios();
    let rows: Vec<_> = scenarios.iter().flat_map(|s| (3..=20).map(move |n| (s, n))).collect();
    each(&rows, |(scenario, n)| {
        let run = within(&format!("--nofile={n}"), scenario, &peers)?;
        match (run.code, n) {
            (0, _) | (_, ..20) => Ok(()),
            (code, n) => Err(format!("{} needs more than {n} descriptors: {code}", scenario.name)),
        }
    });
}

#[test]
fn server_with_few_descriptors_keeps_running_or_reports() {
    let Some(_) = peer::program("prlimit") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let lines = [
        "tcp-server --port 0",
        "tcp-server --port 0 --service pipe",
        "tcp-server --port 0 --service chat",
        "tcp-server --port 0 --exec cat",
        "unix-server DIR/NAME",
        "unix-server DIR/NAME --datagram",
        "udp-echo --port 0",
        "udp-server --port 0 --exec cat",
    ];
    let rows: Vec<_> = lines.iter().flat_map(|line| (4..=16).map(move |n| (line, n))).collect();
    each(&rows, |(line, n)| {
        let name = line.len() * 100 + n;
        let here = dir.path().to_str().expect("a path");
        let line = line.replace("DIR", here).replace("NAME", &name.to_string());
        let limited = sockit(&line).under(["prlimit", &format!("--nofile={n}")]);
        keeps_running_or_reports(limited)
            .map_err(|why| format!("{line} with {n} descriptors: {why}"))
    });
}

/// A server reports that it cannot start, or it runs until SIGTERM.
fn keeps_running_or_reports(server: Sockit) -> Result<(), String> {
    let mut server = server.start();
    let Some(local) = super::server_calls::local(&server) else {
        let run = server.wait();
        return if never_started(&run) { Ok(()) } else { is_orderly(&run) };
    };
    if let Ok(addr) = local.parse::<std::net::SocketAddr>() {
        for _ in 0..3 {
            // Connections that it cannot accept wait in the backlog; accepted ones may be dropped.
            let _ = std::net::TcpStream::connect_timeout(&addr, crate::support::sockit::LIMIT);
        }
    }
    if !server.is_alive() {
        return Err(format!("exited: {}", String::from_utf8_lossy(&server.stderr.bytes())));
    }
    server.signal(libc::SIGTERM);
    let run = server.wait();
    match run.code {
        0 | 143 if !run.stderr.contains("internal error") => Ok(()),
        code => Err(format!("{code}: {}", run.stderr)),
    }
}

#[test]
fn client_with_little_memory_succeeds_or_reports() {
    let Some(_) = peer::program("prlimit") else { return };
    let peers = Peers::new();
    let minimum = minimum_memory();
    let scenarios = peers.scenarios();
    let steps = (0..24).map(|n| minimum + n * (128 << 10));
    let rows: Vec<_> = scenarios.iter().flat_map(|s| steps.clone().map(move |n| (s, n))).collect();
    each(&rows, |(scenario, bytes)| within(&format!("--as={bytes}"), scenario, &peers).map(drop));
    // With four times the minimum every scenario succeeds.
    each(&scenarios, |scenario| {
        match within(&format!("--as={}", minimum * 4), scenario, &peers)? {
            run if run.code == 0 => Ok(()),
            run => Err(format!("{}: {}", scenario.name, run.stderr)),
        }
    });
}

/// The smallest address space in which the loader succeeds, in bytes.
fn minimum_memory() -> u64 {
    let begins = |mebibytes: &u64| {
        let limit = format!("--as={}", mebibytes << 20);
        !never_started(&sockit("--version").under(["prlimit", &limit]).run())
    };
    (4..200).find(begins).expect("an address space to begin in") << 20
}

/// A copy of the binary that other users can execute, since the target folder may be unreachable
/// for them. `None` without the privilege to change users.
fn copy_for_other_users() -> Option<(tempfile::TempDir, std::path::PathBuf)> {
    peer::program("setpriv").and(peer::program("prlimit"))?;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can change to a user with few processes");
        return None;
    }
    let dir = tempfile::tempdir_in("/tmp").expect("a folder");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("open to all");
    let copy = dir.path().join("sockit");
    copy_sockit(&copy);
    Some((dir, copy))
}

#[test]
fn client_without_threads_reports() {
    let Some((_dir, copy)) = copy_for_other_users() else { return };
    let peers = Peers::new();
    let scenarios = peers.scenarios();
    let rows: Vec<_> = scenarios.iter().enumerate().flat_map(|s| [(s, 1), (s, 2)]).collect();
    each(&rows, |((uid, scenario), threads)| {
        if scenario.writes_a_file() {
            return Ok(());
        }
        // Each run has its own user, so that no other process counts towards its limit.
        let uid = format!("--reuid={}", 61_000 + uid * 4 + threads);
        let limit = format!("--nproc={threads}");
        let script = "exec \"$0\" \"$@\"";
        let words = ["prlimit", &limit, "setpriv", &uid, "--clear-groups", "sh", "-c"];
        let (run, out) = peers.play(scenario);
        let run = run.instead(&copy).under(words.into_iter().chain([script])).run();
        // Only the user of the test can reach the Unix peers.
        if run.stderr.contains("Permission denied") {
            return Ok(());
        }
        scenario.check(&run, &out).map_err(|why| format!("{} / {threads}: {why}", scenario.name))
    });
}

#[test]
fn server_without_threads_keeps_running() {
    let Some((_dir, copy)) = copy_for_other_users() else { return };
    let words = ["prlimit", "--nproc=2", "setpriv", "--reuid=61900", "--clear-groups"];
    let server = sockit("tcp-server").instead(&copy).under(words).serve();
    let mut first = connect(server.addr());
    first.expect_bytes("Welcome!");
    // There is no second thread: the next connection is reset, at the latest when it is read.
    let greeting = || {
        let mut greeting = [0; 8];
        let n = TcpStream::connect(server.addr())?.read(&mut greeting)?;
        std::io::Result::Ok(n == greeting.len())
    };
    let end = greeting();
    assert!(end.is_err(), "an orderly end looks complete: {end:?}");
    server.wait_for_log("Resource temporarily unavailable");
    first.send("exit");
    assert_eq!(first.read_all(), b"");
    // The thread serves the next connection as soon as it has finished.
    wait_until("a connection is served", || greeting().is_ok_and(|complete| complete));
    server.stop().exits(0);
}

/// Words that run a program with a file system of 64 KiB at `dir`.
fn on_a_small_disk(dir: &Path) -> Option<Vec<String>> {
    let mount = format!("mount -t tmpfs -o size=64k none '{}' || exit 99", dir.display());
    Namespace::new().with_host_network().before(&mount).words()
}

/// A peer that sends more than the disk holds.
fn sender() -> peer::Peer<bool> {
    peer::peer(|mut stream| {
        // The client may close early.
        let _ = std::io::Write::write_all(&mut stream, &[b'x'; 300_000]);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.wait_for_fin()
    })
}

#[test]
fn full_disk_exits_23_for_every_writer() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = on_a_small_disk(dir.path()) else { return };
    let here = dir.path().display().to_string();
    let client = |line: &str| {
        let sender = sender();
        let run = sockit(line).to(sender.addr()).under(&disk).run();
        sender.outcome();
        run
    };
    client(&format!("tcp-client --recv-only --output {here}/f")).exits(23).fails_at("file");
    client(&format!("tcp-client --recv-only --rate 9M/s --output {here}/f")).exits(23);
    sockit(&format!("man --out-dir {here}/man")).under(&disk).run().exits(23).fails_at("file");
    let sender = sender();
    let onto = ["sh", "-c", &format!("exec \"$0\" \"$@\" >{here}/f")].map(String::from);
    let run = sockit("tcp-client --recv-only").to(sender.addr()).under(onto).under(&disk).run();
    run.exits(23).fails_at("stdout");
}

#[cfg(feature = "http")]
#[test]
fn full_disk_during_download_exits_23() {
    let peers = Peers::new();
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = on_a_small_disk(dir.path()) else { return };
    let here = dir.path().display();
    for way in [format!("-o {here}/f"), format!("-o {here}/f --keep-partial")] {
        let run = sockit(&peers.get()).and(&way).under(&disk).run();
        run.exits(23).fails_at("file").logs("No space left on device");
    }
    let there = ["sh", "-c", &format!("cd {here} && exec \"$0\" \"$@\"")].map(String::from);
    let run = sockit(&peers.get()).and("-O").under(there).under(&disk).run();
    run.exits(23).fails_at("file");
}

#[test]
fn full_disk_of_save_resets_the_client() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = on_a_small_disk(dir.path()) else { return };
    let server = sockit("tcp-server --save").arg(dir.path()).under(&disk).serve();
    for _ in 0..2 {
        let mut client = connect(server.addr());
        let _ = std::io::Write::write_all(&mut client, &[b'x'; 300_000]);
        let _ = client.shutdown(std::net::Shutdown::Write);
        let end = client.read(&mut [0; 8]);
        assert!(end.is_err(), "an orderly end looks complete: {end:?}");
    }
    server.wait_for_log_times("No space left on device", 2);
}

#[test]
fn full_disk_of_save_closes_the_unix_client() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = on_a_small_disk(dir.path()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let server = sockit("unix-server --save").arg(dir.path()).arg(&path).under(&disk).serve();
    for _ in 0..5 {
        let mut client = UnixStream::connect(&path).expect("a connection");
        client.set_read_timeout(Some(LIMIT)).expect("a limit");
        // More than both socket buffers hold.
        let sent = std::io::Write::write_all(&mut client, &vec![b'x'; 4 << 20]);
        assert!(sent.is_err(), "unsaved data was accepted");
        let _ = client.shutdown(std::net::Shutdown::Write);
        let _ = client.read(&mut [0; 8]);
    }
    server.wait_for_log_times("No space left on device", 5);
}

#[test]
fn full_stdout_of_help_and_man_exits_23() {
    for line in ["--help", "tcp-server --help", "man", "completions zsh", "tour --list"] {
        let run = sockit(line).redirect(">/dev/full").run();
        run.exits(23).fails_at("stdout");
        assert_eq!(step(run.stderr.lines().next().unwrap_or_default()), Some("stdout"));
        sockit(line).redirect(">&-").run().exits(0).logs_nothing();
    }
}
