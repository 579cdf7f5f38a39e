//! `relay --udp`: a flow per client.

use std::net::UdpSocket;

use crate::support::datagrams::{exchange, local_addr, receive, udp_socket};
use crate::support::process::Daemon;
use crate::support::sockit::sockit;

/// A relay in front of `target`.
fn relay_to(target: &UdpSocket, flags: &str) -> Daemon {
    sockit(&format!("relay --udp 0 {} {flags}", local_addr(target))).serve()
}

#[test]
fn each_client_has_a_flow_of_its_own() {
    let target = udp_socket();
    let relay = relay_to(&target, "");
    let clients: Vec<_> = (0..5).map(|_| udp_socket()).collect();
    let mut flows = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        client.send_to(format!("query {n}").as_bytes(), relay.addr()).unwrap();
        let (query, flow) = receive(&target);
        assert_eq!(query, format!("query {n}").as_bytes());
        flows.push(flow);
    }
    for (n, flow) in flows.iter().enumerate().rev() {
        target.send_to(format!("reply {n}").as_bytes(), flow).unwrap();
        let (reply, from) = receive(&clients[n]);
        assert_eq!((reply, from), (format!("reply {n}").into_bytes(), relay.addr()));
    }
    clients[0].send_to(b"again", relay.addr()).unwrap();
    assert_eq!(receive(&target), (b"again".to_vec(), flows[0]));
}

#[test]
fn datagrams_of_every_length_keep_their_boundaries() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let relay = sockit(&format!("relay --udp 0 {}", server.addr())).serve();
    let client = udp_socket();
    for len in [0, 1, 1472, 9000, 65_507] {
        let datagram = vec![7; len];
        assert!(exchange(&client, relay.addr(), &datagram) == datagram, "{len} bytes");
    }
}

#[test]
fn flow_ends_at_its_idle_timeout() {
    let target = udp_socket();
    let relay = relay_to(&target, "--idle-timeout 300ms --once --json");
    let client = udp_socket();
    client.send_to(b"query", relay.addr()).unwrap();
    let (_, flow) = receive(&target);
    target.send_to(b"the reply", flow).unwrap();
    assert_eq!(receive(&client).0, b"the reply");
    let run = relay.wait();
    let closed = run.exits(0).events().pop().unwrap();
    assert_eq!((&closed["event"], &closed["ended_by"]), (&"closed".into(), &"timeout".into()));
    assert_eq!((&closed["bytes_to_target"], &closed["bytes_to_client"]), (&5.into(), &9.into()));
}

#[test]
fn max_conns_limits_the_flows() {
    let target = udp_socket();
    let relay = relay_to(&target, "--max-conns 1");
    let (first, second) = (udp_socket(), udp_socket());
    first.send_to(b"first", relay.addr()).unwrap();
    assert_eq!(receive(&target).0, b"first");
    second.send_to(b"second", relay.addr()).unwrap();
    relay.wait_for_log("--max-conns");
    first.send_to(b"first again", relay.addr()).unwrap();
    assert_eq!(receive(&target).0, b"first again");
}

#[test]
fn refused_datagram_is_reported_once_and_the_flow_continues() {
    let address = local_addr(&udp_socket());
    let relay = sockit(&format!("relay --udp 0 {address}")).serve();
    let client = udp_socket();
    client.send_to(b"lost", relay.addr()).unwrap();
    relay.wait_for_log("Connection refused");
    let target = UdpSocket::bind(address).unwrap();
    client.send_to(b"query", relay.addr()).unwrap();
    assert_eq!(receive(&target).0, b"query");
    let run = relay.stop();
    run.exits(0);
    assert_eq!(run.stderr.matches("Connection refused").count(), 1);
}

#[test]
fn streams_flags_and_unix_sockets_are_usage_errors() {
    for line in [
        "relay --udp 0 127.0.0.1:1 --tls",
        "relay --udp 0 127.0.0.1:1 --proxy http://a:1",
        "relay --udp unix:/tmp/a 127.0.0.1:1",
        "relay --udp 0 unix:/tmp/a",
    ] {
        sockit(line).run().exits(2);
    }
}

#[test]
fn delayed_datagram_arrives_after_its_time() {
    let target = udp_socket();
    let relay = relay_to(&target, "--fault to-target:delay=400ms --seed 1");
    let client = udp_socket();
    let sent = std::time::Instant::now();
    client.send_to(b"query", relay.addr()).unwrap();
    let (query, flow) = receive(&target);
    assert_eq!(query, b"query");
    assert!(sent.elapsed() >= std::time::Duration::from_millis(400), "{:?}", sent.elapsed());
    target.send_to(b"reply", flow).unwrap();
    assert_eq!(receive(&client).0, b"reply");
}

#[test]
fn lost_datagrams_are_those_of_the_seed() {
    let lost = || {
        let target = udp_socket();
        let relay = relay_to(&target, "--fault to-target:loss=50% --seed 7");
        let client = udp_socket();
        client.connect(relay.addr()).unwrap();
        (0..100u8).for_each(|n| assert_eq!(client.send(&[n]).unwrap(), 1));
        let mut arrived = Vec::new();
        while arrived.len() < 20 {
            arrived.push(receive(&target).0);
        }
        arrived
    };
    let arrived = lost();
    assert_eq!(arrived, lost());
    assert!(arrived.windows(2).any(|two| two[1][0] > two[0][0] + 1), "{arrived:?}");
}

#[test]
fn traffic_of_both_sides_is_logged() {
    let target = udp_socket();
    let relay = relay_to(&target, "-vv --once --idle-timeout 300ms");
    let client = udp_socket();
    client.send_to(b"query", relay.addr()).unwrap();
    let (_, flow) = receive(&target);
    target.send_to(b"the reply", flow).unwrap();
    assert_eq!(receive(&client).0, b"the reply");
    let run = relay.wait();
    let [client, target] = [local_addr(&client), local_addr(&target)];
    run.exits(0).logs(&format!("Received 5 bytes from {client}: \"query\"\n"));
    run.logs(&format!("Sent 5 bytes to {target}: \"query\"\n"));
    run.logs(&format!("Received 9 bytes from {target}: \"the reply\"\n"));
    run.logs(&format!("Sent 9 bytes to {client}: \"the reply\"\n"));
}
