//! How sessions end: in every order of FIN, reset, end of input and signals, without loss of data.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::support::peer::{self, Script, connect, peer};
use crate::support::proc_stats::peak_memory;
use crate::support::sockit::sockit;

#[test]
fn end_of_stdin_half_closes_and_the_answer_is_complete() {
    let waits = peer::answers_after_fin("the complete answer\n");
    let run = sockit("tcp-client").to(waits.addr()).stdin("hi\n").run();
    run.exits(0).prints("the complete answer\n").logs_nothing();
    assert_eq!(waits.outcome(), b"hi\n");
}

#[test]
fn no_half_close_keeps_the_connection_open() {
    let listener = peer(|mut stream| {
        stream.expect_bytes("hi");
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let next = stream.read(&mut [0; 8]);
        stream.send("ok");
        next.map_err(|why| why.kind())
    });
    sockit("tcp-client --no-half-close").to(listener.addr()).stdin("hi").run().prints("ok");
    assert_eq!(listener.outcome(), Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn hang_up_closes_at_end_of_stdin() {
    let silent = peer(|mut stream| {
        // It reads our end and keeps its own direction open until we have closed.
        let received = stream.read_all();
        (received, stream)
    });
    let run = sockit("tcp-client --hang-up").to(silent.addr()).stdin("bye").run();
    run.exits(0);
    assert_eq!(silent.outcome().0, b"bye");
}

#[test]
fn input_after_the_peers_half_close_is_delivered() {
    let reader = peer::half_closes_first("mine first\n");
    let mut client = sockit("tcp-client").to(reader.addr()).stdin_open().start();
    client.wait_for_output("mine first\n");
    client.write_stdin("then ");
    client.write_stdin("yours");
    client.close_stdin();
    client.wait().exits(0).prints("mine first\n");
    assert_eq!(reader.outcome(), b"then yours");
}

/// The peer has closed: the kernel rejects further data, and that is reported.
#[test]
fn input_after_the_peers_close_exits_18() {
    let brief = peer(|mut stream| stream.send("all there is\n"));
    let mut client = sockit("tcp-client -v").to(brief.addr()).stdin_open().start();
    client.wait_for_log("the peer sends no more");
    brief.outcome();
    client.write_stdin("too late");
    client.wait().exits(18).prints("all there is\n").fails_at("send");
}

#[test]
fn exit_on_eof_ends_a_pipe_session_with_the_peers_end_of_stream() {
    let reader = peer::half_closes_first("mine");
    let client = sockit("tcp-client --exit-on-eof").to(reader.addr()).stdin_open().start();
    client.wait().exits(0).prints("mine").logs_nothing();
    assert_eq!(reader.outcome(), b"", "a clean end");

    let server = sockit("tcp-server --service pipe --exit-on-eof --once").stdin_open().serve();
    let mut client = connect(server.addr());
    client.send("mine");
    client.half_close();
    assert_eq!(client.read_all(), b"", "a clean end");
    server.wait().exits(0).prints("mine");
}

#[test]
fn fin_and_last_data_in_eight_orders_lose_nothing() {
    // Which side half-closes first, whether the other sends after that FIN, and how much.
    for peer_first in [false, true] {
        for last_words_follow in [false, true] {
            for size in [10, 600_000] {
                exchange_in_order(peer_first, last_words_follow, size);
            }
        }
    }
}

fn exchange_in_order(peer_first: bool, last_words_follow: bool, size: usize) {
    let (ours, theirs) = (noise(size, 1), noise(size, 2));
    let data = theirs.clone();
    let other = peer(move |mut stream| {
        let mut sender = stream.try_clone().unwrap();
        let (head, tail) = data.split_at(data.len() / 2);
        let (head, tail) = (head.to_vec(), tail.to_vec());
        if peer_first {
            let sending = std::thread::spawn(move || {
                sender.send([head, tail].concat());
                sender.half_close();
            });
            let received = stream.read_all();
            sending.join().unwrap();
            return received;
        }
        let early = if last_words_follow { head.clone() } else { data.clone() };
        let sending = std::thread::spawn(move || sender.send(early));
        let received = stream.read_all();
        sending.join().unwrap();
        if last_words_follow {
            stream.send(tail);
        }
        received
    });
    let mut client = sockit("tcp-client").to(other.addr()).stdin_open().start();
    let (head, tail) = ours.split_at(size / 2);
    client.write_stdin(head);
    if peer_first && last_words_follow {
        // Our last bytes are sent after all of the peer's data, and so its FIN, has been read.
        client.wait_for_output(&theirs[size - 8..]);
    }
    client.write_stdin(tail);
    client.close_stdin();
    let run = client.wait();
    run.exits(0);
    let order = format!("peer first {peer_first}, late {last_words_follow}, {size} bytes");
    assert!(run.stdout == theirs, "{order}: {} of {size} came", run.stdout.len());
    let received = other.outcome();
    assert!(received == ours, "{order}: {} of {size} arrived", received.len());
}

#[test]
fn thirty_two_mebibytes_of_echo_need_little_memory() {
    const SIZE: usize = 32 << 20;
    let server = sockit("tcp-server --service echo").serve();
    let bytes = noise(SIZE, 3);
    let mut client = sockit("tcp-client --no-half-close")
        .to(server.addr())
        .stdin_open()
        .limit(Duration::from_secs(60))
        .start();
    client.write_stdin(&bytes);
    client.wait_for_output_len(SIZE);
    let (ours, theirs) = (peak_memory(client.pid()), peak_memory(server.pid()));
    client.signal(libc::SIGINT);
    let run = client.wait();
    assert!(run.stdout == bytes, "what came back is not what went");
    assert!(ours < 16 << 10, "the client's peak was {ours} KiB");
    assert!(theirs < 24 << 10, "the server's peak was {theirs} KiB");
}

#[test]
fn reset_after_data_exits_18_and_keeps_the_data() {
    let remote = peer::sends_and_resets("half a senten");
    let run = sockit("tcp-client").to(remote.addr()).stdin_open().run();
    run.exits(18).prints("half a senten").fails_at("receive").logs("reset");
}

#[test]
fn reset_before_data_exits_56() {
    let remote = peer(|stream| stream.reset());
    let run = sockit("tcp-client").to(remote.addr()).stdin_open().run();
    run.exits(56).prints("").fails_at("receive").logs("reset");
}

#[test]
fn unread_input_exits_18() {
    // Computed first: the peer waits only so long for a connection.
    let bytes = noise(4 << 20, 4);
    let nonreader = peer(|mut stream| {
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
        // Closing with unread data resets the connection: what sockit sent is lost.
    });
    let run = sockit("tcp-client").to(nonreader.addr()).stdin(bytes).run();
    run.exits(18);
    nonreader.outcome();
}

/// A rate-limited sender still has data when the peer has closed.
#[test]
fn rate_limited_input_that_is_unread_exits_18() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input");
    fs::write(&file, [b'x'; 3000]).unwrap();
    for from_file in [true, false] {
        // It closes after the first byte, with most of the data unsent.
        let brief = peer(|mut stream| stream.expect_bytes("x"));
        let client = sockit("tcp-client --rate 2k/s").to(brief.addr());
        let client =
            if from_file { client.arg("--input").arg(&file) } else { client.stdin([b'x'; 3000]) };
        client.run().exits(18);
    }
}

#[test]
fn full_stdout_exits_23() {
    let sender = peer(|mut stream| {
        stream.send("more than nothing");
        stream.half_close();
        stream.read_all()
    });
    let run = sockit("tcp-client").to(sender.addr()).redirect(">/dev/full").run();
    run.exits(23).fails_at("stdout").logs("No space left on device");
}

#[test]
fn closed_stdout_ends_an_idle_session_with_0() {
    let silent = peer(|mut stream| {
        stream.send("one line\n");
        stream.wait_for_fin()
    });
    let (reader, writer) = std::io::pipe().unwrap();
    let client = sockit("tcp-client").to(silent.addr()).stdin_open().stdout_to(writer).start();
    let mut line = [0; 9];
    (&reader).read_exact(&mut line).unwrap();
    assert_eq!(&line, b"one line\n");
    drop(reader);
    client.wait().exits(0).logs_nothing();
    assert!(silent.outcome(), "the peer reads our end");
}

#[test]
fn closed_standard_streams_are_accepted() {
    for how in ["<&-", "</dev/null", "<&- 2>&-"] {
        let sender = peer(|mut stream| {
            stream.send("only output");
            stream.half_close();
            stream.read_all()
        });
        let run = sockit("tcp-client").to(sender.addr()).redirect(how).run();
        run.exits(0).prints("only output");
        assert_eq!(sender.outcome(), b"", "{how}: nothing is echoed back");
    }
    for how in [">&-", "<&- >&-", "<&- >&- 2>&-", ">/dev/null"] {
        let sender = peer(|mut stream| {
            stream.send("dropped");
            stream.half_close();
            stream.read_all()
        });
        sockit("tcp-client").to(sender.addr()).redirect(how).run().exits(0).prints("");
        assert_eq!(sender.outcome(), b"", "{how}: nothing is echoed back");
    }
}

/// The null device, and a closed descriptor, are no input: our end of stream follows the peer's.
#[test]
fn null_stdin_half_closes_after_the_peer() {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("socket");
    for how in ["</dev/null", "<&-"] {
        let sender = peer::half_closes_first("whole");
        let run = sockit("tcp-client -v").to(sender.addr()).redirect(how).run();
        peer_ends_first(&run.stderr);
        run.exits(0).prints("whole");
        assert_eq!(sender.outcome(), b"");

        let server = sockit("unix-server --service pipe --once").arg(&path).stdin("whole").serve();
        let run = sockit("unix-client -v").arg(&path).redirect(how).run();
        peer_ends_first(&run.stderr);
        run.exits(0).prints("whole");
        server.wait().exits(0).prints("");

        let server = sockit("tcp-server -v --service pipe --once").redirect(how).serve();
        let mut client = connect(server.addr());
        client.send("whole");
        client.half_close();
        assert_eq!(client.read_all(), b"");
        let run = server.wait();
        peer_ends_first(&run.stderr);
        run.exits(0).prints("whole");
    }
    let sender = peer::half_closes_first("whole");
    let run = sockit("tcp-client -v --input /dev/null").to(sender.addr()).stdin_open().run();
    peer_ends_first(&run.stderr);
    run.exits(0).prints("whole");
}

/// Checks the order of the two ends under `-v`.
#[track_caller]
fn peer_ends_first(log: &str) {
    let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("no {what:?} in\n{log}"));
    assert!(at("sends no more") < at("we send no more"), "{log}");
}

#[test]
fn half_close_sends_the_end_of_a_null_stdin_immediately() {
    let waits = peer::answers_after_fin("answer");
    let run = sockit("tcp-client --half-close").to(waits.addr()).run();
    run.exits(0).prints("answer").logs_nothing();

    let server = sockit("tcp-server --service pipe --once --half-close").serve();
    let mut client = connect(server.addr());
    assert_eq!(client.read_all(), b"");
    client.send("answer");
    client.half_close();
    server.wait().exits(0).prints("answer");
}

#[test]
fn empty_input_half_closes_immediately() {
    let empty_file = || tempfile::tempfile().unwrap();
    for from_file in [true, false] {
        let waits = peer::answers_after_fin("answer");
        let client = sockit("tcp-client").to(waits.addr());
        let client = if from_file { client.stdin_from(empty_file()) } else { client.stdin("") };
        client.run().exits(0).prints("answer").logs_nothing();
    }
    let server = sockit("tcp-server --service pipe --once").stdin_from(empty_file()).serve();
    assert_eq!(connect(server.addr()).read_all(), b"");
    server.wait().exits(0);
}

#[test]
fn recv_only_server_ignores_its_stdin() {
    let server = sockit("tcp-server -v --service pipe --once --recv-only").stdin("never").serve();
    let mut client = connect(server.addr());
    client.send("taken");
    client.half_close();
    assert_eq!(client.read_all(), b"");
    let run = server.wait();
    peer_ends_first(&run.stderr);
    run.exits(0).prints("taken");
    for line in ["tcp-server --recv-only", "tcp-server --service echo --half-close"] {
        sockit(line).run().exits(2).logs("has no effect with the service");
    }
}

#[test]
fn silent_peer_without_input_is_warned_about_once() {
    const WARNING: &str = "--half-close";
    let silent = || {
        peer(|mut stream| {
            stream.expect_bytes("");
            stream.wait_for_close()
        })
    };
    let (quiet, nonreader) = (silent(), silent());
    let ignores = sockit("tcp-client --recv-only").to(quiet.addr()).start();
    let client = sockit("tcp-client --json --timeout 12s").to(nonreader.addr()).start();
    let server = sockit("tcp-server --service pipe --once --json").serve();
    let mut stream = connect(server.addr());
    client.wait_for_log(WARNING);
    server.wait_for_log(WARNING);
    ignores.signal(libc::SIGTERM);
    ignores.wait().exits(143).never_logs(WARNING);
    stream.half_close();
    stream.read_all();
    for (run, code, conn) in [(server.wait(), 0, Some(1)), (client.wait(), 28, None)] {
        run.exits(code);
        let warnings = run.events_named("warning");
        assert_eq!(warnings.len(), 1, "{}", run.stderr);
        assert_eq!(warnings[0]["conn"].as_u64(), conn);
        let message = warnings[0]["message"].as_str().unwrap();
        assert!(message.contains("no end of input was sent"), "{message}");
    }
}

/// A peer that answers and keeps its direction open after our end of stream.
fn answers_and_stays_open() -> peer::Peer<(Vec<u8>, TcpStream)> {
    peer(|mut stream| {
        stream.send("answer");
        (stream.read_all(), stream)
    })
}

#[test]
fn linger_with_silent_peer_exits_0() {
    for (flags, stdin) in [
        ("", Some("question")),
        ("", None),
        ("--no-half-close", Some("question")),
        ("--expect answer", None),
        ("--prompt --quiet", Some("question\n")),
    ] {
        let stays = answers_and_stays_open();
        let client = sockit("tcp-client --linger 1s").and(flags).to(stays.addr());
        let client = match stdin {
            Some(stdin) => client.stdin(stdin),
            None => client,
        };
        let run = client.run();
        run.exits(0).never_logs("sockit:");
        assert_eq!(run.text().trim_end(), "answer", "{flags}");
        let asked = stdin.unwrap_or_default();
        assert_eq!(stays.outcome().0, asked.trim_end().as_bytes(), "{flags}: a clean end");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let client = sockit("unix-client --linger 300ms").arg(&path).stdin("unread").start();
    let _stays = listener.accept().unwrap();
    client.wait().exits(0);
}

#[test]
fn linger_waits_for_slow_data_and_unread_input() {
    let drip = peer(|mut stream| {
        stream.send_slowly("drop by drop by drop", Duration::from_millis(150));
        stream.wait_for_close()
    });
    let run = sockit("tcp-client --linger 2s").to(drip.addr()).stdin("x").run();
    run.exits(0).prints("drop by drop by drop");

    // More than the receive buffer of the peer holds, less than both buffers hold.
    let nonreader = peer(|mut stream| stream.wait_for_close());
    let client = sockit("tcp-client --linger 200ms --timeout 3s").to(nonreader.addr());
    client.stdin(noise(150_000, 7)).run().exits(28).fails_at("receive");
}

/// A session without input has nothing to finish: an idle one ends orderly with its server.
#[test]
fn sigterm_closes_an_idle_pipe_connection() {
    let server = sockit("tcp-server --service pipe --grace 20s").serve();
    let mut client = connect(server.addr());
    client.send("some");
    server.wait_for_output("some");
    server.signal(libc::SIGTERM);
    assert_eq!(client.read_all(), b"");
    server.wait().exits(0);
}

#[test]
fn slow_reader_of_stdout_gets_every_byte() {
    let bytes = noise(1 << 20, 5);
    let answer = bytes.clone();
    let sender = peer::answers_after_fin(answer);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let client = sockit("tcp-client").to(sender.addr()).stdin("").stdout_to(writer).start();
    let mut got = Vec::new();
    let mut piece = [0; 20_000];
    loop {
        // A slow reader is the subject here.
        std::thread::sleep(Duration::from_millis(2));
        match reader.read(&mut piece).unwrap() {
            0 => break,
            n => got.extend_from_slice(&piece[..n]),
        }
    }
    client.wait().exits(0);
    assert!(got == bytes, "{} of {} came", got.len(), bytes.len());
}

#[test]
fn finished_session_exits_before_the_idle_timeout() {
    let waits = peer::answers_after_fin("done");
    let run = sockit("tcp-client --idle-timeout 1m").to(waits.addr()).stdin("x").run();
    run.exits(0).prints("done");
}

#[test]
fn pipe_server_answers_a_half_closed_client() {
    let mut server = sockit("tcp-server --service pipe --once").stdin_open().serve();
    let mut client = connect(server.addr());
    client.send("question");
    client.half_close();
    server.wait_for_output("question");
    server.write_stdin("the answer");
    server.close_stdin();
    assert_eq!(client.read_all(), b"the answer");
    server.wait().exits(0).prints("question");
}

#[test]
fn pipe_server_half_closes_at_end_of_stdin() {
    let server = sockit("tcp-server --service pipe --once").stdin("a file's bytes").serve();
    let mut client = connect(server.addr());
    assert_eq!(client.read_all(), b"a file's bytes");
    client.send("thanks");
    client.half_close();
    server.wait().exits(0).prints("thanks");
}

#[test]
fn sigterm_lets_a_pending_answer_finish() {
    let server = sockit("tcp-server --delay 300ms --grace 15s").serve();
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    client.send("Michael");
    peer::wait_until_read(&client);
    server.signal(libc::SIGTERM);
    client.expect_bytes("Hello, Michael!");
    assert_eq!(client.read_all(), b"");
    server.wait().exits(0);
}

#[test]
fn sigterm_closes_idle_connections_and_exits_0() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let server = sockit("tcp-server --grace 1m").serve();
        let mut client = connect(server.addr());
        client.expect_bytes("Welcome!");
        server.signal(signal);
        assert_eq!(client.read_all(), b"", "an orderly end");
        let run = server.wait();
        let code = if signal == libc::SIGTERM { 0 } else { run.code };
        run.exits(code);
    }
}

/// Sends a request on a connection that was accepted before SIGTERM, after SIGTERM; `None` when this
/// machine was too busy to do so in the time that a new connection has.
fn request_after_sigterm(line: &str) -> Option<Result<Vec<u8>, std::io::ErrorKind>> {
    let server = sockit(line).and("--grace 10s").serve();
    let mut client = connect(server.addr());
    server.wait_for_log("Accept new connection");
    let asked = Instant::now();
    server.signal(libc::SIGTERM);
    peer::wait_until_refused(server.addr());
    client.send("question\n");
    let in_time = asked.elapsed() < Duration::from_millis(200);
    let mut answer = Vec::new();
    let end = client.read_to_end(&mut answer);
    server.wait();
    in_time.then(|| end.map(|_| answer).map_err(|why| why.kind()))
}

#[test]
fn request_of_a_new_connection_is_answered_after_sigterm() {
    for (line, answer) in [
        ("tcp-server --service ack", "已接收到数据 question\n"),
        ("tcp-server --service echo", "question\n"),
        ("tcp-server --reply 'got {message}'", "got question\n"),
        ("tcp-server --sh 'read x; echo got $x'", "got question\n"),
    ] {
        let seen = (0..10).find_map(|_| request_after_sigterm(line));
        assert_eq!(seen.expect("one try in time"), Ok(answer.into()), "{line}");
    }
}

#[test]
fn request_unread_at_sigterm_is_answered() {
    for line in ["--service ack", "--service echo", "--sh 'read x; echo got $x'"] {
        let server = sockit("tcp-server --grace 10s").and(line).serve();
        let mut clients = [connect(server.addr()), connect(server.addr())];
        server.wait_for_log_times("Accept new connection", 2);
        // The request and the signal are pending when the server continues.
        server.signal(libc::SIGSTOP);
        clients.iter_mut().for_each(|client| client.send("question\n"));
        server.signal(libc::SIGTERM);
        server.signal(libc::SIGCONT);
        for mut client in clients {
            let answer = String::from_utf8(client.read_all()).unwrap();
            assert!(answer.contains("question"), "{line}: {answer:?}");
        }
        server.wait().exits(0);
    }
}

#[test]
fn transfer_beyond_the_grace_period_is_reset() {
    let server = sockit("tcp-server --service chargen --grace 200ms").serve();
    let mut client = connect(server.addr());
    let mut piece = [0; 1000];
    client.read_exact(&mut piece).unwrap();
    server.signal(libc::SIGTERM);
    let end = read_to_the_end(&mut client);
    assert_eq!(end.map_err(|why| why.kind()), Err(std::io::ErrorKind::ConnectionReset));
    server.wait().exits(143).logs("ended by signal");
}

#[test]
fn second_signal_ends_the_server_immediately() {
    let server = sockit("tcp-server --service chargen --grace 1m").serve();
    let mut client = connect(server.addr());
    client.read_exact(&mut [0; 100]).unwrap();
    server.signal(libc::SIGTERM);
    // The first signal has been handled once the listener is closed.
    peer::wait_until_refused(server.addr());
    server.signal(libc::SIGTERM);
    // An orderly end would make the interrupted transfer look complete.
    let end = read_to_the_end(&mut client);
    assert_eq!(end.map_err(|why| why.kind()), Err(std::io::ErrorKind::ConnectionReset));
    server.wait().exits(143);
}

#[test]
fn hangup_resets_connections() {
    let server = sockit("tcp-server --service chargen").serve();
    let mut client = connect(server.addr());
    client.read_exact(&mut [0; 100]).unwrap();
    server.signal(libc::SIGHUP);
    let end = read_to_the_end(&mut client);
    assert_eq!(end.map_err(|why| why.kind()), Err(std::io::ErrorKind::ConnectionReset));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = sockit("tcp-client -v").to(listener.local_addr().unwrap()).stdin_open();
    let client = client.start();
    let (mut accepted, _) = listener.accept().unwrap();
    client.wait_for_log("Connected to");
    client.signal(libc::SIGHUP);
    let end = read_to_the_end(&mut accepted);
    assert_eq!(end.map_err(|why| why.kind()), Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn signals_ignored_at_the_start_stay_ignored() {
    let signals = [("INT", libc::SIGINT), ("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP)];
    for (name, signal) in signals {
        let server = sockit("tcp-server").under(trap(name)).serve();
        server.signal(signal);
        let mut client = connect(server.addr());
        client.expect_bytes("Welcome!");
        // Another signal still ends it.
        let other = if signal == libc::SIGTERM { libc::SIGINT } else { libc::SIGTERM };
        server.signal(other);
        let run = server.wait();
        assert!([0, 130].contains(&run.code), "SIG{name}: {}", run.code);
    }
    let client = sockit("tcp-client -v").to(peer::does_nothing().addr()).stdin_open();
    let client = client.under(trap("INT")).start();
    client.wait_for_log("Connected to");
    client.signal(libc::SIGINT);
    client.signal(libc::SIGTERM);
    client.wait().exits(143);
}

/// A shell that ignores a signal and executes the program whose words follow.
fn trap(signal: &str) -> [String; 3] {
    ["sh".into(), "-c".into(), format!("trap '' {signal}; exec \"$0\" \"$@\"")]
}

#[test]
fn idle_timeout_closes_one_connection_only() {
    let server = sockit("tcp-server --json --idle-timeout 200ms").serve();
    let mut idle = connect(server.addr());
    idle.expect_bytes("Welcome!");
    server.wait_for_log("\"ended_by\":\"timeout\"");
    let mut next = connect(server.addr());
    next.expect_bytes("Welcome!");
}

#[test]
fn closed_event_reports_ended_by() {
    let server = sockit("tcp-server --service echo --json").serve();
    connect(server.addr()).half_close();
    server.wait_for_log_times("\"event\":\"closed\"", 1);
    let mut remote = connect(server.addr());
    remote.send("x");
    remote.expect_bytes("x");
    remote.reset();
    server.wait_for_log_times("\"event\":\"closed\"", 2);
    let run = server.stop();
    let closed = run.events_named("closed");
    assert_eq!(closed[0]["ended_by"], "peer", "{}", closed[0]);
    assert_eq!(closed[1]["ended_by"], "reset", "{}", closed[1]);
    assert_eq!(closed[1]["bytes_in"], 1, "{}", closed[1]);
    assert_eq!(closed[1]["bytes_out"], 1, "{}", closed[1]);
}

#[test]
fn stdin_file_is_sent_from_its_offset() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"skipped sent").unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    let listener = peer(|mut stream| stream.read_all());
    sockit("tcp-client").to(listener.addr()).stdin_from(file).run().exits(0);
    assert_eq!(listener.outcome(), b"sent");
}

#[test]
fn peer_that_closes_immediately_exits_0() {
    let brief = peer::closes_immediately();
    sockit("tcp-client").to(brief.addr()).run().exits(0).prints("").logs_nothing();
}

#[test]
fn session_writes_nothing_to_home() {
    let dir = tempfile::tempdir().unwrap();
    let before = dir.path().metadata().unwrap().mtime_nsec();
    let echo = peer::echoes();
    let run = sockit("tcp-client").env("HOME", dir.path().to_str().unwrap()).to(echo.addr());
    run.stdin("x").run().exits(0);
    assert_eq!(dir.path().metadata().unwrap().mtime_nsec(), before, "HOME stays untouched");
}

/// Reads until the end of the stream or an error.
fn read_to_the_end(stream: &mut TcpStream) -> std::io::Result<u64> {
    std::io::copy(stream, &mut std::io::sink())
}

/// Pseudo-random bytes (xorshift64*).
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    };
    let mut bytes = vec![0; size];
    bytes.chunks_mut(8).for_each(|piece| piece.copy_from_slice(&next()[..piece.len()]));
    bytes
}

/// SIGTERM arrives while the client sends, with pauses in which no data is in flight.
#[test]
fn sigterm_lets_a_client_finish_its_stream() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let program = format!("--sh 'cat > {}'", copy.display());
    for service in ["--service discard", "--service echo", &program] {
        let server = sockit("tcp-server --grace 45s").and(service).serve();
        let mut client = connect(server.addr());
        for piece in 0..20 {
            client.send([b'x'; 10_000]);
            if piece == 2 {
                server.wait_for_log("Accept new connection");
                server.signal(libc::SIGTERM);
            }
            std::thread::sleep(Duration::from_millis(40));
        }
        client.half_close();
        client.read_all();
        server.wait().exits(0).logs("200000 bytes in");
    }
    assert_eq!(std::fs::metadata(copy).unwrap().len(), 200_000);
}
