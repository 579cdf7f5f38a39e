//! Lines, JSON objects, `-q`, `--count`, and what stdout does to the run.

use super::{check, lines, listener, objects};
use crate::support::peer::{Refusing, Unanswering};
use crate::support::sockit::sockit;

#[test]
fn lines_are_in_the_order_given() {
    let silent = Unanswering::on(([127, 0, 0, 1], 0).into());
    let (_listener, open) = listener();
    let refusing = Refusing::new();
    let run = check("--timeout 1s", &[silent.addr(), open, refusing.addr(), open]).run();
    let expected = [
        format!("{} timeout", silent.addr()),
        format!("{open} open N ms"),
        format!("{} refused", refusing.addr()),
        format!("{open} open N ms"),
    ];
    assert_eq!(lines(run.exits(28)), expected);
}

#[test]
fn json_is_one_object_per_target_on_stdout() {
    let (_listener, open) = listener();
    let refusing = Refusing::new();
    let run = check("--json", &[open, refusing.addr()]).run();
    run.exits(7).logs_nothing();
    let [first, second] = &objects(&run)[..] else { panic!("{}", run.text()) };
    assert_eq!(first["event"], "checked");
    assert_eq!(first["target"], open.to_string());
    assert_eq!((&first["status"], &first["code"]), (&"open".into(), &0.into()));
    assert_eq!(first["address"], open.to_string());
    assert!(first["milliseconds"].as_f64().is_some_and(|ms| ms > 0.0));
    assert!(first.get("cause").is_none() && first.get("phase").is_none());
    assert_eq!((&second["status"], &second["code"]), (&"refused".into(), &7.into()));
    assert_eq!(
        (&second["cause"], &second["phase"]),
        (&"Connection refused".into(), &"connect".into())
    );
}

#[test]
fn events_file_has_the_results() {
    let (_listener, open) = listener();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events");
    let run = check("-q --events", &[]).arg(&file).arg(open.to_string()).run();
    run.exits(0).logs_nothing().prints("");
    assert!(std::fs::read_to_string(file).unwrap().contains("\"status\":\"open\""));
}

#[test]
fn quiet_prints_nothing() {
    let (_listener, open) = listener();
    let refusing = Refusing::new();
    check("-q", &[open]).run().exits(0).logs_nothing().prints("");
    check("-q", &[refusing.addr()]).run().exits(7).logs_nothing().prints("");
    check("-q --json", &[refusing.addr()]).run().exits(7).logs_nothing().prints("");
}

#[test]
fn closed_stdout_changes_no_exit_code_and_a_full_disk_is_23() {
    let (_listener, open) = listener();
    let refusing = Refusing::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    check("", &[refusing.addr()]).stdout_to(writer).run().exits(7).logs_nothing();
    check("", &[open]).redirect(">&-").run().exits(0).logs_nothing();
    check("", &[open]).redirect("> /dev/full").run().exits(23).fails_at("stdout");
}

#[test]
fn count_prints_the_times_to_connect() {
    let server = sockit("tcp-server -v").serve();
    let run = check("--count 5 --interval 5ms", &[server.addr()]).run();
    run.exits(0).logs_nothing();
    let begin = format!("{} open 5 of 5, min/avg/max/p99 = ", server.addr());
    assert!(run.text().starts_with(&begin) && run.text().ends_with(" ms\n"), "{}", run.text());
    let run = check("--json --count 3 --interval 0", &[server.addr()]).run();
    let object = &objects(&run)[0];
    assert_eq!((&object["attempts"], &object["opened"]), (&3.into(), &3.into()));
    for key in ["min_ms", "avg_ms", "max_ms", "p99_ms"] {
        assert!(object[key].as_f64().is_some_and(|ms| ms > 0.0), "{key}: {object}");
    }
    server.wait_for_log_times("Accept new connection", 8);
}

#[test]
fn count_of_a_closed_port_has_no_times() {
    let refusing = Refusing::new();
    let run = check("--count 3 --interval 1ms", &[refusing.addr()]).run();
    run.exits(7).prints(format!("{} refused\n", refusing.addr()));
}

#[test]
fn count_on_a_terminal_has_a_histogram() {
    let (_listener, open) = listener();
    let command = check("--count 4 --interval 1ms", &[open]).command();
    let mut session = rexpect::session::spawn_command(command, Some(20_000)).expect("a terminal");
    let text = session.exp_eof().expect("the end of the run");
    assert!(text.contains("open 4 of 4") && text.contains(" ms |"), "{text}");
}

#[test]
fn vv_shows_the_steps_and_datagrams_of_each_attempt() {
    let (_listener, open) = listener();
    let run = check("-vv", &[open]).run();
    run.exits(0).logs("Creating socket (IPv4)... done.\n");
    run.logs(&format!("Connecting to {open}... done.\n"));
    let run = check("-v", &[open]).run();
    run.exits(0).never_logs("Connecting to");
    let echo = sockit("udp-echo").serve();
    let run = sockit(&format!("check -vv udp:{}", echo.addr())).run();
    run.exits(0).logs(&format!("Sent 1 byte to {}: \"X\"\n", echo.addr()));
    run.logs(&format!("Received 1 byte from {}: \"X\"\n", echo.addr()));
}

#[test]
fn vvv_traces_each_attempt() {
    let (_listener, open) = listener();
    let run = check("-vvv", &[open]).run();
    run.exits(0).logs(&format!("target={open} addresses=1")).logs("status=open");
}
