//! How conversations end: in every order, by every hand, and nothing owed is lost.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::support::peer::{self, Script, call, peer};
use crate::support::proc_stats::{cpu_time, peak_memory};
use crate::support::sockit::sockit;

/// What "at once" means: INTERFACE.md's judges allow 100 ms, a busy test machine more.
const AT_ONCE: Duration = Duration::from_millis(400);

#[test]
fn end_of_stdin_is_a_fin_at_once_and_the_answer_is_whole() {
    let began = Instant::now();
    let slow = peer::answers_after_fin(Duration::from_secs(1), "the whole answer\n");
    let run = sockit("tcp-client").to(slow.addr()).stdin("hi\n").run();
    run.exits(0).prints("the whole answer\n").is_silent();
    let seen = slow.outcome();
    assert_eq!(seen.heard, b"hi\n");
    assert!(seen.fin - began < AT_ONCE, "FIN after {:?}", seen.fin - began);
    let lingered = run.ended.saturating_duration_since(seen.closed);
    assert!(lingered < AT_ONCE, "left {lingered:?} after the peer's FIN");
}

#[test]
fn no_half_close_keeps_our_side_open() {
    let listener = peer(|mut stream| {
        stream.hear("hi");
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let next = stream.read(&mut [0; 8]);
        stream.say("ok");
        next.map_err(|why| why.kind())
    });
    sockit("tcp-client --no-half-close").to(listener.addr()).stdin("hi").run().prints("ok");
    assert_eq!(listener.outcome(), Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn hang_up_leaves_at_once() {
    let silent = peer(|mut stream| {
        // It hears our end, and keeps its own direction open until we have left.
        let heard = stream.hear_all();
        (heard, stream)
    });
    let run = sockit("tcp-client --hang-up").to(silent.addr()).stdin("bye").run();
    run.exits(0);
    assert!(run.took < Duration::from_secs(2), "{:?}", run.took);
    assert_eq!(silent.outcome().0, b"bye");
}

#[test]
fn a_peer_that_half_closes_first_still_gets_everything() {
    let reader = peer::half_closes_first("mine first\n");
    let mut client = sockit("tcp-client").to(reader.addr()).stdin_open().start();
    client.wait_to_print("mine first\n");
    client.type_in("then ");
    client.type_in("yours");
    client.end_stdin();
    client.wait().exits(0).prints("mine first\n");
    assert_eq!(reader.outcome(), b"then yours");
}

/// The peer has closed: the kernel refuses what is sent then, and that is not silent.
#[test]
fn input_after_the_peers_close_is_eighteen() {
    let brief = peer(|mut stream| stream.say("all there is\n"));
    let mut client = sockit("tcp-client -v").to(brief.addr()).stdin_open().start();
    client.wait_to_say("the peer sends no more");
    brief.outcome();
    client.type_in("too late");
    client.wait().exits(18).prints("all there is\n").fails_at("send");
}

#[test]
fn exit_on_eof_ends_a_pipe_session_with_the_peers_end_of_stream() {
    let reader = peer::half_closes_first("mine");
    let client = sockit("tcp-client --exit-on-eof").to(reader.addr()).stdin_open().start();
    client.wait().exits(0).prints("mine").is_silent();
    assert_eq!(reader.outcome(), b"", "a clean end");

    let server = sockit("tcp-server --service pipe --exit-on-eof --once").stdin_open().serve();
    let mut caller = call(server.addr());
    caller.say("mine");
    caller.finish();
    assert_eq!(caller.hear_all(), b"", "a clean end");
    server.wait().exits(0).prints("mine");
}

#[test]
fn eight_orders_of_fin_and_last_data_lose_nothing() {
    // Who finishes first, whether the other's last words follow that FIN, and how much.
    for peer_first in [false, true] {
        for last_words_follow in [false, true] {
            for size in [10, 600_000] {
                an_order(peer_first, last_words_follow, size);
            }
        }
    }
}

fn an_order(peer_first: bool, last_words_follow: bool, size: usize) {
    let (ours, theirs) = (noise(size, 1), noise(size, 2));
    let say = theirs.clone();
    let other = peer(move |mut stream| {
        let mut talker = stream.try_clone().unwrap();
        let (head, tail) = say.split_at(say.len() / 2);
        let (head, tail) = (head.to_vec(), tail.to_vec());
        if peer_first {
            let talking = std::thread::spawn(move || {
                talker.say([head, tail].concat());
                talker.finish();
            });
            let heard = stream.hear_all();
            talking.join().unwrap();
            return heard;
        }
        let early = if last_words_follow { head.clone() } else { say.clone() };
        let talking = std::thread::spawn(move || talker.say(early));
        let heard = stream.hear_all();
        talking.join().unwrap();
        if last_words_follow {
            stream.say(tail);
        }
        heard
    });
    let mut client = sockit("tcp-client").to(other.addr()).stdin_open().start();
    let (head, tail) = ours.split_at(size / 2);
    client.type_in(head);
    if peer_first && last_words_follow {
        // Our last words leave only when all of the peer's, and so its FIN, are behind us.
        client.wait_to_print(&theirs[size - 8..]);
    }
    client.type_in(tail);
    client.end_stdin();
    let run = client.wait();
    run.exits(0);
    let order = format!("peer first {peer_first}, late {last_words_follow}, {size} bytes");
    assert!(run.stdout == theirs, "{order}: {} of {size} came", run.stdout.len());
    let heard = other.outcome();
    assert!(heard == ours, "{order}: {} of {size} arrived", heard.len());
}

#[test]
fn thirty_two_mebibytes_cross_both_ways_within_little_memory() {
    const SIZE: usize = 32 << 20;
    let server = sockit("tcp-server --service echo").serve();
    let bytes = noise(SIZE, 3);
    let mut client = sockit("tcp-client --no-half-close")
        .to(server.addr())
        .stdin_open()
        .limit(Duration::from_secs(60))
        .start();
    client.type_in(&bytes);
    client.wait_to_have(SIZE);
    let (ours, theirs) = (peak_memory(client.pid()), peak_memory(server.pid()));
    client.signal(libc::SIGINT);
    let run = client.wait();
    assert!(run.stdout == bytes, "what came back is not what went");
    assert!(ours < 16 << 10, "the client's peak was {ours} KiB");
    assert!(theirs < 24 << 10, "the server's peak was {theirs} KiB");
}

#[test]
fn a_peer_that_finishes_and_never_reads_is_waited_for_in_peace() {
    // Less than the two kernels hold, more than the peer's takes: ours is said, and not delivered.
    let bytes = noise(150_000, 5);
    let deaf = peer(|mut stream| {
        stream.finish();
        stream.outlive()
    });
    let client = sockit("tcp-client -v").to(deaf.addr()).stdin(bytes).start();
    client.wait_to_say("we send no more");
    std::thread::sleep(Duration::from_millis(1100));
    let (began, busy) = (Instant::now(), cpu_time(client.pid()));
    // What is measured is a second of waiting.
    std::thread::sleep(Duration::from_secs(1));
    let share = (cpu_time(client.pid()) - busy).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.3, "{:.0} % of a core while waiting", share * 100.0);
    client.signal(libc::SIGTERM);
    client.wait().exits(143);
}

#[test]
fn a_reset_after_data_is_eighteen_and_the_data_is_kept() {
    let rude = peer::says_and_resets("half a senten");
    let run = sockit("tcp-client").to(rude.addr()).stdin_open().run();
    run.exits(18).prints("half a senten").fails_at("receive").says("reset");
}

#[test]
fn a_reset_at_once_is_fifty_six() {
    let rude = peer(|stream| stream.reset());
    let run = sockit("tcp-client").to(rude.addr()).stdin_open().run();
    run.exits(56).prints("").fails_at("receive").says("reset");
}

#[test]
fn input_that_nobody_took_is_eighteen() {
    // Made first: the peer waits for its caller only so long.
    let bytes = noise(4 << 20, 4);
    let deaf = peer(|mut stream| {
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
        // Closing with unread bytes is a reset: what sockit sent is lost.
    });
    let run = sockit("tcp-client").to(deaf.addr()).stdin(bytes).run();
    run.exits(18);
    deaf.outcome();
}

/// A flow that is held back has bytes in hand that nobody will take any more.
#[test]
fn input_that_is_held_back_and_never_taken_is_eighteen() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("input");
    fs::write(&file, [b'x'; 3000]).unwrap();
    for from_file in [true, false] {
        // It leaves once the talk has begun, with most of it still to come.
        let brief = peer(|mut stream| stream.hear("x"));
        let client = sockit("tcp-client --rate 2k/s").to(brief.addr());
        let client = match from_file {
            true => client.arg("--input").arg(&file),
            false => client.stdin([b'x'; 3000]),
        };
        client.run().exits(18);
    }
}

#[test]
fn a_full_disk_is_twenty_three() {
    let talker = peer(|mut stream| {
        stream.say("more than nothing");
        stream.finish();
        stream.hear_all()
    });
    let run = sockit("tcp-client").to(talker.addr()).redirect(">/dev/full").run();
    run.exits(23).fails_at("stdout").says("No space left on device");
}

#[test]
fn a_reader_that_went_away_is_noticed_without_data_and_is_no_error() {
    let silent = peer(|mut stream| {
        stream.say("one line\n");
        stream.see_leave()
    });
    let (reader, writer) = std::io::pipe().unwrap();
    let client = sockit("tcp-client").to(silent.addr()).stdin_open().stdout_to(writer).start();
    let mut line = [0; 9];
    (&reader).read_exact(&mut line).unwrap();
    assert_eq!(&line, b"one line\n");
    drop(reader);
    let gone = Instant::now();
    let run = client.wait();
    run.exits(0).is_silent();
    assert!(run.ended - gone < Duration::from_secs(2), "noticed after {:?}", run.ended - gone);
    assert!(silent.outcome(), "the peer sees us leave");
}

#[test]
fn closed_standard_streams_are_normal() {
    for how in ["<&-", "</dev/null", "<&- 2>&-"] {
        let talker = peer(|mut stream| {
            stream.say("to nobody's surprise");
            stream.finish();
            stream.hear_all()
        });
        let run = sockit("tcp-client").to(talker.addr()).redirect(how).run();
        run.exits(0).prints("to nobody's surprise");
        assert_eq!(talker.outcome(), b"", "{how}: nothing is echoed back");
    }
    for how in [">&-", "<&- >&-", "<&- >&- 2>&-", ">/dev/null"] {
        let talker = peer(|mut stream| {
            stream.say("dropped");
            stream.finish();
            stream.hear_all()
        });
        sockit("tcp-client").to(talker.addr()).redirect(how).run().exits(0).prints("");
        assert_eq!(talker.outcome(), b"", "{how}: nothing is echoed back");
    }
}

/// The null device, and a closed descriptor, are no input: our end of stream follows the peer's.
#[test]
fn null_stdin_half_closes_after_the_peer() {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("socket");
    for how in ["</dev/null", "<&-"] {
        let talker = peer::half_closes_first("whole");
        let run = sockit("tcp-client -v").to(talker.addr()).redirect(how).run();
        peer_ends_first(&run.stderr);
        run.exits(0).prints("whole");
        assert_eq!(talker.outcome(), b"");

        let server = sockit("unix-server --service pipe --once").arg(&path).stdin("whole").serve();
        let run = sockit("unix-client -v").arg(&path).redirect(how).run();
        peer_ends_first(&run.stderr);
        run.exits(0).prints("whole");
        server.wait().exits(0).prints("");

        let server = sockit("tcp-server -v --service pipe --once").redirect(how).serve();
        let mut caller = call(server.addr());
        caller.say("whole");
        caller.finish();
        assert_eq!(caller.hear_all(), b"");
        let run = server.wait();
        peer_ends_first(&run.stderr);
        run.exits(0).prints("whole");
    }
    let talker = peer::half_closes_first("whole");
    let run = sockit("tcp-client -v --input /dev/null").to(talker.addr()).stdin_open().run();
    peer_ends_first(&run.stderr);
    run.exits(0).prints("whole");
}

/// Checks the order of the two ends under `-v`.
#[track_caller]
fn peer_ends_first(told: &str) {
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("no {what:?} in\n{told}"));
    assert!(at("sends no more") < at("we send no more"), "{told}");
}

#[test]
fn half_close_sends_the_end_of_a_null_stdin_immediately() {
    let waits = peer::answers_after_fin(Duration::ZERO, "answer");
    let run = sockit("tcp-client --half-close").to(waits.addr()).run();
    run.exits(0).prints("answer").is_silent();

    let server = sockit("tcp-server --service pipe --once --half-close").serve();
    let mut caller = call(server.addr());
    assert_eq!(caller.hear_all(), b"");
    caller.say("answer");
    caller.finish();
    server.wait().exits(0).prints("answer");
}

#[test]
fn empty_input_half_closes_immediately() {
    let empty_file = || tempfile::tempfile().unwrap();
    for from_file in [true, false] {
        let waits = peer::answers_after_fin(Duration::ZERO, "answer");
        let client = sockit("tcp-client").to(waits.addr());
        let client = if from_file { client.stdin_from(empty_file()) } else { client.stdin("") };
        client.run().exits(0).prints("answer").is_silent();
    }
    let server = sockit("tcp-server --service pipe --once").stdin_from(empty_file()).serve();
    assert_eq!(call(server.addr()).hear_all(), b"");
    server.wait().exits(0);
}

#[test]
fn recv_only_servers_ignore_their_stdin() {
    let server = sockit("tcp-server -v --service pipe --once --recv-only").stdin("never").serve();
    let mut caller = call(server.addr());
    caller.say("taken");
    caller.finish();
    assert_eq!(caller.hear_all(), b"");
    let run = server.wait();
    peer_ends_first(&run.stderr);
    run.exits(0).prints("taken");
    for line in ["tcp-server --recv-only", "tcp-server --service echo --half-close"] {
        sockit(line).run().exits(2).says("means nothing to the service");
    }
}

#[test]
fn silent_peer_without_input_is_warned_about_once() {
    const WARNING: &str = "--half-close";
    let silent = || {
        peer(|mut stream| {
            stream.hear("");
            stream.outlive()
        })
    };
    let (quiet, deaf) = (silent(), silent());
    let ignores = sockit("tcp-client --recv-only").to(quiet.addr()).start();
    let client = sockit("tcp-client --json --timeout 12s").to(deaf.addr()).start();
    let server = sockit("tcp-server --service pipe --once --json").serve();
    let mut caller = call(server.addr());
    client.wait_to_say(WARNING);
    server.wait_to_say(WARNING);
    ignores.signal(libc::SIGTERM);
    ignores.wait().exits(143).never_says(WARNING);
    caller.finish();
    caller.hear_all();
    for (run, code, conn) in [(server.wait(), 0, Some(1)), (client.wait(), 28, None)] {
        run.exits(code);
        let warnings = run.events_named("warning");
        assert_eq!(warnings.len(), 1, "{}", run.stderr);
        assert_eq!(warnings[0]["conn"].as_u64(), conn);
        let message = warnings[0]["message"].as_str().unwrap();
        assert!(message.contains("no end of input was sent"), "{message}");
    }
}

/// A peer that answers, and keeps its direction open after our end of stream.
fn answers_and_stays() -> peer::Peer<(Vec<u8>, TcpStream)> {
    peer(|mut stream| {
        stream.say("answer");
        (stream.hear_all(), stream)
    })
}

#[test]
fn linger_exits_zero_when_the_peer_stays_silent() {
    for (flags, stdin) in [
        ("", Some("question")),
        ("", None),
        ("--no-half-close", Some("question")),
        ("--expect answer", None),
        ("--prompt --quiet", Some("question\n")),
    ] {
        let stays = answers_and_stays();
        let client = sockit("tcp-client --linger 300ms").and(flags).to(stays.addr());
        let client = match stdin {
            Some(stdin) => client.stdin(stdin),
            None => client,
        };
        let run = client.run();
        run.exits(0).never_says("sockit:");
        assert_eq!(run.text().trim_end(), "answer", "{flags}");
        let asked = stdin.unwrap_or_default();
        assert_eq!(stays.outcome().0, asked.trim_end().as_bytes(), "{flags}: a clean end");
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let client = sockit("unix-client --linger 300ms").arg(&path).stdin("unread").start();
    let _stays = listener.accept().unwrap();
    client.wait().exits(0);
}

#[test]
fn linger_waits_for_a_drip_and_for_what_is_undelivered() {
    let drip = peer(|mut stream| {
        stream.drip("drop by drop", Duration::from_millis(100));
        stream.outlive()
    });
    let run = sockit("tcp-client --linger 700ms").to(drip.addr()).stdin("x").run();
    run.exits(0).prints("drop by drop");

    // More than the peer's kernel takes, less than ours holds beside it.
    let deaf = peer(|mut stream| stream.outlive());
    let client = sockit("tcp-client --linger 200ms --timeout 1500ms").to(deaf.addr());
    client.stdin(noise(150_000, 7)).run().exits(28).fails_at("receive");
}

/// A session without input owes nothing: an idle one ends cleanly with its server.
#[test]
fn terminated_pipe_server_without_input_closes_an_idle_connection() {
    let server = sockit("tcp-server --service pipe --grace 20s").serve();
    let mut caller = call(server.addr());
    caller.say("some");
    server.wait_to_print("some");
    server.signal(libc::SIGTERM);
    assert_eq!(caller.hear_all(), b"");
    server.wait().exits(0);
}

#[test]
fn a_slow_reader_of_our_stdout_gets_all_of_it() {
    let bytes = noise(1 << 20, 5);
    let answer = bytes.clone();
    let talker = peer::answers_after_fin(Duration::ZERO, answer);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let client = sockit("tcp-client").to(talker.addr()).stdin("").stdout_to(writer).start();
    let mut got = Vec::new();
    let mut piece = [0; 20_000];
    loop {
        // A reader that is slow on purpose: this is its nature, not a wait for something.
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
fn a_finished_exchange_is_never_idle() {
    let slow = peer::answers_after_fin(Duration::from_millis(50), "done");
    let run = sockit("tcp-client --idle-timeout 2s").to(slow.addr()).stdin("x").run();
    run.exits(0).prints("done");
    assert!(run.took < Duration::from_secs(1), "{:?}", run.took);
}

#[test]
fn a_pipe_server_answers_a_client_that_has_finished() {
    let mut server = sockit("tcp-server --service pipe --once").stdin_open().serve();
    let mut caller = call(server.addr());
    caller.say("question");
    caller.finish();
    server.wait_to_print("question");
    server.type_in("the answer");
    server.end_stdin();
    assert_eq!(caller.hear_all(), b"the answer");
    server.wait().exits(0).prints("question");
}

#[test]
fn a_pipe_server_half_closes_at_the_end_of_its_stdin() {
    let server = sockit("tcp-server --service pipe --once").stdin("a file's bytes").serve();
    let mut caller = call(server.addr());
    assert_eq!(caller.hear_all(), b"a file's bytes");
    caller.say("thanks");
    caller.finish();
    server.wait().exits(0).prints("thanks");
}

#[test]
fn a_terminated_server_lets_an_owed_answer_finish() {
    let server = sockit("tcp-server --delay 300ms --grace 5s").serve();
    let mut caller = call(server.addr());
    caller.hear("Welcome!");
    caller.say("Michael");
    server.wait_to_say("Accept new connection");
    let answer = std::thread::spawn(move || {
        caller.hear("Hello, Michael!");
        caller.hear_all()
    });
    // The message must be in the server's hands before the signal is.
    std::thread::sleep(Duration::from_millis(100));
    server.stop().exits(0);
    assert_eq!(answer.join().unwrap(), b"");
}

#[test]
fn a_terminated_server_closes_idle_connections_and_leaves_with_zero() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let server = sockit("tcp-server --grace 5s").serve();
        let mut caller = call(server.addr());
        caller.hear("Welcome!");
        let asked = Instant::now();
        server.signal(signal);
        assert_eq!(caller.hear_all(), b"", "an orderly end");
        let run = server.wait();
        let code = if signal == libc::SIGTERM { 0 } else { run.code };
        run.exits(code);
        assert!(run.ended - asked < Duration::from_secs(2), "{:?}", run.ended - asked);
    }
}

/// Sends a request on a connection that was accepted before SIGTERM, after SIGTERM; `None` when this
/// machine was too busy to do so in the time that a new connection has.
fn request_after_sigterm(line: &str) -> Option<Result<Vec<u8>, std::io::ErrorKind>> {
    let server = sockit(line).and("--grace 10s").serve();
    let mut caller = call(server.addr());
    server.wait_to_say("Accept new connection");
    let asked = Instant::now();
    server.signal(libc::SIGTERM);
    refuses_connections(server.addr());
    caller.say("question\n");
    let in_time = asked.elapsed() < Duration::from_millis(200);
    let mut answer = Vec::new();
    let end = caller.read_to_end(&mut answer);
    server.wait();
    in_time.then(|| end.map(|_| answer).map_err(|why| why.kind()))
}

/// Waits until a server that is asked to end has closed its listener.
fn refuses_connections(addr: std::net::SocketAddr) {
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_ok() {
        assert!(Instant::now() < until, "still accepting after SIGTERM");
        std::thread::sleep(Duration::from_millis(1));
    }
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
        let mut callers = [call(server.addr()), call(server.addr())];
        server.wait_to_say_times("Accept new connection", 2);
        // The request and the signal are both there before the server runs again.
        server.signal(libc::SIGSTOP);
        callers.iter_mut().for_each(|caller| caller.say("question\n"));
        server.signal(libc::SIGTERM);
        server.signal(libc::SIGCONT);
        for mut caller in callers {
            let answer = String::from_utf8(caller.hear_all()).unwrap();
            assert!(answer.contains("question"), "{line}: {answer:?}");
        }
        server.wait().exits(0);
    }
}

#[test]
fn a_transfer_that_is_cut_ends_in_a_reset_never_in_a_clean_fin() {
    let server = sockit("tcp-server --service chargen --grace 200ms").serve();
    let mut caller = call(server.addr());
    let mut piece = [0; 1000];
    caller.read_exact(&mut piece).unwrap();
    server.signal(libc::SIGTERM);
    let end = read_to_the_end(&mut caller);
    assert_eq!(end.map_err(|why| why.kind()), Err(std::io::ErrorKind::ConnectionReset));
    server.wait().exits(143).says("ended by signal");
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    let server = sockit("tcp-server --service chargen --grace 30s").serve();
    let mut caller = call(server.addr());
    caller.read_exact(&mut [0; 100]).unwrap();
    server.signal(libc::SIGTERM);
    // The first signal has been taken once nobody is accepted any more.
    refuses_connections(server.addr());
    server.signal(libc::SIGTERM);
    let run = server.wait();
    run.exits(143);
    assert!(run.took < Duration::from_secs(15), "{:?}", run.took);
}

#[test]
fn signals_ignored_at_the_start_stay_ignored() {
    let signals = [("INT", libc::SIGINT), ("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP)];
    for (name, signal) in signals {
        let server = sockit("tcp-server").under(trap(name)).serve();
        server.signal(signal);
        let mut caller = call(server.addr());
        caller.hear("Welcome!");
        // Another signal still ends it.
        let other = if signal == libc::SIGTERM { libc::SIGINT } else { libc::SIGTERM };
        server.signal(other);
        let run = server.wait();
        assert!([0, 130].contains(&run.code), "SIG{name}: {}", run.code);
    }
    let client = sockit("tcp-client -v").to(peer::does_nothing().addr()).stdin_open();
    let client = client.under(trap("INT")).start();
    client.wait_to_say("Connected to");
    client.signal(libc::SIGINT);
    client.signal(libc::SIGTERM);
    client.wait().exits(143);
}

/// A shell that ignores a signal and becomes the program whose words follow.
fn trap(signal: &str) -> [String; 3] {
    ["sh".into(), "-c".into(), format!("trap '' {signal}; exec \"$0\" \"$@\"")]
}

#[test]
fn an_idle_caller_loses_its_place_and_the_server_goes_on() {
    let server = sockit("tcp-server --json --idle-timeout 200ms").serve();
    let mut idle = call(server.addr());
    idle.hear("Welcome!");
    server.wait_to_say("\"ended_by\":\"timeout\"");
    let mut next = call(server.addr());
    next.hear("Welcome!");
}

#[test]
fn ended_by_tells_whose_hand_it_was() {
    let server = sockit("tcp-server --service echo --json").serve();
    call(server.addr()).finish();
    server.wait_to_say_times("\"event\":\"closed\"", 1);
    let mut rude = call(server.addr());
    rude.say("x");
    rude.hear("x");
    rude.reset();
    server.wait_to_say_times("\"event\":\"closed\"", 2);
    let run = server.stop();
    let closed = run.events_named("closed");
    assert_eq!(closed[0]["ended_by"], "peer", "{}", closed[0]);
    assert_eq!(closed[1]["ended_by"], "reset", "{}", closed[1]);
    assert_eq!(closed[1]["bytes_in"], 1, "{}", closed[1]);
    assert_eq!(closed[1]["bytes_out"], 1, "{}", closed[1]);
}

#[test]
fn a_file_as_stdin_goes_out_from_where_it_stands() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"skipped sent").unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    let listener = peer(|mut stream| stream.hear_all());
    sockit("tcp-client").to(listener.addr()).stdin_from(file).run().exits(0);
    assert_eq!(listener.outcome(), b"sent");
}

#[test]
fn a_peer_that_closes_at_once_is_done_at_once() {
    let brief = peer::closes_at_once();
    let run = sockit("tcp-client").to(brief.addr()).run();
    run.exits(0).prints("").is_silent();
    assert!(run.took < Duration::from_secs(2), "{:?}", run.took);
}

#[test]
fn nothing_is_left_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let before = dir.path().metadata().unwrap().mtime_nsec();
    let echo = peer::echoes();
    let run = sockit("tcp-client").env("HOME", dir.path().to_str().unwrap()).to(echo.addr());
    run.stdin("x").run().exits(0);
    assert_eq!(dir.path().metadata().unwrap().mtime_nsec(), before, "HOME stays untouched");
}

/// Reads until the end, whatever it is.
fn read_to_the_end(stream: &mut TcpStream) -> std::io::Result<u64> {
    std::io::copy(stream, &mut std::io::sink())
}

/// Bytes that no two pieces of which are alike (xorshift64*).
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

/// The sink is told to end while the caller streams, with pauses in which nothing is under way.
#[test]
fn a_terminated_server_hears_a_stream_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let program = format!("--sh 'cat > {}'", copy.display());
    for service in ["--service discard", "--service echo", &program] {
        let server = sockit("tcp-server --grace 20s").and(service).serve();
        let mut caller = call(server.addr());
        for piece in 0..20 {
            caller.say([b'x'; 10_000]);
            if piece == 2 {
                server.wait_to_say("Accept new connection");
                server.signal(libc::SIGTERM);
            }
            std::thread::sleep(Duration::from_millis(40));
        }
        caller.finish();
        caller.hear_all();
        server.wait().exits(0).says("200000 bytes in");
    }
    assert_eq!(std::fs::metadata(copy).unwrap().len(), 200_000);
}
