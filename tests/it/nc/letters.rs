//! The flags of netcat, and the names under which sockit is nc.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use sockit::usage::netcat_table;

use crate::docs::tables::read;
use crate::support::peer::{self, Peer};
use crate::support::sockit::{scratch, sockit};

#[test]
fn sockit_is_nc_under_the_names_of_netcat() {
    for name in ["nc", "ncat", "netcat"] {
        let folder = scratch().join(format!("nc-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path);
        symlink(env!("CARGO_BIN_EXE_sockit"), &path).expect("a link");
        let server = sockit("tcp-server --service echo").serve();
        let run = sockit("-v 127.0.0.1").arg(server.port().to_string()).stdin("hi\n");
        let run = run.instead(&path).run();
        run.exits(0).prints("hi\n").logs("Connection to 127.0.0.1 ");
        let _ = std::fs::remove_file(&path);
    }
}

#[test]
fn flags_stay_in_clusters_with_values_and_behind_operands() {
    let server = sockit("tcp-server --service echo").serve();
    let port = server.port();
    for line in [
        format!("-nvw1 127.0.0.1 {port}"),
        format!("-nw 1 -- 127.0.0.1 {port}"),
        format!("127.0.0.1 {port} -N -w1"),
        format!("127.0.0.1 -q 1 {port}"),
    ] {
        sockit(&format!("nc {line}")).stdin("hi\n").run().exits(0).prints("hi\n");
    }
    let listening = sockit("nc -lvnp 0").stdin("bye\n").start();
    listening.wait_for_log("Listening on 0.0.0.0 ");
}

#[test]
fn local_address_may_be_a_name() {
    let server = sockit("tcp-server --service echo").serve();
    let port = server.port();
    sockit(&format!("nc -s localhost 127.0.0.1 {port}"))
        .stdin("hi\n")
        .run()
        .exits(0)
        .prints("hi\n");
    for flag in ["-s no-such-host.invalid", "-p no-such-service"] {
        let run = sockit(&format!("nc {flag} 127.0.0.1 {port}")).run();
        run.exits(1).logs(flag.split(' ').next_back().unwrap_or_default());
    }
}

#[test]
fn half_close_is_reported_only_where_netcat_would_not_send_it() {
    let server = sockit("tcp-server --service echo").serve();
    for (flag, is_reported) in [("-v", true), ("-vN", false), ("-vNw2", true)] {
        let run = sockit(&format!("nc {flag} 127.0.0.1 {}", server.port())).stdin("hi\n").run();
        let log = &run.exits(0).stderr;
        assert_eq!(log.contains("sent the end of input"), is_reported, "{flag}: {log}");
    }
}

#[test]
fn wrong_and_unsupported_lines_exit_1_with_a_hint() {
    for (line, log) in [
        ("-K h 80", "nc: invalid option -- 'K'"),
        ("", "nc: missing port number"),
        ("localhost", "nc: missing port number"),
        ("-n localhost 80", "nc: getaddrinfo for host \"localhost\" port 80: "),
        ("127.0.0.1 70000", "nc: port number too large: 70000"),
        ("127.0.0.1 0", "nc: port number too small: 0"),
        ("-l -z 80", "nc: cannot use -z and -l"),
        ("-k 127.0.0.1 80", "nc: must use -l with -k"),
        ("-U /no-such-socket", "nc: /no-such-socket: No such file or directory"),
        ("127.0.0.1 no-such-port", "nc: port number invalid: no-such-port"),
        ("127.0.0.1 80 81", "hint: sockit check HOST:PORT,PORT"),
        ("-w soon 127.0.0.1 80", "nc: -w: 'soon' is not a duration"),
        ("-t 127.0.0.1 23", "hint: sockit tcp-client --help"),
        ("-l -F 80", "hint: sockit tcp-server --help"),
        ("-X 4 -x 127.0.0.1:1080 h 80", "nc: not available: SOCKS 4"),
    ] {
        sockit(&format!("nc {line}")).run().exits(1).logs(log);
    }
}

#[test]
fn refused_connection_is_silent_without_v() {
    let port = peer::free_port();
    sockit(&format!("nc 127.0.0.1 {port}")).run().exits(1).logs_nothing();
    let line = format!("nc: connect to 127.0.0.1 port {port} (tcp) failed: Connection refused\n");
    let run = sockit(&format!("nc -v 127.0.0.1 {port}")).run();
    assert_eq!(run.exits(1).stderr, line);
}

/// Answers a time after the end of the stream.
fn answers_late(delay: Duration) -> Peer<()> {
    peer::peer(move |mut stream| {
        stream.read_to_end(&mut Vec::new()).expect("an orderly end");
        thread::sleep(delay);
        stream.write_all(b"answer\n").expect("the client waits");
    })
}

#[test]
fn late_answer_is_never_lost() {
    for flags in ["-w 1", "-q 0", "-q 1", "-N", "-w 1 -q 1", ""] {
        let peer = answers_late(Duration::from_millis(2500));
        let run = sockit(&format!("nc {flags}")).to(peer.addr()).stdin("question\n").run();
        run.exits(0).prints("answer\n").logs_nothing();
    }
}

#[test]
fn silent_input_ends_after_the_time_of_w() {
    let peer = answers_late(Duration::ZERO);
    let client = sockit("nc -w 1").to(peer.addr()).stdin_open().start();
    client.wait().exits(0).prints("answer\n");
}

#[test]
fn program_runs_on_the_connection_of_a_client() {
    for flags in ["-e 'tr a-z A-Z'", "-c 'tr a-z A-Z'", "--sh-exec 'tr a-z A-Z'"] {
        let server = sockit("nc -v -l 127.0.0.1 0").stdin("shout\n").start();
        server.wait_for_log("Listening on ");
        let log = String::from_utf8(server.stderr.bytes()).expect("a log");
        let port = log.trim_end().rsplit(' ').next().expect("a port");
        sockit(&format!("nc 127.0.0.1 {port} {flags}")).run().exits(0);
        server.wait().exits(0).prints("SHOUT\n");
    }
}

#[test]
fn program_of_a_client_ends_at_a_signal() {
    let server = sockit("tcp-server --service discard").serve();
    let client = sockit("nc -v").to(server.addr()).and("-c 'sleep 300'").start();
    client.wait_for_log("succeeded!");
    client.signal(libc::SIGTERM);
    client.wait().exits(143);
}

#[cfg(feature = "tls")]
#[test]
fn ssl_accepts_any_certificate_unless_it_is_to_be_verified() {
    let server = sockit("tcp-server --tls --service echo").serve();
    sockit("nc --ssl").to(server.addr()).stdin("hi\n").run().exits(0).prints("hi\n");
    sockit("nc --ssl --ssl-verify").to(server.addr()).stdin("hi\n").run().exits(1).prints("");
}

#[test]
fn document_and_help_list_every_flag() {
    let (document, help) = (read("docs/nc.md"), sockit("nc --help").run().text());
    let words: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for flag in netcat_table::ALL {
        let names: Vec<String> =
            flag.names.split(' ').map(|name| format!("`{}`", name.replace('=', " X"))).collect();
        let row = format!("| {} | {} | {} |", names.join(", "), flag.dialects, flag.how());
        assert!(document.contains(&row), "not in docs/nc.md:\n{row}");
        if !flag.how().starts_with("usage error") {
            let how = flag.how().replace('`', "");
            assert!(words.contains(how.as_str()), "not in the help: {how}");
        }
    }
}
