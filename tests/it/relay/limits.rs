//! Limits, shutdown and malformed command lines.

use std::net::TcpListener;
use std::time::Duration;

use super::route::*;
use crate::support::peer::wait_until_refused;
use crate::support::process::Daemon;
use crate::support::sockit::sockit;
use crate::support::wait_until;

fn terminate(relay: &Daemon) {
    relay.signal(libc::SIGTERM);
}

#[test]
fn once_relays_one_connection_and_exits() {
    let mut route = Route::relay_with("--once");
    let Ends { client, server } = route.connect();
    send(&client, b"x");
    assert_eq!(receive(&server, 1), b"x");
    drop((client, server));
    route.relays.remove(0).wait().exits(0);
}

#[test]
fn once_exits_7_when_the_target_is_unreachable() {
    let refusing = crate::support::peer::Refusing::new();
    let relay = sockit(&format!("relay 0 {} --once", refusing.addr())).serve();
    let client = socket2::Socket::from(crate::support::peer::connect(relay.addr()));
    assert_eq!(read_to_end(&client).1, End::Reset);
    relay.wait().exits(7).fails_at("connect");
}

#[test]
fn idle_timeout_resets_both_sides() {
    let mut route = Route::relay_with("--idle-timeout 500ms --once");
    let Ends { client, server } = route.connect();
    send(&client, b"x");
    assert_eq!(receive(&server, 1), b"x");
    assert_eq!(read_to_end(&client).1, End::Reset);
    assert_eq!(read_to_end(&server).1, End::Reset);
    route.relays.remove(0).wait().exits(28);
}

#[test]
fn idle_timeout_counts_bytes_of_both_directions() {
    let route = Route::relay_with("--idle-timeout 2s");
    let Ends { client, server } = route.connect();
    for _ in 0..25 {
        send(&server, b"x");
        assert_eq!(receive(&client, 1), b"x");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(client);
    assert_eq!(read_to_end(&server), (Vec::new(), End::Eof));
}

#[test]
fn denied_client_is_closed() {
    let route = Route::relay_with("--deny 127.0.0.1");
    let client = socket2::Socket::from(crate::support::peer::connect(route.relays[0].addr()));
    read_to_end(&client);
    route.relays[0].wait_for_log("denied by rule");
}

#[test]
fn max_conns_queues_further_clients() {
    let route = Route::relay_with("--max-conns 1");
    let Ends { client, server } = route.connect();
    let second = crate::support::peer::connect(route.relays[0].addr());
    let second = socket2::Socket::from(second);
    send(&second, b"second");
    drop((client, server));
    assert_eq!(receive(&route.accept(), 6), b"second");
}

#[test]
fn sigterm_lets_a_connection_finish_within_grace() {
    let mut route = Route::relay_with("--grace 15s");
    let Ends { client, server } = route.connect();
    send(&client, b"question");
    assert_eq!(receive(&server, 8), b"question");
    terminate(&route.relays[0]);
    half_close(&client);
    assert_eq!(read_to_end(&server).1, End::Eof);
    send(&server, b"answer");
    drop(server);
    assert_eq!(read_to_end(&client), (b"answer".to_vec(), End::Eof));
    route.relays.remove(0).wait().exits(0);
}

#[test]
fn sigterm_resets_what_is_left_after_grace() {
    for flags in ["--grace 200ms", "--grace 0"] {
        let mut route = Route::relay_with(flags);
        let Ends { client, server } = route.connect();
        send(&server, b"half an answer");
        assert_eq!(receive(&client, 14), b"half an answer");
        terminate(&route.relays[0]);
        assert_eq!(read_to_end(&client), (Vec::new(), End::Reset));
        assert_eq!(read_to_end(&server), (Vec::new(), End::Reset));
        route.relays.remove(0).wait().exits(143).logs("1 connection was reset at shutdown");
    }
}

#[test]
fn sigterm_after_a_half_close_resets_the_other_peer() {
    for mut route in [Route::relay_with("--grace 200ms"), Route::from_unix_with("--grace 200ms")] {
        let Ends { client, server } = route.connect();
        half_close(&client);
        assert_eq!(read_to_end(&server).1, End::Eof);
        terminate(&route.relays[0]);
        wait_for_reset(&server);
        route.relays.remove(0).wait().exits(143);
    }
}

#[test]
fn sigterm_while_connecting_resets_the_client() {
    let unanswering = crate::support::peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let relay = sockit(&format!("relay 0 {} -v", unanswering.addr())).serve();
    let client = socket2::Socket::from(crate::support::peer::connect(relay.addr()));
    relay.wait_for_log(": Creating socket (IPv4)... done.");
    terminate(&relay);
    assert_eq!(read_to_end(&client).1, End::Reset);
    relay.wait().exits(143);
}

#[test]
fn source_is_the_address_that_the_target_sees() {
    let mut route = Route::relay_with("--once -v --source 127.0.0.2");
    let Ends { client, server } = route.connect();
    let peer = server.peer_addr().unwrap().as_socket().unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.2");
    drop((client, server));
    let run = route.relays.remove(0).wait();
    run.logs("Binding to 127.0.0.2:0... done.");
    assert!(!run.stderr.lines().any(|line| line.ends_with(": ")), "{}", run.stderr);
}

#[test]
fn same_address_on_both_sides_is_usage_error() {
    for line in [
        "relay 4711 127.0.0.1:4711",
        "relay 4711 localhost:4711",
        "relay :4711 127.0.0.1:4711",
        "relay unix:/tmp/a unix:/tmp/a",
    ] {
        sockit(line).run().exits(2).logs("the address that the relay listens on");
    }
}

#[test]
fn malformed_address_is_usage_error() {
    for line in [
        "relay 70000 127.0.0.1:1",
        "relay 4711 127.0.0.1",
        "relay 4711 127.0.0.1:0",
        "relay 4711 127.0.0.1:70000",
        "relay 127.0.0.1 127.0.0.1:1",
        "relay 4711",
        "relay unix: 127.0.0.1:1",
        "relay 4711 unix:",
        "relay",
        "relay 4711 127.0.0.1:1 --ca-file x",
        "relay 4711 127.0.0.1:1 --cert x",
        "relay unix:/tmp/a 127.0.0.1:1 --allow 127.0.0.1",
    ] {
        sockit(line).run().exits(2);
    }
}

#[test]
fn second_signal_resets_both_peers() {
    let mut route = Route::relay_with("--grace 1m");
    let Ends { client, server } = route.connect();
    send(&client, b"half of");
    assert_eq!(receive(&server, 7), b"half of");
    send(&server, b"an answer");
    assert_eq!(receive(&client, 9), b"an answer");
    let relay = route.relays.remove(0);
    terminate(&relay);
    // The first signal has been handled once the listener is closed.
    wait_until_refused(relay.addr());
    terminate(&relay);
    for peer in [client, server] {
        assert_eq!(read_to_end(&peer), (Vec::new(), End::Reset));
    }
    relay.wait().exits(143);
}

#[test]
fn occupied_port_exits_45() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = occupied.local_addr().unwrap().port();
    sockit(&format!("relay {port} 127.0.0.1:1")).run().exits(45).fails_at("bind");
}

#[test]
fn print_port_is_the_first_line() {
    let relay = sockit("relay 0 127.0.0.1:1 --print-port").start();
    relay.wait_for_output("\n");
    relay.signal(libc::SIGTERM);
    let run = relay.wait();
    let port: u16 = String::from_utf8(run.stdout.clone()).unwrap().trim().parse().unwrap();
    run.exits(0).logs(&format!("127.0.0.1:{port}..."));
}

/// Two threads each, and none is left.
#[test]
fn connections_have_two_threads_each_and_release_all() {
    use crate::support::proc_stats;

    let route = Route::relay();
    let pid = route.relays[0].pid();
    let before = proc_stats::descriptors(pid);
    let all: Vec<Ends> = (0..50).map(|_| route.connect()).collect();
    for Ends { client, server } in &all {
        send(client, b"x");
        assert_eq!(receive(server, 1), b"x");
        send(server, b"y");
        assert_eq!(receive(client, 1), b"y");
    }
    assert!(proc_stats::threads(pid) <= 1 + 2 * 50);
    drop(all);
    wait_until("descriptors are closed", || proc_stats::descriptors(pid) <= before);
}

#[test]
fn hints_name_no_flag_that_relay_lacks() {
    let rules = sockit("relay unix:/tmp/a 127.0.0.1:1 --allow 127.0.0.1").run();
    rules.exits(2).logs("hint: the permissions of the directory").never_logs("--mode");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let run = sockit("relay").arg(listen).arg("127.0.0.1:1").run();
    run.exits(45).logs("hint: the port is in use").never_logs("--port");
}
