//! Each service of `sockit tcp-server`.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::support::peer::{Script, connect, wait_until_read};
use crate::support::process::Daemon;
use crate::support::sockit::sockit;

fn serve(line: &str) -> Daemon {
    sockit("tcp-server").and(line).serve()
}

#[test]
fn hello_greets_each_name() {
    let server = serve("--service hello");
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    for name in ["Michael", "Tracy", "小明", "two words"] {
        client.send(name);
        client.expect_bytes(format!("Hello, {name}!"));
    }
    client.send("exit");
    assert_eq!(client.read_all(), b"");
}

#[test]
fn hello_keeps_the_line_end() {
    let server = serve("");
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    client.send("unix\n");
    client.expect_bytes("Hello, unix!\n");
    client.send("dos\r\n");
    client.expect_bytes("Hello, dos!\r\n");
    client.send("several\nin one\nread");
    client.expect_bytes("Hello, several!\nHello, in one!\nHello, read!");
    client.send("exit\n");
    assert_eq!(client.read_all(), b"");
}

#[test]
fn end_of_stream_ends_hello() {
    let server = serve("");
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    client.half_close();
    assert_eq!(client.read_all(), b"");
}

#[test]
fn echo_returns_every_byte() {
    let server = serve("--service echo");
    let mut client = connect(server.addr());
    let all: Vec<u8> = (0..=255).collect();
    client.send(&all);
    client.expect_bytes(&all);
    client.half_close();
    assert_eq!(client.read_all(), b"");
}

#[test]
fn time_has_the_form_of_ctime() {
    let server = serve("--service time").port();
    let server_time = sockit("tcp-server --service time").env("TZ", "UTC").serve();
    assert_ne!(server, server_time.port());
    let mut client = connect(server_time.addr());
    client.send("now?");
    // `[Tue Feb 17 10:00:18 2026] now?`: ctime(3) pads the day of the month with a space.
    let mut answer = [0; 31];
    client.read_exact(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let shape =
        r"^\[(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 1-3][0-9] \d\d:\d\d:\d\d \d{4}\] now\?$";
    let shape: ::sockit::client::pattern::Pattern = shape.parse().unwrap();
    assert!(shape.search().advance(answer.as_bytes(), 0).is_some(), "{answer:?}");
}

#[test]
fn ack_answers_once_and_closes() {
    let server = serve("--service ack");
    let mut client = connect(server.addr());
    client.send("hello");
    assert_eq!(String::from_utf8(client.read_all()).unwrap(), "已接收到数据 hello");
}

#[test]
fn reply_fills_its_template() {
    let server = serve("--reply '{n}: {message} from {peer} at {local}' --greeting 'hi {peer}; '");
    let mut client = connect(server.addr());
    let (us, them) = (client.local_addr().unwrap(), server.addr());
    client.expect_bytes(format!("hi {us}; "));
    client.send("a");
    client.expect_bytes(format!("1: a from {us} at {them}"));
    client.send("b");
    client.expect_bytes(format!("2: b from {us} at {them}"));
}

#[test]
fn reply_fills_in_the_time() {
    let server = serve("--reply '{time}|'");
    let mut client = connect(server.addr());
    client.send("?");
    let mut answer = [0; 25];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer[24], b'|', "ctime's 24 characters: {}", answer.escape_ascii());
}

#[test]
fn message_is_never_a_template() {
    let server = serve("--reply 'Your msg={message}'");
    let mut client = connect(server.addr());
    client.send("{peer} {n} {message} {{}}");
    client.expect_bytes("Your msg={peer} {n} {message} {{}}");
}

#[test]
fn until_and_messages_end_the_session() {
    let server = serve("--reply 'got {message};' --until stop");
    let mut client = connect(server.addr());
    client.send("go");
    client.expect_bytes("got go;");
    client.send("stop");
    assert_eq!(client.read_all(), b"");

    let server = serve("--reply 'got {message};' --messages 2");
    let mut client = connect(server.addr());
    client.send("1");
    client.expect_bytes("got 1;");
    client.send("2");
    assert_eq!(client.read_all(), b"got 2;");
}

#[test]
fn greeting_without_service_is_sent() {
    let server = serve("--greeting 'only this'");
    let mut client = connect(server.addr());
    client.expect_bytes("only this");
    client.half_close();
    assert_eq!(client.read_all(), b"");
}

#[test]
fn line_framing_waits_for_the_end_of_the_line() {
    let server = serve("--reply '<{message}>' --framing line");
    let mut client = connect(server.addr());
    for piece in ["ha", "lf", "\n", "two\nthr", "ee\r\nrest"] {
        client.send(piece);
    }
    client.half_close();
    let all = String::from_utf8(client.read_all()).unwrap();
    assert_eq!(all, "<half>\n<two>\n<three>\r\n<rest>");
}

#[test]
fn bytes_framing_counts_characters() {
    let server = serve("--reply '<{message}>' --framing bytes:3");
    let mut client = connect(server.addr());
    client.send("abcde");
    client.send("f已接收到");
    client.half_close();
    assert_eq!(String::from_utf8(client.read_all()).unwrap(), "<abc><def><已接收><到>");
}

#[test]
fn chunk_framing_never_splits_a_character() {
    let server = serve("--reply '<{message}>' --framing chunk");
    let mut client = connect(server.addr());
    let word = "已".as_bytes();
    client.send(&word[..2]);
    wait_until_read(&client);
    client.send(&word[2..]);
    client.expect_bytes("<已>");
}

#[test]
fn message_without_end_closes_its_connection_only() {
    let server = serve("--framing line --max-message 1k --json");
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    client.send(vec![b'x'; 4000]);
    let end = std::io::copy(&mut client, &mut std::io::sink());
    assert!(end.is_err() || end.is_ok_and(|n| n == 0), "no answer to half a message");
    server.wait_for_log("\"code\":63");
    let mut next = connect(server.addr());
    next.expect_bytes("Welcome!");
}

#[test]
fn discard_reads_everything_and_sends_nothing() {
    let server = serve("--service discard --json");
    let mut client = connect(server.addr());
    client.send(vec![b'x'; 1 << 20]);
    client.half_close();
    assert_eq!(client.read_all(), b"");
    server.wait_for_log("\"bytes_in\":1048576");
}

#[test]
fn chargen_sends_the_pattern_of_rfc_864() {
    let server = serve("--service chargen");
    let mut client = connect(server.addr());
    let mut text = vec![0; 96 * 74];
    client.read_exact(&mut text).unwrap();
    for (n, line) in text.chunks(74).enumerate() {
        // 95 printing characters, 72 of them in a line, each line beginning with the next one.
        let want: Vec<u8> = (0..72).map(|i| b' ' + ((n + i) % 95) as u8).collect();
        assert_eq!(&line[72..], b"\r\n", "line {n}");
        let got = String::from_utf8_lossy(&line[..72]).into_owned();
        // RFC 864 lets the first line begin with any character: space or `!`.
        let from_bang: Vec<u8> = (0..72).map(|i| b' ' + ((n + 1 + i) % 95) as u8).collect();
        assert!(line[..72] == want[..] || line[..72] == from_bang[..], "line {n}: {got}");
    }
}

#[test]
fn delay_precedes_each_answer() {
    let server = serve("--delay 150ms");
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    let asked = Instant::now();
    client.send("a");
    client.expect_bytes("Hello, a!");
    client.send("b");
    client.expect_bytes("Hello, b!");
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
}

#[test]
fn pipe_serves_one_client_at_a_time() {
    let mut server = sockit("tcp-server --service pipe --exit-on-eof").stdin_open().serve();
    let mut first = connect(server.addr());
    first.send("one ");
    server.wait_for_output("one ");
    let mut second = connect(server.addr());
    second.send("two");
    server.write_stdin("for the first");
    first.expect_bytes("for the first");
    first.half_close();
    drop(first);
    server.wait_for_output("one two");
}

#[test]
fn write_without_line_end_is_one_message() {
    // The tutorials' client writes without line ends: one write is one message.
    let server = serve("--service ack --messages 1");
    let mut client = connect(server.addr());
    client.send("no newline");
    assert_eq!(String::from_utf8(client.read_all()).unwrap(), "已接收到数据 no newline");
}

#[cfg(feature = "tls")]
#[test]
fn message_over_tls_in_several_records_is_one_message() {
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
fn idle_timeout_resets_an_incomplete_answer() {
    let server = serve("--service echo --idle-timeout 300ms --json");
    let mut client = connect(server.addr());
    // The client does not read, until the server has closed.
    let sent = std::io::Write::write_all(&mut client, &vec![b'x'; 64 << 20]);
    server.wait_for_log("\"ended_by\":\"timeout\"");
    let end = std::io::copy(&mut client, &mut std::io::sink());
    assert!(sent.is_err() || end.is_err(), "{sent:?} {end:?}");
}

#[test]
fn length_framing_prefixes_messages_greeting_and_answers() {
    for (framing, zeros) in [("length:1", 0), ("length:2", 1), ("length:4", 3)] {
        let server = serve(&format!("--once --framing {framing}"));
        let mut client = connect(server.addr());
        let framed = |text: &str| {
            let mut bytes = vec![0; zeros];
            bytes.push(text.len() as u8);
            [bytes, text.as_bytes().to_vec()].concat()
        };
        client.expect_bytes(framed("Welcome!"));
        client.send([framed("Ann"), framed(""), framed("two\nlines\n")].concat());
        client.expect_bytes([framed("Hello, Ann!"), framed("Hello, !")].concat());
        client.expect_bytes(framed("Hello, two\nlines\n!"));
        // A message that arrives in parts is one.
        let tracy = framed("Tracy");
        client.send(&tracy[..zeros + 3]);
        client.send(&tracy[zeros + 3..]);
        client.expect_bytes(framed("Hello, Tracy!"));
        client.send(framed("exit"));
        assert_eq!(client.read_all(), b"");
        server.wait().exits(0);
    }
}

#[test]
fn length_over_max_message_exits_63_before_the_message() {
    let server = serve("--once --service reply --framing length:4 --max-message 100");
    let mut client = connect(server.addr());
    client.send(b"\0\0\0\x02hi\0\0\0\x65");
    client.expect_bytes(b"\0\0\0\x0bYour msg=hi");
    assert_eq!(client.read_all(), b"");
    server.wait().exits(63).fails_at("receive").logs("--max-message");
}

#[test]
fn length_framing_that_ends_inside_a_message_exits_18() {
    let server = serve("--once --service reply --framing length:2");
    let mut client = connect(server.addr());
    client.send(b"\0\x01a\0\x05half");
    client.half_close();
    assert_eq!(client.read_all(), b"\0\x0aYour msg=a");
    server.wait().exits(18).fails_at("receive").logs("inside a message");
}

#[test]
fn answer_too_long_for_its_length_field_exits_63() {
    let server = serve("--once --framing length:1 --service reply --reply '{message}!'");
    let mut client = connect(server.addr());
    client.send([&b"\x02ok\xff"[..], &[b'x'; 255]].concat());
    assert_eq!(client.read_all(), b"\x03ok!");
    server.wait().exits(63).fails_at("send").logs("255");
}

#[test]
fn length_framing_without_framed_messages_is_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    for line in
        ["udp-server --service reply", "tcp-server --service chat", "tcp-server --service pipe"]
    {
        sockit(line).and("--port 0 --framing length:2").run().exits(2);
    }
    let unix = sockit("unix-server --datagram --service reply --framing length:2");
    unix.arg(dir.path().join("s")).run().exits(2);
}
