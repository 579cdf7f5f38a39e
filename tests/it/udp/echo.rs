//! `sockit udp-echo`: every datagram is echoed completely, from the address that received it,
//! within the rate limit.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use crate::support::datagrams::{exchange, local_addr, receive, udp_socket, udp_socket_at};
use crate::support::peer;
use crate::support::process::{Daemon, Process};
use crate::support::sockit::{LIMIT, sockit};
use crate::support::strace::{can_trace, injected};
use crate::support::wait_until;

#[test]
fn datagram_of_every_size_is_echoed() {
    let server = sockit("udp-echo").serve();
    let client = udp_socket();
    for size in [0, 1, 2, 1472, 8192, 65_506, 65_507] {
        let sent: Vec<u8> = (0..=250).cycle().take(size).collect();
        assert!(exchange(&client, server.addr(), &sent) == sent, "{size} bytes");
    }
    let run = server.stop();
    run.exits(0).prints("").logs("7 datagrams in (140680 bytes), 7 out (140680 bytes), 1 peers");
}

#[test]
fn interleaved_peers_get_their_own_datagrams() {
    let server = sockit("udp-echo").serve();
    let (one, two) = (udp_socket(), udp_socket());
    for n in 0..50 {
        one.send_to(format!("one {n}").as_bytes(), server.addr()).unwrap();
        two.send_to(format!("two {n}").as_bytes(), server.addr()).unwrap();
    }
    for n in 0..50 {
        assert_eq!(receive(&one).0, format!("one {n}").as_bytes());
        assert_eq!(receive(&two).0, format!("two {n}").as_bytes());
    }
}

#[test]
fn reply_leaves_from_the_receiving_address() {
    let server = sockit("udp-echo --host ''").serve();
    let port = server.port();
    for (ours, asked) in [("127.0.0.1", "127.0.0.2"), ("127.0.0.3", "127.0.0.4")] {
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        let client = udp_socket_at(ours);
        client.send_to(b"?", asked).unwrap();
        assert_eq!(receive(&client), (b"?".to_vec(), asked));
    }
    if UdpSocket::bind("[::1]:0").is_ok() {
        let asked = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let client = udp_socket_at("::1");
        client.send_to(b"?", asked).unwrap();
        assert_eq!(receive(&client), (b"?".to_vec(), asked));
    }
}

#[test]
fn broadcast_datagram_is_echoed() {
    for flags in ["--host ''", "-4 --host ''"] {
        let server = sockit("udp-echo").and(flags).serve();
        let client = udp_socket();
        client.set_broadcast(true).unwrap();
        let broadcast = SocketAddr::from(([127, 255, 255, 255], server.port()));
        client.send_to(b"a query", broadcast).unwrap();
        let (answer, from) = receive(&client);
        assert_eq!((answer.as_slice(), from.ip()), (&b"a query"[..], [127, 0, 0, 1].into()));
        server.stop().exits(0);
    }
}

#[test]
fn merged_datagrams_are_echoed_one_by_one() {
    let Some(mut python) = peer::program("python3") else { return };
    let server = sockit("udp-echo").serve();
    // Sent as one with UDP_SEGMENT (udp(7)), the kernel may hand them to sockit as one.
    let script = "import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
try: s.setsockopt(17, 103, 100)
except OSError: print('no UDP_SEGMENT'); sys.exit()
s.sendto(b'a' * 100 + b'b' * 100 + b'c' * 30, ('127.0.0.1', int(sys.argv[1])))
for letter, size in ((b'a', 100), (b'b', 100), (b'c', 30)):
    assert s.recv(1000) == letter * size
print('complete')";
    python.args(["-c", script, &server.port().to_string()]);
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Process::start(python, Some(Vec::new()), LIMIT).wait();
    run.exits(0);
    assert!(["complete\n", "no UDP_SEGMENT\n"].contains(&run.text().as_str()), "{}", run.text());
}

#[test]
fn verbose_logs_the_peer() {
    let server = sockit("udp-echo -v").serve();
    let client = udp_socket();
    exchange(&client, server.addr(), "hello");
    server.wait_for_log(&format!("Got data from {} (5 bytes)", local_addr(&client)));
    server.stop().exits(0);
}

#[test]
fn vanished_peers_do_not_stop_the_server() {
    let server = sockit("udp-echo").serve();
    for n in 0..200 {
        let gone = udp_socket();
        gone.send_to(format!("{n}").as_bytes(), server.addr()).unwrap();
    }
    assert_eq!(exchange(&udp_socket(), server.addr(), "still there"), b"still there");
    server.stop().exits(0);
}

#[test]
fn max_rate_limits_replies_per_source() {
    let server = sockit("udp-echo --max-rate 10 --json").serve();
    let (client, other) = (udp_socket(), udp_socket_at("127.0.0.9"));
    for n in 0..50u8 {
        client.send_to(&[n], server.addr()).unwrap();
    }
    for n in 0..10u8 {
        assert_eq!(receive(&client).0, [n]);
    }
    assert_eq!(exchange(&other, server.addr(), "mine"), b"mine", "another source is not affected");
    let run = server.stop();
    let warnings = run.stderr.matches("answered at most 10 times a second").count();
    assert_eq!(warnings, 1, "warned once\n{}", run.stderr);
    let totals = &run.exits(0).events_named("totals")[0];
    assert_eq!(totals["datagrams_in"], 51);
    assert!(totals["dropped"]["rate"].as_u64().unwrap() >= 35, "{totals}");
    assert_eq!(totals["peers"], 2);
}

#[test]
fn max_rate_0_answers_everything() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let client = udp_socket();
    for n in 0..3000u32 {
        assert_eq!(exchange(&client, server.addr(), n.to_le_bytes()), n.to_le_bytes());
    }
}

#[test]
fn ports_of_echo_services_are_not_answered() {
    for port in [7, 13, 17, 19, 37] {
        let Ok(echo_port) = UdpSocket::bind(("127.0.0.1", port)) else {
            eprintln!("skipped: port {port} cannot be bound");
            continue;
        };
        let server = sockit("udp-echo -v").serve();
        echo_port.send_to(b"?", server.addr()).unwrap();
        server.wait_for_log(&format!("Not answering 127.0.0.1:{port}"));
        assert_eq!(exchange(&udp_socket(), server.addr(), "you"), b"you");
        echo_port.set_nonblocking(true).unwrap();
        assert!(echo_port.recv(&mut [0; 10]).is_err(), "port {port} was answered");
    }
}

/// Sends a datagram to `victim` with the address of `source`, a server that shares its port.
fn forge(source: SocketAddr, victim: SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.send_to(b"for ever", &victim.into()).unwrap();
}

#[test]
fn forged_datagram_between_two_servers_is_rate_limited() {
    let one = sockit("udp-echo --reuse-port --json").serve();
    let two = sockit("udp-echo --json").serve();
    let is_limited = |server: &Daemon| {
        String::from_utf8_lossy(&server.stderr.bytes()).contains("at most 1000 times a second")
    };
    // The first reply may go to the forging socket while it is open.
    wait_until("the loop is limited", || {
        forge(one.addr(), two.addr());
        std::thread::sleep(Duration::from_millis(20));
        is_limited(&one) || is_limited(&two)
    });
    for server in [one, two] {
        let run = server.stop();
        let totals = &run.exits(0).events_named("totals")[0];
        assert!(totals["datagrams_out"].as_u64().unwrap() < 5000, "{totals}");
    }
}

#[test]
fn datagram_from_its_own_address_is_not_answered() {
    let server = sockit("udp-echo --reuse-port -v").serve();
    forge(server.addr(), server.addr());
    let other = udp_socket();
    let us = local_addr(&other);
    other.send_to(b"last", server.addr()).unwrap();
    server.wait_for_log(&format!("Got data from {us}"));
    let run = server.stop();
    assert!(run.stderr.matches("Got data from").count() <= 2, "{}", run.stderr);
}

#[test]
fn receive_error_does_not_stop_the_server() {
    if !can_trace() {
        return;
    }
    for errno in [
        "ECONNREFUSED",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "ENETDOWN",
        "ENOBUFS",
        "ENOMEM",
        "EINTR",
        "EIO",
        "EPERM",
        "ENOSYS",
    ] {
        let server = injected(sockit("udp-echo"), "recvmmsg", errno, "1..3").serve();
        let client = udp_socket();
        for n in 0..5u8 {
            assert_eq!(exchange(&client, server.addr(), [n]), [n], "{errno}");
        }
        assert!(!String::from_utf8_lossy(&server.stderr.bytes()).contains("panicked"), "{errno}");
    }
}

#[test]
fn send_error_does_not_stop_the_server() {
    if !can_trace() {
        return;
    }
    for errno in [
        "ECONNREFUSED",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "EMSGSIZE",
        "ENOBUFS",
        "EAGAIN",
        "EINTR",
        "EPERM",
        "EACCES",
        "EINVAL",
        "ENOSYS",
    ] {
        let server = injected(sockit("udp-echo"), "sendmmsg", errno, "1").serve();
        let client = udp_socket();
        // The first reply may be lost.
        client.send_to(b"first", server.addr()).unwrap();
        client.send_to(b"second", server.addr()).unwrap();
        while receive(&client).0 != b"second" {}
        assert!(!String::from_utf8_lossy(&server.stderr.bytes()).contains("panicked"), "{errno}");
    }
}

#[test]
fn signal_ends_the_server_with_totals() {
    for (signal, code) in [(libc::SIGTERM, 0), (libc::SIGINT, 130)] {
        let server = sockit("udp-echo --json").serve();
        exchange(&udp_socket(), server.addr(), "one");
        server.signal(signal);
        let run = server.wait();
        let totals = &run.exits(code).events_named("totals")[0];
        assert_eq!(totals["datagrams_in"], 1);
        assert_eq!(totals["bytes_out"], 3);
    }
}

#[test]
fn unavailable_address_exits_45() {
    let first = sockit("udp-echo").serve();
    let run = sockit(&format!("udp-echo --port {}", first.port())).run();
    run.exits(45).fails_at("bind").logs("in use");
    sockit("udp-echo --port 65536").run().exits(2);
    sockit("udp-echo --host 192.0.2.1 --port 0").run().exits(45).fails_at("bind");
}
