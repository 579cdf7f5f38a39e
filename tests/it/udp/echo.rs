//! `sockit udp-echo`: every datagram back, whole, from where it was asked, and never for ever.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::datagrams::{ask, caller, caller_at, hear, local};
use crate::support::peer;
use crate::support::process::{Daemon, Running};
use crate::support::sockit::{LIMIT, sockit};
use crate::support::strace::{can_inject, injected};

#[test]
fn every_size_comes_back_whole() {
    let server = sockit("udp-echo").serve();
    let caller = caller();
    for size in [0, 1, 2, 1472, 8192, 65_506, 65_507] {
        let sent: Vec<u8> = (0..=250).cycle().take(size).collect();
        assert!(ask(&caller, server.addr(), &sent) == sent, "{size} bytes");
    }
    let run = server.stop();
    run.exits(0).prints("").says("7 datagrams in (140680 bytes), 7 out (140680 bytes), 1 peers");
}

#[test]
fn interleaved_peers_get_only_their_own() {
    let server = sockit("udp-echo").serve();
    let (one, two) = (caller(), caller());
    for n in 0..50 {
        one.send_to(format!("one {n}").as_bytes(), server.addr()).unwrap();
        two.send_to(format!("two {n}").as_bytes(), server.addr()).unwrap();
    }
    for n in 0..50 {
        assert_eq!(hear(&one).0, format!("one {n}").as_bytes());
        assert_eq!(hear(&two).0, format!("two {n}").as_bytes());
    }
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let server = sockit("udp-echo --host ''").serve();
    let port = server.port();
    for (ours, asked) in [("127.0.0.1", "127.0.0.2"), ("127.0.0.3", "127.0.0.4")] {
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        let caller = caller_at(ours);
        caller.send_to(b"?", asked).unwrap();
        assert_eq!(hear(&caller), (b"?".to_vec(), asked));
    }
    if UdpSocket::bind("[::1]:0").is_ok() {
        let asked = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let caller = caller_at("::1");
        caller.send_to(b"?", asked).unwrap();
        assert_eq!(hear(&caller), (b"?".to_vec(), asked));
    }
}

#[test]
fn what_a_whole_network_was_sent_is_answered_too() {
    for flags in ["--host ''", "-4 --host ''"] {
        let server = sockit("udp-echo").and(flags).serve();
        let caller = caller();
        caller.set_broadcast(true).unwrap();
        let everybody = SocketAddr::from(([127, 255, 255, 255], server.port()));
        caller.send_to(b"anybody?", everybody).unwrap();
        let (answer, from) = hear(&caller);
        assert_eq!((answer.as_slice(), from.ip()), (&b"anybody?"[..], [127, 0, 0, 1].into()));
        server.stop().exits(0);
    }
}

#[test]
fn merged_datagrams_come_back_one_by_one() {
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
print('whole')";
    python.args(["-c", script, &server.port().to_string()]);
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Running::start(python, Some(Vec::new()), LIMIT).wait();
    run.exits(0);
    assert!(["whole\n", "no UDP_SEGMENT\n"].contains(&run.text().as_str()), "{}", run.text());
}

#[test]
fn verbose_tells_who_asked() {
    let server = sockit("udp-echo -v").serve();
    let caller = caller();
    ask(&caller, server.addr(), "hello");
    server.wait_to_say(&format!("Got data from {} (5 bytes)", local(&caller)));
    server.stop().exits(0);
}

#[test]
fn vanished_peers_do_not_stop_it() {
    let server = sockit("udp-echo").serve();
    for n in 0..200 {
        let gone = caller();
        gone.send_to(format!("{n}").as_bytes(), server.addr()).unwrap();
    }
    assert_eq!(ask(&caller(), server.addr(), "still there"), b"still there");
    server.stop().exits(0);
}

#[test]
fn a_source_is_answered_so_often_and_no_more() {
    let server = sockit("udp-echo --max-rate 10 --json").serve();
    let (caller, other) = (caller(), caller_at("127.0.0.9"));
    for n in 0..50u8 {
        caller.send_to(&[n], server.addr()).unwrap();
    }
    for n in 0..10u8 {
        assert_eq!(hear(&caller).0, [n]);
    }
    assert_eq!(ask(&other, server.addr(), "mine"), b"mine", "another source is not affected");
    let run = server.stop();
    let told = run.stderr.matches("answered at most 10 times a second").count();
    assert_eq!(told, 1, "told once\n{}", run.stderr);
    let totals = &run.exits(0).events_named("totals")[0];
    assert_eq!(totals["datagrams_in"], 51);
    assert!(totals["dropped"]["rate"].as_u64().unwrap() >= 35, "{totals}");
    assert_eq!(totals["peers"], 2);
}

#[test]
fn without_a_limit_everything_is_answered() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let caller = caller();
    for n in 0..3000u32 {
        assert_eq!(ask(&caller, server.addr(), n.to_le_bytes()), n.to_le_bytes());
    }
}

#[test]
fn ports_that_answer_everything_are_not_answered() {
    for port in [7, 13, 17, 19, 37] {
        let Ok(talkative) = UdpSocket::bind(("127.0.0.1", port)) else {
            eprintln!("skipped: port {port} is not ours to take");
            continue;
        };
        let server = sockit("udp-echo -v").serve();
        talkative.send_to(b"?", server.addr()).unwrap();
        server.wait_to_say(&format!("Not answering 127.0.0.1:{port}"));
        assert_eq!(ask(&caller(), server.addr(), "you"), b"you");
        talkative.set_nonblocking(true).unwrap();
        assert!(talkative.recv(&mut [0; 10]).is_err(), "port {port} was answered");
    }
}

/// A datagram to `victim` that claims to come from `source`, a sockit that shares its port.
fn forge(source: SocketAddr, victim: SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.send_to(b"for ever", &victim.into()).unwrap();
}

#[test]
fn a_forged_datagram_between_two_of_us_dies() {
    let one = sockit("udp-echo --reuse-port --json").serve();
    let two = sockit("udp-echo --json").serve();
    let until = Instant::now() + LIMIT;
    let bit = |server: &Daemon| {
        String::from_utf8_lossy(&server.stderr.bytes()).contains("at most 1000 times a second")
    };
    // The first answer may come while the forger's socket is still there to take it.
    while !bit(&one) && !bit(&two) {
        forge(one.addr(), two.addr());
        assert!(Instant::now() < until, "the loop never met its limit");
        std::thread::sleep(Duration::from_millis(20));
    }
    for server in [one, two] {
        let run = server.stop();
        let totals = &run.exits(0).events_named("totals")[0];
        assert!(totals["datagrams_out"].as_u64().unwrap() < 5000, "{totals}");
    }
}

#[test]
fn it_does_not_answer_itself() {
    let server = sockit("udp-echo --reuse-port -v").serve();
    forge(server.addr(), server.addr());
    let other = caller();
    let us = local(&other);
    other.send_to(b"last", server.addr()).unwrap();
    server.wait_to_say(&format!("Got data from {us}"));
    let run = server.stop();
    assert!(run.stderr.matches("Got data from").count() <= 2, "{}", run.stderr);
}

#[test]
fn it_survives_every_error_of_receiving() {
    if !can_inject() {
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
        let caller = caller();
        for n in 0..5u8 {
            assert_eq!(ask(&caller, server.addr(), [n]), [n], "{errno}");
        }
        assert!(!String::from_utf8_lossy(&server.stderr.bytes()).contains("panicked"), "{errno}");
    }
}

#[test]
fn it_survives_every_error_of_sending() {
    if !can_inject() {
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
        let caller = caller();
        // The first answer may be the one that is lost.
        caller.send_to(b"first", server.addr()).unwrap();
        caller.send_to(b"second", server.addr()).unwrap();
        while hear(&caller).0 != b"second" {}
        assert!(!String::from_utf8_lossy(&server.stderr.bytes()).contains("panicked"), "{errno}");
    }
}

#[test]
fn signals_end_it_orderly() {
    for (signal, code) in [(libc::SIGTERM, 0), (libc::SIGINT, 130)] {
        let server = sockit("udp-echo --json").serve();
        ask(&caller(), server.addr(), "one");
        server.signal(signal);
        let run = server.wait();
        let totals = &run.exits(code).events_named("totals")[0];
        assert_eq!(totals["datagrams_in"], 1);
        assert_eq!(totals["bytes_out"], 3);
    }
}

#[test]
fn a_busy_port_is_45_and_a_forbidden_one_too() {
    let first = sockit("udp-echo").serve();
    let run = sockit(&format!("udp-echo --port {}", first.port())).run();
    run.exits(45).fails_at("bind").says("in use");
    sockit("udp-echo --port 65536").run().exits(2);
    sockit("udp-echo --host 192.0.2.1 --port 0").run().exits(45).fails_at("bind");
}
