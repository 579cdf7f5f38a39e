//! Command lines that make no sense, and what they are met with.

use crate::sockit::sockit;

#[test]
fn a_netcat_habit_is_met_with_our_line() {
    for (typed, ours) in [
        ("-l 9999", "sockit tcp-server --port 9999 --service pipe"),
        ("-u localhost 53", "sockit udp-client localhost 53"),
        ("-z localhost 22", "sockit tcp-client localhost 22 --hang-up < /dev/null"),
        ("-l -e /bin/cat 9999", "sockit tcp-server --port 9999 --exec /bin/cat"),
        ("localhost 80", "sockit tcp-client localhost 80"),
        ("tcp-client -w 3 localhost 80", "sockit tcp-client localhost 80 --idle-timeout 3"),
    ] {
        let run = sockit(typed).run();
        run.exits(2).prints("").says(&format!("hint: try: {ours}\n"));
        assert_eq!(run.stderr.lines().count(), 2, "one line and one hint\n{}", run.stderr);
    }
}

#[test]
fn in_json_a_usage_error_is_an_event_like_any_other() {
    let run = sockit("tcp-client --json --exepct x").run();
    run.exits(2).prints("");
    let [error] = run.events().try_into().expect("one event and nothing else");
    assert_eq!((&error["event"], &error["code"]), (&"error".into(), &2.into()));
}

#[test]
fn control_bytes_of_the_command_line_are_escaped() {
    sockit("").arg("\u{1b}[31mred").run().exits(2).never_says("\u{1b}");
}

#[test]
fn keepalive_takes_its_time_as_a_word_of_its_own_too() {
    for words in
        ["--keepalive 30s 127.0.0.1 1", "--keepalive=30s 127.0.0.1 1", "127.0.0.1 1 --keepalive"]
    {
        sockit("tcp-client --hang-up").and(words).run().exits(7).says("127.0.0.1:1");
    }
}

#[test]
fn help_as_a_word_is_help() {
    let by_word = sockit("help tcp-client").run();
    let by_flag = sockit("tcp-client --help").run();
    assert_eq!(by_word.exits(0).text(), by_flag.text());
    sockit("help").run().exits(0).is_silent();
    sockit("help tcp-clinet").run().exits(2).says("tcp-client");
}

#[cfg(not(feature = "http"))]
#[test]
fn a_command_that_is_not_in_this_build_says_so() {
    sockit("http-get localhost").run().exits(2).says("built without feature http");
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_flag_that_is_not_in_this_build_says_so() {
    sockit("tcp-client --tls localhost 1").run().exits(2).says("built without feature tls");
}

#[test]
fn values_that_make_no_sense_are_met_at_once() {
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
fn advice_is_never_what_fails_the_same_way() {
    let run = sockit("tcp-server --port -1").run();
    run.exits(2).never_says("--port -1");
}

#[test]
fn colour_in_help_is_as_the_flag_says() {
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
fn url_as_host_gets_word_to_write_instead() {
    for (words, hint) in [
        ("tcp-client tcp://localhost:9", "without the scheme: localhost:9"),
        ("tcp-client tcp://localhost 9", "without the scheme: localhost"),
        ("udp-client udp://localhost:9 --send x", "without the scheme: localhost:9"),
        ("tcp-client http://localhost:9/x", "localhost:9; sockit http-get takes URLs"),
        ("tcp-server --host tcp://127.0.0.1:9", "without the scheme: 127.0.0.1:9"),
        ("resolve https://localhost/x", "without the scheme: localhost; sockit http-get"),
    ] {
        let run = sockit(words).run();
        run.exits(2).fails_at("resolve").says("hint: ").says(hint);
    }
    let secret = sockit("tcp-client http://me:geheim@localhost/").run();
    secret.exits(2).never_says("geheim");
}

#[test]
fn duration_may_begin_with_its_point() {
    let silent = crate::peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = sockit("tcp-client --connect-timeout .3").to(silent.addr()).run();
    run.exits(28).fails_at("connect").says("timed out after 300ms");
}
