//! What a run of the relay reports: JSON events, lines of text, statistics.

use super::route::*;
use serde_json::Value;

/// The events of one relayed connection that `run` makes.
fn events(run: impl FnOnce(Ends)) -> Vec<Value> {
    let mut route = Route::relay_with("--json --once --stats");
    run(route.connect());
    route.relays.remove(0).wait().events()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn events_of_a_connection_come_in_order() {
    let events = events(|Ends { client, server }| {
        send(&client, b"question");
        half_close(&client);
        assert_eq!(read_to_end(&server).0, b"question");
        send(&server, b"the answer");
        drop(server);
        assert_eq!(read_to_end(&client).0, b"the answer");
    });
    let expected =
        ["listening", "accepted", "connected", "half_closed", "half_closed", "stats", "closed"];
    assert_eq!(names(&events), expected);
    assert!(events[1..].iter().all(|event| event["conn"] == 1));
    assert_eq!((&events[3]["by"], &events[4]["by"]), (&"client".into(), &"target".into()));
    let closed = &events[6];
    assert_eq!((&closed["bytes_to_target"], &closed["bytes_to_client"]), (&8.into(), &10.into()));
    assert_eq!((&closed["bytes_in"], &closed["bytes_out"]), (&8.into(), &10.into()));
    assert_eq!(closed["ended_by"], "client");
}

#[test]
fn closed_event_names_the_peer_that_ended_first_or_the_reset() {
    let target_first = events(|Ends { client, server }| {
        drop(server);
        read_to_end(&client);
    });
    assert_eq!(target_first.last().unwrap()["ended_by"], "target");
    let was_reset = events(|Ends { client, server }| {
        reset(server);
        read_to_end(&client);
    });
    let closed = was_reset.iter().find(|event| event["event"] == "closed").unwrap();
    assert_eq!(closed["ended_by"], "reset");
}

#[test]
fn error_of_a_single_connection_has_its_number() {
    let events = events(|Ends { client, server }| {
        send(&server, b"half");
        reset(server);
        read_to_end(&client);
    });
    let error = events.last().unwrap();
    assert_eq!((&error["event"], &error["conn"]), (&"error".into(), &1.into()), "{error}");
}

#[test]
fn text_names_both_directions() {
    let mut route = Route::relay_with("--once -v");
    let Ends { client, server } = route.connect();
    send(&client, b"question");
    half_close(&client);
    assert_eq!(read_to_end(&server).0, b"question");
    drop(server);
    let run = route.relays.remove(0).wait();
    run.logs("Accept new connection from").logs("Connected to").logs("sends no more.");
    run.logs("8 bytes to target, 0 bytes to client").logs("ended by client");
}

#[test]
fn step_of_connecting_has_one_line() {
    let mut route = Route::relay_with("--once -v");
    let Ends { client, server } = route.connect();
    let peer = client.local_addr().unwrap().as_socket().unwrap();
    drop((client, server));
    let log = route.relays.remove(0).wait().stderr;
    let prefix = format!("{peer}: ");
    let steps: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
    let [socket, connecting, from, to] = steps[..] else { panic!("{log}") };
    assert!(socket.starts_with("Creating socket"), "{log}");
    assert!(connecting.starts_with("Connecting to") && connecting.ends_with("done."), "{log}");
    assert!(from.starts_with("Connected from ") && to.starts_with("Connected to "), "{log}");
    assert!(log.contains(&format!(" (client {peer}) sends no more.")), "{log}");
}

#[test]
fn hex_dump_has_the_connection_and_both_directions() {
    let directory = tempfile::tempdir().unwrap();
    let dump = directory.path().join("dump");
    let mut route = Route::relay_with(&format!("--once --hex {}", dump.display()));
    let Ends { client, server } = route.connect();
    send(&client, b"question");
    assert_eq!(receive(&server, 8), b"question");
    send(&server, b"answer");
    assert_eq!(receive(&client, 6), b"answer");
    drop((client, server));
    route.relays.remove(0).wait().exits(0);
    let dumped = std::fs::read_to_string(dump).unwrap();
    assert!(dumped.contains("1 < 00000000  71 75 65"), "{dumped}");
    assert!(dumped.contains("1 > 00000000  61 6e 73"), "{dumped}");
}

#[test]
fn traffic_of_both_sides_is_logged_in_order() {
    let mut route = Route::relay_with("--once -vv");
    let Ends { client, server } = route.connect();
    send(&client, b"question");
    assert_eq!(receive(&server, 8), b"question");
    send(&server, b"answer");
    assert_eq!(receive(&client, 6), b"answer");
    drop(server);
    read_to_end(&client);
    drop(client);
    let run = route.relays.remove(0).wait();
    let traffic = run.stderr.lines().filter(|line| line.contains(" bytes ") && line.ends_with('"'));
    let ends = |line: &str| {
        let (verb, data) = (line.split(' ').next(), line.rsplit(": ").next());
        format!("{} {}", verb.unwrap(), data.unwrap())
    };
    let traffic: Vec<_> = traffic.map(ends).collect();
    let question = ["Received \"question\"", "Sent \"question\""];
    assert_eq!(traffic, [question, ["Received \"answer\"", "Sent \"answer\""]].concat());
    run.logs("Received end of stream from").logs("Sent end of stream to");
}
