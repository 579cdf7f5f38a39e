//! `sockit udp-server`: payloads on stdout, or a reply to each datagram.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::datagrams::{
    exchange, local_addr, nonblocking_pipe, receive, udp_socket, unread_pipe,
};
use crate::support::peer;
use crate::support::proc_stats::children;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, sockit};
use crate::support::strace::{can_trace, injected};
use crate::support::wait_until;

#[test]
fn payloads_are_printed_unchanged() {
    let server = sockit("udp-server -v").serve();
    let client = udp_socket();
    for payload in [&b"one\n"[..], b"", b"\x00\xff\x1b[2J", b"two"] {
        client.send_to(payload, server.addr()).unwrap();
    }
    server.wait_for_output("two");
    server.wait_for_log_times(&format!("Got data from {}", local_addr(&client)), 4);
    server.stop().exits(0).prints(b"one\n\x00\xff\x1b[2Jtwo");
}

#[test]
fn port_in_use_exits_45_and_names_the_process() {
    let first = sockit("udp-server").serve();
    let run = sockit(&format!("udp-server --port {}", first.port())).run();
    run.exits(45).fails_at("bind").logs("Address already in use");
    run.logs(&format!("hint: the port is in use by sockit (pid {})", first.pid()));
}

#[test]
fn line_framing_prints_a_line_per_payload() {
    let server = sockit("udp-server --framing line").serve();
    let client = udp_socket();
    for payload in ["one", "", "two\n"] {
        client.send_to(payload.as_bytes(), server.addr()).unwrap();
    }
    server.wait_for_output("one\n\ntwo\n\n");
    server.stop().exits(0);
}

#[test]
fn hex_prints_a_dump() {
    let server = sockit("udp-server --hex --max-datagrams 2").serve();
    let client = udp_socket();
    client.send_to(b"hello", server.addr()).unwrap();
    client.send_to(&[7; 17], server.addr()).unwrap();
    let run = server.wait();
    run.exits(0);
    let text = run.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("< 00000000  68 65 6c 6c 6f "), "{text}");
    assert!(lines[0].ends_with("|hello|"), "{text}");
    assert!(lines[2].starts_with("< 00000010  07 "), "{text}");
}

#[test]
fn each_service_has_its_reply() {
    let answers = [
        ("hello", "Hello, Michael!"),
        ("ack", "已接收到数据 Michael"),
        ("echo", "Michael"),
        ("reply", "Your msg=Michael"),
    ];
    for (service, answer) in answers {
        let server = sockit(&format!("udp-server --service {service}")).serve();
        let client = udp_socket();
        assert_eq!(exchange(&client, server.addr(), "Michael"), answer.as_bytes(), "{service}");
        let with_end = exchange(&client, server.addr(), "Michael\r\n");
        assert_eq!(with_end, format!("{answer}\r\n").as_bytes(), "{service}");
        server.stop().exits(0);
    }
    let server = sockit("udp-server --service time").serve();
    let dated = String::from_utf8(exchange(&udp_socket(), server.addr(), "x")).unwrap();
    assert!(dated.starts_with('[') && dated.ends_with("] x") && dated.len() == 28, "{dated}");
}

#[test]
fn reply_template_is_filled_in() {
    let server = sockit("udp-server --reply '{n}:{message}:{peer}:{local}'").serve();
    let client = udp_socket();
    let (us, them) = (local_addr(&client), server.addr());
    for n in 1..3 {
        let answer = exchange(&client, them, "m");
        assert_eq!(String::from_utf8_lossy(&answer), format!("{n}:m:{us}:{them}"));
    }
}

#[test]
fn discard_reads_everything_and_sends_nothing() {
    let server = sockit("udp-server --service discard --json").serve();
    let client = udp_socket();
    for _ in 0..10 {
        client.send_to(b"12345", server.addr()).unwrap();
    }
    let run = server.stop();
    let totals = &run.exits(0).prints("").events_named("totals")[0];
    assert_eq!(totals["datagrams_out"], 0);
    client.set_nonblocking(true).unwrap();
    assert!(client.recv(&mut [0; 10]).is_err());
}

#[test]
fn max_rate_limits_replies_per_source() {
    let server = sockit("udp-server --service hello --max-rate 5 --json").serve();
    let client = udp_socket();
    for n in 0..30 {
        client.send_to(format!("{n}").as_bytes(), server.addr()).unwrap();
    }
    for n in 0..5 {
        assert_eq!(receive(&client).0, format!("Hello, {n}!").as_bytes());
    }
    let run = server.stop();
    let totals = &run.exits(0).logs("at most 5 times a second").events_named("totals")[0];
    assert!(totals["dropped"]["rate"].as_u64().unwrap() > 15, "{totals}");
}

#[test]
fn wildcard_host_warns_of_forged_sources() {
    let server = sockit("udp-server --service hello --host ''").serve();
    server.wait_for_log("forged");
    server.stop().exits(0);
    for line in ["udp-server --service hello", "udp-server --host ''"] {
        sockit(line).serve().stop().exits(0).never_logs("forged");
    }
}

#[test]
fn once_answers_one_datagram() {
    let server = sockit("udp-server --service echo --once --print-port").serve();
    server.wait_for_log("Waiting for datagrams on");
    assert_eq!(exchange(&udp_socket(), server.addr(), "only"), b"only");
    server.wait().exits(0);
}

#[test]
fn closed_stdout_exits_0_and_full_disk_exits_23() {
    // The closed pipe is detected without a datagram.
    sockit("udp-server").redirect("| true").serve().wait().exits(0).logs("0 datagrams in");
    let server = sockit("udp-server --framing line").redirect("| head -n 1").serve();
    udp_socket().send_to(b"first", server.addr()).unwrap();
    server.wait().exits(0).prints("first\n");

    let full = sockit("udp-server").redirect("> /dev/full").serve();
    crate::support::datagrams::udp_socket().send_to(b"x", full.addr()).unwrap();
    full.wait().exits(23).fails_at("stdout");
}

#[test]
fn meaningless_flags_are_usage_errors() {
    for line in [
        "udp-server --service nosuch",
        "udp-server --service echo --reply x",
        "udp-server --service echo --hex",
        "udp-server --service hello --framing line",
        "udp-server --reply '{nosuch}'",
        "udp-server --join 127.0.0.1",
        "udp-server --max-rate -1",
        "udp-server --delay 1s",
        "udp-server --service discard --delay 1s",
        "udp-server --exec cat --delay 1s",
        "udp-server --service echo --delay soon",
        "udp-server --nodelay",
    ] {
        sockit(line).and("--port 0").run().exits(2).prints("");
    }
}

#[test]
fn flags_of_connections_are_usage_errors() {
    for (flag, word) in [
        ("--greeting hi", "no connection that could be greeted"),
        ("--until bye", "no connection that could be closed"),
        ("--messages 3", "--max-datagrams N"),
    ] {
        let run = sockit("udp-server --port 0 --reply x").and(flag).run();
        run.exits(2).prints("").fails_at("receive").logs(word);
    }
}

#[test]
fn delayed_replies_do_not_delay_each_other() {
    let server = sockit("udp-server --service hello --delay 2s --json").serve();
    let clients: Vec<_> = (0..5).map(|_| udp_socket()).collect();
    let began = Instant::now();
    for (n, client) in clients.iter().enumerate() {
        client.send_to(format!("{n}").as_bytes(), server.addr()).unwrap();
    }
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(receive(client).0, format!("Hello, {n}!").as_bytes());
    }
    let took = began.elapsed();
    // One after the other they would take ten seconds.
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&took), "{took:?}");
    let run = server.stop();
    assert_eq!(run.exits(0).events_named("totals")[0]["datagrams_out"], 5);
}

#[test]
fn sigterm_sends_delayed_replies() {
    let server = sockit("udp-server --service echo --delay 1m --json").serve();
    let client = udp_socket();
    client.send_to(b"soon", server.addr()).unwrap();
    server.wait_for_log("\"datagram\"");
    server.signal(libc::SIGTERM);
    assert_eq!(receive(&client).0, b"soon");
    server.wait().exits(0);
    // `--once` is reached, and the reply is still delayed.
    let server = sockit("udp-server --reply '{n}:{message}' --delay 200ms --once").serve();
    let began = Instant::now();
    assert_eq!(exchange(&client, server.addr(), "a"), b"1:a");
    assert!(began.elapsed() >= Duration::from_millis(200));
    server.wait().exits(0);
}

#[test]
fn one_source_cannot_fill_the_delay_queue() {
    let server = sockit("udp-server --service echo --delay 1m --max-rate 0 --json").serve();
    let flooding = udp_socket();
    for n in 0..5000u32 {
        flooding.send_to(&n.to_le_bytes(), server.addr()).unwrap();
    }
    server.wait_for_log("too many replies are delayed");
    crate::support::datagrams::udp_socket_at("127.0.0.9").send_to(b"mine", server.addr()).unwrap();
    server.wait_for_log("\"peer\":\"127.0.0.9");
    let run = server.stop();
    let totals = &run.exits(0).events_named("totals")[0];
    let (busy, out) = (totals["dropped"]["busy"].as_u64(), totals["datagrams_out"].as_u64());
    assert!(busy.is_some_and(|busy| busy > 0) && out.is_some_and(|out| out > 4000), "{totals}");
    assert_eq!(run.stderr.matches("too many replies are delayed").count(), 1);
}

#[test]
fn accept_timeout_exits_28_without_datagrams() {
    let server = sockit("udp-server --accept-timeout 2s --service echo").serve();
    for _ in 0..25 {
        // Each datagram restarts the timeout.
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(exchange(&udp_socket(), server.addr(), "x"), b"x");
    }
    let run = server.wait();
    run.exits(28).fails_at("listen").logs("timed out after 2s");
    let run = sockit("udp-echo --port 0 --timeout 50ms").run();
    run.exits(28).fails_at("listen").logs("0 datagrams in");
}

#[test]
fn reply_of_a_program_that_cannot_be_sent_is_counted() {
    if !can_trace() {
        return;
    }
    // A temporary error loses nothing; a permanent one is counted.
    for (errno, when, lost) in [("ENOBUFS", "1..2", 0), ("ENOBUFS", "1+", 1), ("EPERM", "1+", 1)] {
        let server = sockit("udp-server --exec cat --json");
        let server = injected(server, "sendmmsg", errno, when).serve();
        let client = udp_socket();
        client.send_to(b"x", server.addr()).unwrap();
        match lost {
            0 => assert_eq!(receive(&client).0, b"x"),
            _ => server.wait_for_log("\"datagram\""),
        }
        let run = server.stop();
        let totals = &run.exits(0).events_named("totals")[0];
        assert_eq!(totals["dropped"]["unsent"], lost, "{errno} {when}: {totals}");
        assert_eq!(totals["datagrams_out"], 1 - lost, "{errno} {when}: {totals}");
    }
}

#[test]
fn programs_beyond_the_limit_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.1; done", go.display());
    let server = sockit("udp-server --json --max-rate 0 --sh").arg(script).serve();
    let client = udp_socket();
    for _ in 0..70 {
        client.send_to(b"x", server.addr()).unwrap();
    }
    server.wait_for_log("programs are running");
    server.wait_for_log_times("\"event\":\"datagram\"", 70);
    std::fs::write(&go, "").unwrap();
    wait_until("all programs have exited", || children(server.pid()) == 0);
    let run = server.stop();
    let totals = &run.exits(0).events_named("totals")[0];
    assert_eq!(totals["dropped"]["busy"], 6, "{totals}");
}

#[test]
fn orderly_end_waits_for_programs() {
    for how in ["--once", "--accept-timeout 2s"] {
        let server = sockit("udp-server --sh 'sleep 4; echo answer'").and(how).serve();
        assert_eq!(exchange(&udp_socket(), server.addr(), "?"), b"answer\n");
        let run = server.wait();
        run.exits(if how == "--once" { 0 } else { 28 }).never_logs("ended");
    }
}

#[test]
fn killed_program_is_logged_and_sends_no_reply() {
    let server = sockit("udp-server --sh 'echo half; sleep 60' --json").serve();
    let client = udp_socket();
    client.send_to(b"?", server.addr()).unwrap();
    server.wait_for_log("\"datagram\"");
    let run = server.stop();
    run.exits(143).logs("1 programs were still running and were killed");
    let totals = &run.events_named("totals")[0];
    assert_eq!((&totals["dropped"]["failed"], &totals["datagrams_out"]), (&1.into(), &0.into()));
    client.set_nonblocking(true).unwrap();
    assert!(client.recv(&mut [0; 10]).is_err());
    // The signal may arrive while the server waits for its program.
    let server = sockit("udp-server --once --sh 'sleep 60' --json").serve();
    client.send_to(b"?", server.addr()).unwrap();
    server.wait_for_log("\"datagram\"");
    server.stop().exits(143);
}

#[test]
fn failed_program_is_logged_once_and_counted() {
    let script = "case $(cat) in long) head -c 70000 /dev/zero;; late) sleep 60;; esac; echo well";
    let server = sockit("udp-server --json --sh").arg(script).serve();
    let client = udp_socket();
    for question in ["long", "late", "long", "late", "else"] {
        client.send_to(question.as_bytes(), server.addr()).unwrap();
    }
    assert_eq!(receive(&client).0, b"well\n");
    server.wait_for_log("took more than 10 s");
    let run = server.stop();
    run.exits(0);
    for why in ["took more than 10 s", "more than 65507 bytes"] {
        assert_eq!(run.stderr.matches(why).count(), 1, "{}", run.stderr);
    }
    let totals = &run.events_named("totals")[0];
    assert_eq!((&totals["dropped"]["failed"], &totals["datagrams_out"]), (&4.into(), &1.into()));
}

#[test]
fn removed_program_is_logged_once_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    std::fs::copy("/bin/cat", &program).unwrap();
    let server = sockit("udp-server --json --exec").arg(&program).serve();
    assert_eq!(exchange(&udp_socket(), server.addr(), "here"), b"here");
    std::fs::remove_file(&program).unwrap();
    for _ in 0..3 {
        udp_socket().send_to(b"gone", server.addr()).unwrap();
    }
    server.wait_for_log_times("\"datagram\"", 4);
    let run = server.stop();
    run.exits(0);
    assert_eq!(run.stderr.matches("No such file").count(), 1, "{}", run.stderr);
    assert_eq!(run.events_named("totals")[0]["dropped"]["failed"], 3);
}

#[test]
fn bytes_lost_to_unread_stdout_are_logged() {
    let (reader, writer) = unread_pipe();
    let server = sockit("udp-server --json").stdout_to(writer).serve();
    for _ in 0..100 {
        udp_socket().send_to(&[b'x'; 1000], server.addr()).unwrap();
    }
    // Short writes leave room in the pages of a pipe, which then holds less than 64 KiB.
    wait_until("the pipe is full", || {
        rustix::io::ioctl_fionread(&reader).is_ok_and(|n| n > 40_000)
    });
    let run = server.stop();
    run.exits(143);
    let came = run.events_named("totals")[0]["bytes_in"].as_u64().unwrap();
    let printed = rustix::io::ioctl_fionread(&reader).unwrap();
    run.logs(&format!("{} bytes for stdout are lost", came - printed));
}

#[test]
fn nonblocking_stdout_gets_every_payload() {
    let (writer, read) = nonblocking_pipe();
    let server = sockit("udp-server --max-datagrams 200").stdout_to(writer).serve();
    for _ in 0..200 {
        udp_socket().send_to(&[b'x'; 1000], server.addr()).unwrap();
    }
    server.wait().exits(0);
    assert_eq!(read().len(), 200_000);
}

#[test]
fn multicast_group_is_joined() {
    let group = "239.255.77.1";
    let server = sockit(&format!("udp-server --service echo --join {group}")).serve();
    let client = socket2::Socket::from(udp_socket());
    client.set_multicast_if_v4(&std::net::Ipv4Addr::LOCALHOST).unwrap();
    let client = std::net::UdpSocket::from(client);
    let at: SocketAddr = server.local().parse().unwrap();
    assert_eq!(at.ip().to_string(), group);
    assert_eq!(exchange(&client, at, "all of you"), b"all of you");
    server.stop().exits(0);
}

#[test]
fn real_udp_clients_are_answered() {
    let clients: [(&str, &[&str]); 3] = [
        ("nc.openbsd", &["-u", "-w1", "127.0.0.1", "PORT"]),
        ("ncat", &["-u", "-i1", "127.0.0.1", "PORT"]),
        ("socat", &["-t1", "STDIO", "UDP4:127.0.0.1:PORT"]),
    ];
    for (name, args) in clients {
        let Some(mut client) = peer::program(name) else { continue };
        let server = sockit("udp-server --service hello").serve();
        let port = server.port().to_string();
        client.args(args.iter().map(|arg| arg.replace("PORT", &port)));
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let client = Process::start(client, None, LIMIT);
        let mut client = client;
        client.write_stdin("you\n");
        client.wait_for_output("Hello, you!\n");
    }
}
