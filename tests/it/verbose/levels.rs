//! `-vvv` and SOCKIT_LOG: decisions, with the command and the connection they belong to.

use crate::support::peer;
use crate::support::sockit::sockit;

#[test]
fn trace_has_spans_and_typed_fields() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -vvv").to(echo.addr()).stdin("x").run();
    run.exits(0).prints("x");
    run.logs("command{name=\"tcp-client\"}:connection{conn=1 peer=127.0.0.1:");
    run.logs("route=\"direct\"").logs("method=\"copy\"").logs("up=\"done\" down=\"done\"");
    assert!(!run.stderr.contains("Some(") && !run.stderr.contains(" { "), "{}", run.stderr);
}

#[test]
fn server_traces_each_connection_by_its_number() {
    let server = sockit("tcp-server -vvv --max-accepts 2").serve();
    for _ in 0..2 {
        sockit("tcp-client --send exit").to(server.addr()).run().exits(0);
    }
    let run = server.wait();
    for conn in 1..=2 {
        run.logs(&format!("command{{name=\"tcp-server\"}}:connection{{conn={conn} peer="));
    }
}

#[test]
fn each_level_contains_the_lower_ones() {
    let lines = |flag: &str| {
        let echo = peer::echoes();
        let run = sockit("tcp-client").and(flag).to(echo.addr()).stdin("x").run();
        run.exits(0);
        let has = |text: &str| run.stderr.contains(text);
        [has("Creating socket"), has("Sent 1 byte to"), has(" DEBUG ")]
    };
    assert_eq!(lines(""), [false, false, false]);
    assert_eq!(lines("-v"), [true, false, false]);
    assert_eq!(lines("-vv"), [true, true, false]);
    assert_eq!(lines("-vvv"), [true, true, true]);
}

#[test]
fn variable_traces_without_the_steps() {
    let echo = peer::echoes();
    let client = sockit("tcp-client").env("SOCKIT_LOG", "sockit::transfer=debug");
    let run = client.to(echo.addr()).stdin("x").run();
    run.exits(0).logs("sockit::transfer").never_logs("sockit::net").never_logs("Creating socket");
}

#[test]
fn help_describes_each_level() {
    let help = sockit("tcp-client --help").run().text();
    for level in ["-v: ", "-vv: ", "-vvv: "] {
        assert!(help.contains(level), "{level} in\n{help}");
    }
}
