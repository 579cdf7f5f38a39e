//! What each service of `sockit tcp-server` does with a caller.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::support::peer::{Script, call};
use crate::support::process::Daemon;
use crate::support::sockit::sockit;

fn serve(line: &str) -> Daemon {
    sockit("tcp-server").and(line).serve()
}

#[test]
fn hello_greets_whoever_introduces_themselves() {
    let server = serve("--service hello");
    let mut caller = call(server.addr());
    caller.hear("Welcome!");
    for name in ["Michael", "Tracy", "小明", "two words"] {
        caller.say(name);
        caller.hear(format!("Hello, {name}!"));
    }
    caller.say("exit");
    assert_eq!(caller.hear_all(), b"");
}

#[test]
fn a_line_end_is_taken_off_and_put_back() {
    let server = serve("");
    let mut caller = call(server.addr());
    caller.hear("Welcome!");
    caller.say("unix\n");
    caller.hear("Hello, unix!\n");
    caller.say("dos\r\n");
    caller.hear("Hello, dos!\r\n");
    caller.say("several\nin one\nread");
    caller.hear("Hello, several!\nHello, in one!\nHello, read!");
    caller.say("exit\n");
    assert_eq!(caller.hear_all(), b"");
}

#[test]
fn end_of_stream_ends_hello_too() {
    let server = serve("");
    let mut caller = call(server.addr());
    caller.hear("Welcome!");
    caller.finish();
    assert_eq!(caller.hear_all(), b"");
}

#[test]
fn echo_gives_back_every_byte() {
    let server = serve("--service echo");
    let mut caller = call(server.addr());
    let all: Vec<u8> = (0..=255).collect();
    caller.say(&all);
    caller.hear(&all);
    caller.finish();
    assert_eq!(caller.hear_all(), b"");
}

#[test]
fn time_answers_in_ctimes_form() {
    let server = serve("--service time").port();
    let server_time = sockit("tcp-server --service time").env("TZ", "UTC").serve();
    assert_ne!(server, server_time.port());
    let mut caller = call(server_time.addr());
    caller.say("now?");
    // `[Tue Feb 17 10:00:18 2026] now?`: ctime(3) pads the day of the month with a space.
    let mut answer = [0; 31];
    caller.read_exact(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let shape =
        r"^\[(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 1-3][0-9] \d\d:\d\d:\d\d \d{4}\] now\?$";
    let shape: ::sockit::client::pattern::Pattern = shape.parse().unwrap();
    assert!(shape.search().advance(answer.as_bytes(), 0).is_some(), "{answer:?}");
}

#[test]
fn ack_answers_once_and_closes() {
    let server = serve("--service ack");
    let mut caller = call(server.addr());
    caller.say("hello");
    assert_eq!(String::from_utf8(caller.hear_all()).unwrap(), "已接收到数据 hello");
}

#[test]
fn reply_fills_its_template() {
    let server = serve("--reply '{n}: {message} from {peer} at {local}' --greeting 'hi {peer}; '");
    let mut caller = call(server.addr());
    let (us, them) = (caller.local_addr().unwrap(), server.addr());
    caller.hear(format!("hi {us}; "));
    caller.say("a");
    caller.hear(format!("1: a from {us} at {them}"));
    caller.say("b");
    caller.hear(format!("2: b from {us} at {them}"));
}

#[test]
fn reply_knows_the_time() {
    let server = serve("--reply '{time}|'");
    let mut caller = call(server.addr());
    caller.say("?");
    let mut answer = [0; 25];
    caller.read_exact(&mut answer).unwrap();
    assert_eq!(answer[24], b'|', "ctime's 24 characters: {}", answer.escape_ascii());
}

#[test]
fn what_a_message_holds_is_never_a_template() {
    let server = serve("--reply 'Your msg={message}'");
    let mut caller = call(server.addr());
    caller.say("{peer} {n} {message} {{}}");
    caller.hear("Your msg={peer} {n} {message} {{}}");
}

#[test]
fn until_and_messages_bound_a_talk() {
    let server = serve("--reply 'got {message};' --until stop");
    let mut caller = call(server.addr());
    caller.say("go");
    caller.hear("got go;");
    caller.say("stop");
    assert_eq!(caller.hear_all(), b"");

    let server = serve("--reply 'got {message};' --messages 2");
    let mut caller = call(server.addr());
    caller.say("1");
    caller.hear("got 1;");
    caller.say("2");
    assert_eq!(caller.hear_all(), b"got 2;");
}

#[test]
fn a_greeting_alone_is_a_service() {
    let server = serve("--greeting 'only this'");
    let mut caller = call(server.addr());
    caller.hear("only this");
    caller.finish();
    assert_eq!(caller.hear_all(), b"");
}

#[test]
fn line_framing_waits_for_the_end_of_the_line() {
    let server = serve("--reply '<{message}>' --framing line");
    let mut caller = call(server.addr());
    for piece in ["ha", "lf", "\n", "two\nthr", "ee\r\nrest"] {
        caller.say(piece);
    }
    caller.finish();
    let all = String::from_utf8(caller.hear_all()).unwrap();
    assert_eq!(all, "<half>\n<two>\n<three>\r\n<rest>");
}

#[test]
fn bytes_framing_counts_characters() {
    let server = serve("--reply '<{message}>' --framing bytes:3");
    let mut caller = call(server.addr());
    caller.say("abcde");
    caller.say("f已接收到");
    caller.finish();
    assert_eq!(String::from_utf8(caller.hear_all()).unwrap(), "<abc><def><已接收><到>");
}

#[test]
fn utf8_is_never_split() {
    let server = serve("--reply '<{message}>' --framing chunk");
    let mut caller = call(server.addr());
    let word = "已".as_bytes();
    caller.say(&word[..2]);
    // The rest comes in a read of its own, for the kernel had the first part delivered.
    std::thread::sleep(Duration::from_millis(50));
    caller.say(&word[2..]);
    caller.hear("<已>");
}

#[test]
fn a_message_without_end_is_told_and_ends_that_connection_only() {
    let server = serve("--framing line --max-message 1k --json");
    let mut caller = call(server.addr());
    caller.hear("Welcome!");
    caller.say(vec![b'x'; 4000]);
    let end = std::io::copy(&mut caller, &mut std::io::sink());
    assert!(end.is_err() || end.is_ok_and(|n| n == 0), "no answer to half a message");
    server.wait_to_say("\"code\":63");
    let mut next = call(server.addr());
    next.hear("Welcome!");
}

#[test]
fn discard_takes_everything_and_says_nothing() {
    let server = serve("--service discard --json");
    let mut caller = call(server.addr());
    caller.say(vec![b'x'; 1 << 20]);
    caller.finish();
    assert_eq!(caller.hear_all(), b"");
    server.wait_to_say("\"bytes_in\":1048576");
}

#[test]
fn chargen_is_rfc_864s_pattern() {
    let server = serve("--service chargen");
    let mut caller = call(server.addr());
    let mut text = vec![0; 96 * 74];
    caller.read_exact(&mut text).unwrap();
    for (n, line) in text.chunks(74).enumerate() {
        // 95 printing characters in a ring, 72 of them in a line, each line one further on.
        let want: Vec<u8> = (0..72).map(|i| b' ' + ((n + i) % 95) as u8).collect();
        assert_eq!(&line[72..], b"\r\n", "line {n}");
        let got = String::from_utf8_lossy(&line[..72]).into_owned();
        // RFC 864 leaves where the ring begins to the implementation: space or `!`.
        let from_bang: Vec<u8> = (0..72).map(|i| b' ' + ((n + 1 + i) % 95) as u8).collect();
        assert!(line[..72] == want[..] || line[..72] == from_bang[..], "line {n}: {got}");
    }
}

#[test]
fn a_delay_precedes_each_answer() {
    let server = serve("--delay 150ms");
    let mut caller = call(server.addr());
    caller.hear("Welcome!");
    let asked = Instant::now();
    caller.say("a");
    caller.hear("Hello, a!");
    caller.say("b");
    caller.hear("Hello, b!");
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
}

#[test]
fn pipe_joins_one_caller_at_a_time() {
    let mut server = sockit("tcp-server --service pipe --exit-on-eof").stdin_open().serve();
    let mut first = call(server.addr());
    first.say("one ");
    server.wait_to_print("one ");
    let mut second = call(server.addr());
    second.say("two");
    server.type_in("for the first");
    first.hear("for the first");
    first.finish();
    drop(first);
    server.wait_to_print("one two");
}

#[test]
fn a_message_shows_where_it_was_cut_by_the_clients_own_writes() {
    // The client of the tutorials writes without line ends: one write is one message.
    let server = serve("--service ack --messages 1");
    let mut caller = call(server.addr());
    caller.say("no newline");
    assert_eq!(String::from_utf8(caller.hear_all()).unwrap(), "已接收到数据 no newline");
}

#[cfg(feature = "tls")]
#[test]
fn a_long_message_is_one_under_tls_too() {
    let server = serve("--tls");
    let run = sockit("tcp-client --tls --insecure -q --send")
        .arg("y".repeat(40_000))
        .and("--send exit")
        .to(server.addr())
        .run();
    run.exits(0);
    assert_eq!(run.text().matches("Hello, ").count(), 1, "{}", run.text().len());
}

#[test]
fn an_answer_that_the_idle_limit_cuts_ends_in_a_reset() {
    let server = serve("--service echo --idle-timeout 300ms --json");
    let mut caller = call(server.addr());
    // Nobody reads what comes back, until the server has had enough.
    let said = std::io::Write::write_all(&mut caller, &vec![b'x'; 64 << 20]);
    server.wait_to_say("\"ended_by\":\"timeout\"");
    let end = std::io::copy(&mut caller, &mut std::io::sink());
    assert!(said.is_err() || end.is_err(), "{said:?} {end:?}");
}

#[test]
fn length_framing_prefixes_messages_greeting_and_answers() {
    for (framing, zeros) in [("length:1", 0), ("length:2", 1), ("length:4", 3)] {
        let server = serve(&format!("--once --framing {framing}"));
        let mut client = call(server.addr());
        let framed = |text: &str| {
            let mut bytes = vec![0; zeros];
            bytes.push(text.len() as u8);
            [bytes, text.as_bytes().to_vec()].concat()
        };
        client.hear(framed("Welcome!"));
        client.say([framed("Ann"), framed(""), framed("two\nlines\n")].concat());
        client.hear([framed("Hello, Ann!"), framed("Hello, !")].concat());
        client.hear(framed("Hello, two\nlines\n!"));
        // A message that comes in pieces is one.
        let tracy = framed("Tracy");
        client.say(&tracy[..zeros + 3]);
        client.say(&tracy[zeros + 3..]);
        client.hear(framed("Hello, Tracy!"));
        client.say(framed("exit"));
        assert_eq!(client.hear_all(), b"");
        server.wait().exits(0);
    }
}

#[test]
fn length_over_max_message_is_63_before_the_message_comes() {
    let server = serve("--once --service reply --framing length:4 --max-message 100");
    let mut client = call(server.addr());
    client.say(b"\0\0\0\x02hi\0\0\0\x65");
    client.hear(b"\0\0\0\x0bYour msg=hi");
    assert_eq!(client.hear_all(), b"");
    server.wait().exits(63).fails_at("receive").says("--max-message");
}

#[test]
fn length_framing_that_ends_inside_a_message_is_18_without_an_answer() {
    let server = serve("--once --service reply --framing length:2");
    let mut client = call(server.addr());
    client.say(b"\0\x01a\0\x05half");
    client.finish();
    assert_eq!(client.hear_all(), b"\0\x0aYour msg=a");
    server.wait().exits(18).fails_at("receive").says("inside a message");
}

#[test]
fn answer_that_its_length_cannot_announce_is_63() {
    let server = serve("--once --framing length:1 --service reply --reply '{message}!'");
    let mut client = call(server.addr());
    client.say([&b"\x02ok\xff"[..], &[b'x'; 255]].concat());
    assert_eq!(client.hear_all(), b"\x03ok!");
    server.wait().exits(63).fails_at("send").says("255");
}

#[test]
fn length_framing_is_refused_where_there_are_no_framed_messages() {
    let dir = tempfile::tempdir().unwrap();
    for line in
        ["udp-server --service reply", "tcp-server --service chat", "tcp-server --service pipe"]
    {
        sockit(line).and("--port 0 --framing length:2").run().exits(2);
    }
    let unix = sockit("unix-server --datagram --service reply --framing length:2");
    unix.arg(dir.path().join("s")).run().exits(2);
}
