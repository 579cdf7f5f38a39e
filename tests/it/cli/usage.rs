//! Malformed command lines: the error, the hint, and whether the hint works.

use crate::support::datagrams::{local_addr, receive, udp_socket};
use crate::support::sockit::sockit;

#[test]
fn netcat_line_gets_the_sockit_line() {
    for (typed, expected) in [
        ("-l 9999", "sockit tcp-server --port 9999 --service pipe"),
        ("-u localhost 53", "sockit udp-client localhost 53"),
        ("-z localhost 22", "sockit check localhost:22"),
        ("-zv localhost 20-25", "sockit check localhost:20-25 -v"),
        ("-l -e /bin/cat 9999", "sockit tcp-server --port 9999 --exec /bin/cat"),
        ("localhost 80", "sockit tcp-client localhost 80"),
        ("tcp-client -w 3 localhost 80", "sockit tcp-client localhost 80 --idle-timeout 3"),
    ] {
        let run = sockit(typed).run();
        run.exits(2).prints("").logs(&format!("hint: try: {expected}\n"));
        assert_eq!(run.stderr.lines().count(), 2, "one line and one hint\n{}", run.stderr);
    }
}

/// The line that the hint proposes for the typed one.
fn proposed(typed: &str) -> String {
    let run = sockit(typed).run();
    run.exits(2).prints("");
    let hint = run.stderr.lines().find_map(|line| line.strip_prefix("hint: try: sockit "));
    hint.unwrap_or_else(|| panic!("{typed}: {}", run.stderr)).into()
}

#[test]
fn scan_hint_run_on_closed_port_exits_7() {
    let (tcp, udp) = (crate::support::peer::free_port(), local_addr(&udp_socket()).port());
    sockit(&proposed(&format!("-zv 127.0.0.1 {tcp}"))).run().exits(7);
    sockit(&proposed(&format!("-zvu 127.0.0.1 {udp}"))).run().exits(7);
}

#[test]
fn scan_hint_run_on_open_port_exits_0() {
    let tcp = sockit("tcp-server --service echo").serve();
    sockit(&proposed(&format!("-z 127.0.0.1 {}", tcp.port()))).run().exits(0);
    let udp = sockit("udp-echo").serve();
    sockit(&proposed(&format!("-zu 127.0.0.1 {}", udp.port()))).run().exits(0);
}

#[test]
fn udp_wait_0_hint_sends_without_waiting() {
    let metrics = udp_socket();
    let line = proposed(&format!("-u -w0 127.0.0.1 {}", local_addr(&metrics).port()));
    sockit(&line).stdin("a:1|c\n").run().exits(0).prints("");
    assert_eq!(receive(&metrics).0, b"a:1|c");
}

#[test]
fn source_hint_sends_from_address_and_port() {
    let server = sockit("tcp-server --service echo -v").serve();
    let from = crate::support::peer::free_port();
    let line = proposed(&format!("-s 127.0.0.2 -p {from} 127.0.0.1 {}", server.port()));
    sockit(&line).stdin("x").run().exits(0).prints("x");
    server.stop().logs(&format!("127.0.0.2:{from}"));
}

#[test]
fn wait_hint_run_waits_for_the_port() {
    let server = sockit("tcp-server --service echo").serve();
    let line = proposed(&format!("wait 127.0.0.1 {}", server.port()));
    assert!(line.contains("--wait"), "{line}");
    sockit(&line).run().exits(0);
}

#[test]
fn name_of_another_tool_never_becomes_a_host() {
    for tool in [
        "curl", "wget", "dig", "host", "nslookup", "ping", "wait", "telnet", "ncat", "socat",
        "openssl",
    ] {
        let run = sockit(tool).and("--frobnicate localhost").run();
        run.exits(2).never_logs(&format!("-client {tool}"));
        let plain = sockit(tool).and("localhost").run();
        plain.exits(2).never_logs(&format!("-client {tool}")).logs("hint: ");
    }
}

#[test]
fn word_of_dig_as_question_proposes_the_flag() {
    assert_eq!(proposed("resolve @127.0.0.1 localhost"), "resolve localhost --server 127.0.0.1");
    let line = proposed("resolve +short -x 127.0.0.1");
    sockit(&line).run().exits(0);
}

#[cfg(feature = "http")]
#[test]
fn curl_hint_run_gets_the_url() {
    let reply = r"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let server = sockit("tcp-server --once --greeting").arg(reply).serve();
    let line = proposed(&format!("curl -fsSL http://127.0.0.1:{}/", server.port()));
    sockit(&line).run().exits(0).prints("hi");
}

#[test]
fn usage_error_with_json_is_an_error_event() {
    let run = sockit("tcp-client --json --exepct x").run();
    run.exits(2).prints("");
    let [error] = run.events().try_into().expect("one event and nothing else");
    assert_eq!((&error["event"], &error["code"]), (&"error".into(), &2.into()));
}

#[test]
fn usage_error_escapes_control_bytes() {
    sockit("").arg("\u{1b}[31mred").run().exits(2).never_logs("\u{1b}");
}

#[test]
fn keepalive_value_follows_equals_sign() {
    for words in ["--keepalive=30s 127.0.0.1 1", "--keepalive 127.0.0.1 1"] {
        sockit("tcp-client --hang-up").and(words).run().exits(7).logs("127.0.0.1:1");
    }
    let line = proposed("tcp-client --hang-up --keepalive 30s 127.0.0.1 1");
    sockit(&line).run().exits(7).logs("127.0.0.1:1");
}

#[test]
fn help_command_prints_the_help_of_the_flag() {
    let by_word = sockit("help tcp-client").run();
    let by_flag = sockit("tcp-client --help").run();
    assert_eq!(by_word.exits(0).text(), by_flag.text());
    sockit("help").run().exits(0).logs_nothing();
    sockit("help tcp-clinet").run().exits(2).logs("tcp-client");
}

#[cfg(not(feature = "http"))]
#[test]
fn command_missing_in_the_build_names_the_feature() {
    sockit("http-get localhost").run().exits(2).logs("built without feature http");
}

#[cfg(not(feature = "tls"))]
#[test]
fn flag_missing_in_the_build_names_the_feature() {
    sockit("tcp-client --tls localhost 1").run().exits(2).logs("built without feature tls");
}

#[test]
fn malformed_value_is_usage_error() {
    for words in [
        "tcp-server --host 127.0.0.1:5000",
        "tcp-server --host [::1]:80",
        "tcp-server --host [::1",
        "tcp-server --sh ''",
        "tcp-server --exec ''",
        "tcp-server --interface ''",
        "tcp-client --keepalive=500ms",
        "tcp-client --keepalive=1d",
    ] {
        sockit(words).run().exits(2).prints("");
    }
}

#[test]
fn hint_never_repeats_the_failing_flag() {
    let run = sockit("tcp-server --port -1").run();
    run.exits(2).never_logs("--port -1");
}

#[test]
fn color_flag_decides_colour_of_help() {
    let coloured = |line: &str, force: Option<&str>| {
        let mut run = sockit(line);
        if let Some(force) = force {
            run = run.env("CLICOLOR_FORCE", force);
        }
        run.run().exits(0).text().contains('\x1b')
    };
    assert!(coloured("--color always --help", None));
    assert!(!coloured("--color never --help", Some("1")));
    assert!(!coloured("--help", Some("0")));
    assert!(coloured("--help", Some("1")));
}

#[test]
fn empty_host_or_port_is_usage_error() {
    for words in [
        "tcp-client ''",
        "tcp-client '' ''",
        "tcp-client '' 80",
        "tcp-client 127.0.0.1 ''",
        "tcp-client 127.0.0.1: --send x",
        "udp-client '' 80",
        "udp-client 127.0.0.1 '' --send x",
        "tcp-server --port ''",
        "udp-server --port ''",
        "udp-echo --port ''",
        "resolve ''",
        "tcp-client --proxy http://:1 target.example 80",
    ] {
        sockit(words).run().exits(2).prints("");
    }
}

#[test]
fn url_as_host_gets_the_host_in_the_hint() {
    for (words, hint) in [
        ("tcp-client tcp://localhost:9", "without the scheme: localhost:9"),
        ("tcp-client tcp://localhost 9", "without the scheme: localhost"),
        ("udp-client udp://localhost:9 --send x", "without the scheme: localhost:9"),
        ("tcp-client http://localhost:9/x", "localhost:9; sockit http-get takes URLs"),
        ("tcp-server --host tcp://127.0.0.1:9", "without the scheme: 127.0.0.1:9"),
        ("resolve https://localhost/x", "without the scheme: localhost; sockit http-get"),
    ] {
        let run = sockit(words).run();
        run.exits(2).fails_at("resolve").logs("hint: ").logs(hint);
    }
    let secret = sockit("tcp-client http://me:geheim@localhost/").run();
    secret.exits(2).never_logs("geheim");
}

#[test]
fn duration_may_begin_with_decimal_point() {
    let silent = crate::support::peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = sockit("tcp-client --connect-timeout .3").to(silent.addr()).run();
    run.exits(28).fails_at("connect").logs("timed out after 300ms");
}
