//! stdout is data, stderr is the log: text and JSON, quiet and verbose, escaped, colored, or not
//! writable.

use std::fs;

use crate::support::peer::{self, Script, connect, peer};
use crate::support::sockit::sockit;

#[test]
fn json_writes_one_object_per_line() {
    let server = sockit("tcp-server --service echo --json").serve();
    let mut client = connect(server.addr());
    let client_addr = client.local_addr().unwrap().to_string();
    client.send("12345");
    client.half_close();
    assert_eq!(client.read_all(), b"12345");
    server.wait_for_log("\"event\":\"closed\"");
    let local = server.local().to_string();
    let run = server.stop();
    run.prints("");
    let events = run.events();
    assert_eq!(events.len(), run.stderr.lines().count(), "stderr is JSON only\n{}", run.stderr);
    for event in &events {
        let time = event["time"].as_str().expect("a time in every event");
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time} is not RFC 3339");
    }
    let names: Vec<_> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    let names_left: Vec<_> = names.iter().filter(|n| **n != "half_closed").collect();
    assert_eq!(names_left[..3], [&"listening", &"accepted", &"closed"], "{}", run.stderr);
    assert_eq!(events[0]["local"], local.as_str());
    assert_eq!(events[1]["peer"], client_addr.as_str());
    assert_eq!(events[1]["local"], local.as_str());
    let closed = &run.events_named("closed")[0];
    assert_eq!(closed["conn"], events[1]["conn"]);
    assert_eq!((closed["bytes_in"].as_u64(), closed["bytes_out"].as_u64()), (Some(5), Some(5)));
    assert!(closed["seconds"].is_number(), "{closed}");
    assert_eq!(
        (closed["peer"].as_str(), closed["local"].as_str()),
        (Some(&*client_addr), Some(&*local))
    );
}

#[test]
fn client_events_follow_the_connection() {
    for flags in ["", "--send abc"] {
        let echo = peer::echoes();
        let addr = echo.addr().to_string();
        let run = sockit("tcp-client --json").and(flags).to(echo.addr()).stdin("abc").run();
        run.exits(0);
        let events = run.events();
        let names: Vec<_> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["connected", "half_closed", "half_closed", "closed"], "{flags}");
        assert_eq!(events[0]["peer"], addr.as_str());
        // An echo ends after our end, which therefore comes first.
        assert_eq!((&events[1]["by"], &events[2]["by"]), (&"us".into(), &"peer".into()), "{flags}");
        let closed = &events[3];
        assert_eq!((closed["bytes_in"].as_u64(), closed["bytes_out"].as_u64()), (Some(3), Some(3)));
        assert_eq!(closed["ended_by"], "us", "{flags}");
    }
}

#[test]
fn error_event_has_phase_and_code() {
    let refusing = peer::Refusing::new();
    let run = sockit("tcp-client --json").to(refusing.addr()).run();
    run.exits(7);
    let error = &run.events_named("error")[0];
    assert_eq!(error["phase"], "connect");
    assert_eq!(error["code"], 7);
    assert_eq!(error["target"], refusing.addr().to_string().as_str());
    assert_eq!(error["cause"], "Connection refused");
    run.never_logs("sockit: ");
}

#[test]
fn usage_error_with_json_is_an_error_event() {
    let run = sockit("tcp-client --json 127.0.0.1 70000").run();
    run.exits(2).prints("");
    assert_eq!(run.events_named("error")[0]["code"], 2, "{}", run.stderr);
}

#[test]
fn events_flag_writes_to_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events");
    let echo = peer::echoes();
    let run = sockit("tcp-client --events").arg(&file).to(echo.addr()).stdin("x").run();
    run.exits(0).prints("x").logs_nothing();
    let events = fs::read_to_string(&file).unwrap();
    assert!(
        events.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()),
        "{events}"
    );
    assert!(events.contains("\"connected\"") && events.contains("\"closed\""), "{events}");
}

#[test]
fn quiet_logs_errors_only() {
    let server = sockit("tcp-server -q --print-port --once").serve();
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    drop(client);
    let run = server.wait();
    run.exits(0).logs_nothing();
    let refusing = peer::Refusing::new();
    sockit("tcp-client -q").to(refusing.addr()).run().exits(7).fails_at("connect");
}

#[test]
fn client_logs_nothing_by_default() {
    let echo = peer::echoes();
    sockit("tcp-client").to(echo.addr()).stdin("x").run().exits(0).logs_nothing();
}

#[test]
fn tracing_goes_to_stderr_when_enabled() {
    for (flags, variable) in [("-vvv", ""), ("", "trace"), ("", "sockit=debug")] {
        let echo = peer::echoes();
        let client = sockit("tcp-client").and(flags).env("SOCKIT_LOG", variable);
        let run = client.to(echo.addr()).stdin("x").run();
        run.exits(0).prints("x");
        assert!(!run.stderr.is_empty(), "{flags} SOCKIT_LOG={variable}: nothing is traced");
        assert!(!run.stderr.contains('\x1b'), "no color in a pipe: {:?}", run.stderr);
    }
}

#[test]
fn color_follows_flag_environment_and_terminal() {
    let refusing = peer::Refusing::new();
    let fails = |flags: &str, name: &str| {
        let client = sockit("tcp-client").and(flags).to(refusing.addr());
        let client = if name.is_empty() { client } else { client.env(name, "1") };
        client.run().exits(7).stderr.contains('\x1b')
    };
    assert!(!fails("", ""), "a pipe has no color");
    assert!(fails("--color always", ""), "always is always");
    assert!(!fails("--color never", "CLICOLOR_FORCE"), "never is never");
    assert!(fails("", "CLICOLOR_FORCE"), "CLICOLOR_FORCE colors a pipe");
    assert!(!fails("--color auto", "NO_COLOR"), "NO_COLOR takes color away");
    assert!(sockit("tcp-client --color sometimes").run().code == 2);
}

#[test]
fn peer_data_is_escaped_in_the_log_only() {
    let nasty = "\x1b[31mred\x07\u{9b}1m\u{202e}\x7f";
    let remote = peer(move |mut stream| {
        stream.send(nasty);
        stream.wait_for_close();
    });
    let run = sockit("tcp-client --expect never --timeout 2s").to(remote.addr()).run();
    run.exits(1);
    assert!(run.text().starts_with(nasty), "{:?}", run.text());
    for raw in ['\x1b', '\x07', '\u{9b}', '\u{202e}', '\x7f'] {
        assert!(!run.stderr.contains(raw), "{raw:?} is raw in {:?}", run.stderr);
    }
    run.logs("red");
}

#[test]
fn error_is_one_line_whatever_it_names() {
    let run = sockit("tcp-client").arg("ba\nd\x1b[2J").arg("80").run();
    assert_ne!(run.code, 0);
    assert!(!run.stderr.contains('\x1b'), "{:?}", run.stderr);
    assert_eq!(run.stderr.lines().filter(|l| l.starts_with("sockit: ")).count(), 1);
    assert!(run.stderr.lines().count() <= 2, "{:?}", run.stderr);
}

#[test]
fn closed_or_full_stderr_does_not_stop_the_server() {
    for how in ["2>&-", "2>/dev/full", "2>/dev/null"] {
        for flags in ["", "--json", "-vvv"] {
            let server = sockit("tcp-server --print-port").and(flags).redirect(how).serve();
            for _ in 0..3 {
                let mut client = connect(server.addr());
                client.expect_bytes("Welcome!");
                client.send("exit");
                assert_eq!(client.read_all(), b"", "{how} {flags}");
            }
        }
    }
}

#[test]
fn unread_stderr_does_not_stop_the_server() {
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    let mut server = sockit("tcp-server --print-port -vvv").stderr_to(writer).serve();
    for n in 0..300 {
        let mut client = connect(server.addr());
        client.expect_bytes("Welcome!");
        client.send("exit");
        assert_eq!(client.read_all(), b"", "client {n}");
    }
    assert!(server.is_alive());
    server.signal(libc::SIGTERM);
    let run = server.wait();
    run.exits(0);
    drop(reader);
}

#[test]
fn stderr_closed_by_its_reader_does_not_stop_the_server() {
    let (reader, writer) = std::io::pipe().unwrap();
    let server = sockit("tcp-server --print-port").stderr_to(writer).serve();
    drop(reader);
    for _ in 0..3 {
        connect(server.addr()).expect_bytes("Welcome!");
    }
    server.stop().exits(0);
}

/// An error of the events file or the dump is reported once and makes the run fail; the session
/// itself continues to its end.
#[test]
fn full_disk_of_events_or_hex_exits_23() {
    for flag in ["--events", "--hex"] {
        let echo = peer::echoes();
        let client = sockit("tcp-client").arg(flag).arg("/dev/full");
        let run = client.to(echo.addr()).stdin("every byte").run();
        run.exits(23).prints("every byte").fails_at("file");
        run.logs("/dev/full: No space left on device");
        assert_eq!(run.stderr.matches("No space").count(), 1, "{}", run.stderr);
    }
}

#[test]
fn unwritable_stdout_of_help_exits_23() {
    for line in ["--help", "--version", "tcp-client -h"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        sockit(line).stdout_to(full).run().exits(23).fails_at("stdout");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn passwords_are_removed_from_the_command_line() {
    for (command, flag, secret, url) in [
        ("http-get", "--user", "me:secret", "http://PEER/"),
        ("http-get", "--header", "X-Key: secret", "http://you:secret@PEER/"),
        ("tcp-client", "--proxy", "http://me:secret@PEER", "127.0.0.1:9"),
    ] {
        let silent = peer::does_nothing();
        let addr = silent.addr().to_string();
        let here = |text: &str| text.replace("PEER", &addr);
        let run = sockit(command).arg("-v").arg(flag).arg(here(secret)).arg(here(url)).start();
        run.wait_for_log("Connect");
        let shown = fs::read(format!("/proc/{}/cmdline", run.pid())).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains(flag) && !shown.contains("secret"), "{shown:?}");
        run.signal(libc::SIGTERM);
        run.wait().never_logs("secret");
    }
}

#[test]
fn half_closed_event_names_the_side() {
    let server = sockit("tcp-server --service echo --json").serve();
    let mut client = connect(server.addr());
    client.send("12345");
    client.half_close();
    client.read_all();
    server.wait_for_log("\"closed\"");
    let run = server.stop();
    let names: Vec<_> = run.events().iter().map(|e| e["event"].to_string()).collect();
    assert_eq!(names[1..4], ["\"accepted\"", "\"half_closed\"", "\"closed\""]);
    let half = &run.events_named("half_closed")[0];
    assert_eq!((&half["by"], &half["conn"]), (&"peer".into(), &1.into()));

    let server = sockit("tcp-server --service ack -v").serve();
    let mut client = connect(server.addr());
    client.send("x");
    client.read_all();
    let client_addr = client.local_addr().unwrap();
    server.wait_for_log(&format!("Half-closed: we send no more to {client_addr}."));
    drop(client);
}

#[test]
fn connection_ended_by_the_run_limit_reports_timeout() {
    let server = sockit("tcp-server --timeout 3s --json").serve();
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    let run = server.wait();
    run.exits(28);
    assert_eq!(run.events_named("closed")[0]["ended_by"], "timeout", "{}", run.stderr);
}

#[test]
fn error_event_has_its_connection() {
    let peer = peer(Script::reset);
    let run = sockit("tcp-client --json").to(peer.addr()).stdin_open().run();
    run.exits(56);
    assert_eq!(run.events_named("error")[0]["conn"], 1, "{}", run.stderr);
    let run = sockit("tcp-client --json 127.0.0.1 1").run();
    assert!(run.exits(7).events_named("error")[0].get("conn").is_none(), "no connection");
}

#[test]
fn tracing_with_json_is_json() {
    let echo = peer::echoes();
    let run = sockit("tcp-client --json -vvv").to(echo.addr()).stdin("abc").run();
    run.exits(0).prints("abc");
    assert_eq!(run.events().len(), run.stderr.lines().count(), "{}", run.stderr);
    let log = &run.events_named("log")[0];
    assert!(log["message"].as_str().is_some_and(|text| text.contains("sockit::")), "{log}");
}

#[test]
fn stats_are_printed_with_quiet() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -q --stats").to(echo.addr()).stdin("abc").run();
    run.exits(0).prints("abc").logs("3 bytes");
}

#[test]
fn events_to_a_fifo_do_not_wait_for_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("events");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let echo = peer::echoes();
    let run = sockit("tcp-client --events").arg(&fifo).to(echo.addr()).stdin("abc").run();
    run.exits(0).prints("abc");
}
