//! The prompt on a terminal made by rexpect.

use std::io::Write;
use std::net::SocketAddr;

use rexpect::session::{PtySession, spawn_command};

use crate::support::peer::{self, Script, peer};
use crate::support::sockit::sockit;

/// The timeout of any text on the screen, in milliseconds.
const TIMEOUT_MS: u64 = 15_000;

fn prompt_to(addr: SocketAddr, flags: &str) -> PtySession {
    let mut command = sockit("tcp-client").and(flags).to(addr).command();
    command.env("TERM", "xterm");
    spawn_command(command, Some(TIMEOUT_MS)).expect("a terminal with sockit on it")
}

/// The exit code; rexpect keeps the type that holds it to itself, so it is read from its text,
/// `Exited(Pid(N), CODE)`.
fn code(screen: &mut PtySession) -> i32 {
    let status = format!("{:?}", screen.process().wait().expect("the end of sockit"));
    let code = status.strip_prefix("Exited(").and_then(|s| s.split(", ").last());
    code.and_then(|s| s.trim_end_matches(')').parse().ok()).unwrap_or_else(|| panic!("{status}"))
}

/// rexpect decodes each byte as one character.
fn as_rexpect_reads(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

#[test]
fn prompt_sends_a_line_and_prints_the_reply() {
    let server = sockit("tcp-server").serve();
    let mut screen = prompt_to(server.addr(), "");
    screen.exp_string("Welcome!").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_line("Michael").unwrap();
    screen.exp_string("Hello, Michael!").unwrap();
    screen.send_line("小明").unwrap();
    screen.exp_string(&as_rexpect_reads("Hello, 小明!")).unwrap();
    screen.send_line("").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&mut screen), 0);
}

#[test]
fn control_d_ends_the_prompt() {
    let listener = peer(|mut stream| stream.read_all());
    let mut screen = prompt_to(listener.addr(), "");
    screen.exp_string("> ").unwrap();
    screen.send_line("last words").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(listener.outcome(), b"last words", "one message, without its line end");
    assert_eq!(code(&mut screen), 0);
}

#[test]
fn peer_close_ends_the_prompt() {
    let remote = peer(|mut stream| {
        stream.expect_bytes("hi");
        stream.send("bye");
    });
    let mut screen = prompt_to(remote.addr(), "");
    screen.exp_string("> ").unwrap();
    screen.send_line("hi").unwrap();
    screen.exp_string("bye").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&mut screen), 0);
}

#[test]
fn reply_is_printed_above_the_edited_line() {
    let (tx, rx) = std::sync::mpsc::channel();
    let sender = peer(move |mut stream| {
        rx.recv().unwrap();
        stream.send("news\n");
        stream.read_all()
    });
    let mut screen = prompt_to(sender.addr(), "");
    screen.exp_string("> ").unwrap();
    screen.send("half a").unwrap();
    screen.flush().unwrap();
    screen.exp_string("half a").unwrap();
    tx.send(()).unwrap();
    screen.exp_string("news").unwrap();
    // The edited line is drawn again below, completely.
    screen.exp_string("half a").unwrap();
    screen.send_line(" line").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(sender.outcome(), b"half a line");
}

#[test]
fn eol_and_keep_empty_send_line_ends_and_empty_lines() {
    let listener = peer(|mut stream| stream.read_all());
    let mut screen = prompt_to(listener.addr(), "--eol crlf --keep-empty");
    screen.exp_string("> ").unwrap();
    screen.send_line("a").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(listener.outcome(), b"a\r\n\r\n");
}

#[test]
fn history_recalls_a_line() {
    let listener = peer(|mut stream| stream.read_all());
    let mut screen = prompt_to(listener.addr(), "--eol lf");
    screen.exp_string("> ").unwrap();
    screen.send_line("again").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send("\x1b[A").unwrap();
    screen.flush().unwrap();
    screen.exp_string("again").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(listener.outcome(), b"again\nagain\n");
}

/// The bar is drawn up to the size of the input, so that it must not count received bytes too.
#[test]
fn progress_bar_of_an_input_counts_sent_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("input");
    std::fs::write(&input, [b'x'; 2048]).unwrap();
    let echo = peer::echoes();
    let session =
        sockit("tcp-client --input").arg(&input).and("--output").arg(dir.path().join("output"));
    let command = session.to(echo.addr()).command();
    let mut screen = spawn_command(command, Some(TIMEOUT_MS)).expect("a terminal");
    let drawn = screen.exp_eof().unwrap();
    assert!(drawn.contains("2.00 KiB/2.00 KiB"), "{drawn:?}");
    assert!(!drawn.contains("4.00 KiB/"), "{drawn:?}");
    assert_eq!(code(&mut screen), 0);
}

/// Types bytes that need not be UTF-8.
fn type_bytes(screen: &PtySession, bytes: &[u8]) {
    let mut terminal = screen.process().get_file_handle().expect("the terminal");
    terminal.write_all(bytes).expect("sockit reads its terminal");
}

#[test]
fn line_that_is_not_utf8_is_sent_as_typed() {
    for term in ["xterm", "dumb"] {
        let listener = peer(|mut stream| stream.read_all());
        let mut command = sockit("tcp-client --eol lf").to(listener.addr()).command();
        command.env("TERM", term);
        let mut screen = spawn_command(command, Some(TIMEOUT_MS)).unwrap();
        screen.exp_string("> ").unwrap();
        type_bytes(&screen, b"caf\xe9 au lait\r");
        screen.exp_string("> ").unwrap();
        type_bytes(&screen, b"\xff\xfe\x80 \xc3\rgr\xfc\xdfe\r");
        screen.exp_string("> ").unwrap();
        screen.exp_string("> ").unwrap();
        screen.send_line("next").unwrap();
        screen.exp_string("> ").unwrap();
        screen.send_control('d').unwrap();
        screen.exp_eof().unwrap();
        let sent = listener.outcome().escape_ascii().to_string();
        let typed = b"caf\xe9 au lait\n\xff\xfe\x80 \xc3\ngr\xfc\xdfe\nnext\n";
        assert_eq!(sent, typed.escape_ascii().to_string(), "{term}");
        assert_eq!(code(&mut screen), 0);
    }
}

#[test]
fn piped_line_that_is_not_utf8_is_sent_unchanged() {
    let listener = peer(|mut stream| stream.read_all());
    let run = sockit("tcp-client --prompt --eol lf").to(listener.addr());
    run.stdin(b"caf\xe9\r\n\xff\x80\nnext\n").run().exits(0);
    assert_eq!(listener.outcome(), b"caf\xe9\n\xff\x80\nnext\n");
}

#[test]
fn line_is_edited_by_arrow_and_control_keys() {
    let listener = peer(|mut stream| stream.read_all());
    let mut screen = prompt_to(listener.addr(), "--eol lf");
    screen.exp_string("> ").unwrap();
    screen.send("one thre\x1b[D\x1b[D\x1b[D\x1b[Dtwo \x05e\r").unwrap();
    screen.flush().unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(listener.outcome(), b"one two three\n");
}

#[test]
fn crlf_at_the_prompt_ends_every_line() {
    for flags in ["--crlf", "--eol crlf", "--crlf --eol lf", "--crlf --eol crlf"] {
        let listener = peer(|mut stream| stream.read_all());
        let prompt = sockit("tcp-client --prompt").and(flags).to(listener.addr());
        prompt.stdin("EHLO x\n\nQUIT\n").run().exits(0).never_logs("line end");
        assert_eq!(listener.outcome(), b"EHLO x\r\n\r\nQUIT\r\n", "{flags}");
    }
}

#[test]
fn crlf_at_the_prompt_serves_a_line_protocol() {
    let server = peer(|mut stream| {
        stream.send("220 ready\r\n");
        stream.expect_bytes("EHLO x\r\n");
        stream.send("250-hello\r\n250 done\r\n");
        stream.expect_bytes("\r\n");
        stream.send("500 what?\r\n");
        stream.read_all()
    });
    let mut screen = prompt_to(server.addr(), "--crlf");
    screen.exp_string("220 ready").unwrap();
    screen.send_line("EHLO x").unwrap();
    screen.exp_string("250 done").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("500 what?").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(server.outcome(), b"");
}

#[test]
fn missing_line_end_is_warned_about_once() {
    let listener = peer(|mut stream| stream.read_all());
    let run = sockit("tcp-client --prompt").to(listener.addr()).stdin("one\ntwo\n").run();
    run.exits(0);
    assert_eq!(run.stderr.matches("without a line end").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("--eol"), "{}", run.stderr);
    assert_eq!(listener.outcome(), b"onetwo");

    let listener = peer(|mut stream| stream.read_all());
    let run = sockit("tcp-client -q --prompt").to(listener.addr()).stdin("one\n").run();
    run.exits(0).never_logs("line end");
    let unused = peer(|mut stream| stream.read_all());
    sockit("tcp-client --prompt").to(unused.addr()).stdin("").run().never_logs("line end");
}

/// Sends control characters, color that is split between two writes, and a last line.
fn control_character_peer() -> peer::Peer<()> {
    peer(|mut stream| {
        stream.send("\x1b]0;title\x07a\x08\x1b[2J\x1b[1A\rb\u{9b}\u{202e}c\tgr\u{fc}n\r\n");
        stream.send(b"\xe9\x1b[1;31mred\x1b[0m end\x1b[3");
        stream.expect_bytes("x");
        stream.send("2mgreen\n");
        stream.read_all();
    })
}

#[test]
fn control_characters_of_the_peer_are_escaped_except_color() {
    for term in ["xterm", "dumb"] {
        let painter = control_character_peer();
        let mut command = sockit("tcp-client").to(painter.addr()).command();
        command.env("TERM", term);
        let mut screen = spawn_command(command, Some(TIMEOUT_MS)).unwrap();
        let shown = "\\x1b]0;title\\x07a\\x08\\x1b[2J\\x1b[1A\\x0db\\x9b\\u{202e}c\tgr\u{fc}n";
        screen.exp_string(&as_rexpect_reads(shown)).unwrap();
        screen.exp_string("\\xe9\x1b[1;31mred\x1b[0m end").unwrap();
        screen.exp_string("> ").unwrap();
        screen.send_line("x").unwrap();
        screen.exp_string("\x1b[32mgreen\r\n\x1b[0m").unwrap();
        screen.exp_string("> ").unwrap();
        screen.send_control('d').unwrap();
        screen.exp_eof().unwrap();
    }
}

#[test]
fn raw_output_prints_control_characters() {
    let painter = control_character_peer();
    let mut screen = prompt_to(painter.addr(), "--raw-output");
    screen.exp_string("\x1b]0;title\x07a\x08\x1b[2J\x1b[1A\rb").unwrap();
    screen.exp_string("end\x1b[3").unwrap();
    screen.send_line("x").unwrap();
    screen.exp_string("2mgreen").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
}

#[test]
fn stdout_that_is_no_terminal_gets_replies_unchanged() {
    let painter = peer(|mut stream| {
        stream.send("\x1b]0;title\x07\r\u{202e}\x1b[2J\n");
        stream.read_all();
    });
    let run = sockit("tcp-client --prompt --eol lf").to(painter.addr()).stdin("x\n").run();
    run.exits(0).prints("\x1b]0;title\x07\r\u{202e}\x1b[2J\n");
}

#[test]
fn prompt_flag_prompts_on_a_pipe() {
    let listener = peer(|mut stream| stream.read_all());
    let run = sockit("tcp-client --prompt").to(listener.addr()).stdin("one\ntwo\n").run();
    run.exits(0).prints("").logs("> ");
    assert_eq!(listener.outcome(), b"onetwo");
}

#[test]
fn no_prompt_reads_a_terminal_as_a_pipe() {
    let listener = peer(|mut stream| stream.read_all());
    let mut screen = prompt_to(listener.addr(), "--no-prompt -v");
    screen.exp_string("Connected to").unwrap();
    screen.send_line("raw").unwrap();
    screen.send_control('d').unwrap();
    let shown = screen.exp_eof().unwrap();
    assert!(!shown.contains("> "), "{shown:?}");
    assert_eq!(listener.outcome(), b"raw\n");
}

#[test]
fn control_c_exits_130() {
    let open_peer = peer::does_nothing();
    let mut screen = prompt_to(open_peer.addr(), "");
    screen.exp_string("> ").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&mut screen), 130);
}

/// A shell on a terminal that runs the client and then prints the terminal modes.
fn shell_with_client(line: &str, addr: SocketAddr, env: (&str, &str)) -> PtySession {
    let shell = format!("stty echo; {line}; echo code=$?; stty -a; echo over");
    let mut command = sockit("tcp-client").to(addr).under(["sh", "-c", &shell]).command();
    command.env("TERM", "xterm").env(env.0, env.1);
    spawn_command(command, Some(TIMEOUT_MS)).expect("a terminal with a shell on it")
}

/// Checks that the terminal has the modes that a shell expects.
#[track_caller]
fn expect_restored_terminal(screen: &mut PtySession, code: i32) {
    screen.exp_string(&format!("code={code}")).unwrap();
    let modes = screen.exp_string("over").unwrap();
    for mode in ["icanon", "echo", "isig"] {
        assert!(modes.split_whitespace().any(|word| word == mode), "no {mode}: {modes}");
    }
}

#[test]
fn simple_terminal_gets_plain_lines() {
    for term in ["dumb", "emacs", "cons25"] {
        let server = sockit("tcp-server").serve();
        let mut screen = shell_with_client("\"$0\" \"$@\"", server.addr(), ("TERM", term));
        screen.exp_string("> ").unwrap();
        screen.exp_string("Welcome!").unwrap();
        screen.exp_string("> ").unwrap();
        screen.send_line("Michael").unwrap();
        screen.exp_string("Hello, Michael!").unwrap();
        screen.send_line("").unwrap();
        expect_restored_terminal(&mut screen, 0);
    }
}

#[test]
fn terminal_of_another_session_is_restored() {
    if peer::program("setsid").is_none() {
        return;
    }
    let server = sockit("tcp-server").serve();
    let piped = "setsid -w sh -c '\"$0\" \"$@\" | cat' \"$0\" \"$@\"";
    let mut screen = shell_with_client(piped, server.addr(), ("LC_ALL", "C.UTF-8"));
    screen.exp_string("Welcome!").unwrap();
    screen.send_line("Michael").unwrap();
    screen.exp_string("Hello, Michael!").unwrap();
    screen.send_line("").unwrap();
    expect_restored_terminal(&mut screen, 0);
}

#[test]
fn redirected_stderr_gets_the_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let server = sockit("tcp-server").serve();
    let line = format!("\"$0\" \"$@\" -q 2>{}", log.display());
    let mut screen = shell_with_client(&line, server.addr(), ("LC_ALL", "C.UTF-8"));
    screen.exp_string("Welcome!").unwrap();
    screen.send_line("Michael").unwrap();
    screen.exp_string("Hello, Michael!").unwrap();
    screen.send_line("").unwrap();
    expect_restored_terminal(&mut screen, 0);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "> > ");
}

#[test]
fn terminal_is_restored_at_every_end() {
    let resets = peer(|mut stream| {
        stream.send("hi");
        stream.expect_bytes("x");
        stream.reset();
    });
    let mut screen = shell_with_client("\"$0\" \"$@\"", resets.addr(), ("LC_ALL", "C.UTF-8"));
    screen.exp_string("hi").unwrap();
    screen.send_line("x").unwrap();
    expect_restored_terminal(&mut screen, 18);

    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let open_peer = peer(|mut stream| {
            stream.send("hi");
            stream.wait_for_close()
        });
        let line = "sh -c 'echo $$ >\"$PID_FILE\"; exec \"$0\" \"$@\"' \"$0\" \"$@\"";
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let env = ("PID_FILE", pid.to_str().unwrap());
        let mut screen = shell_with_client(line, open_peer.addr(), env);
        screen.exp_string("> ").unwrap();
        screen.exp_string("hi").unwrap();
        let pid = std::fs::read_to_string(&pid).unwrap();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.arg(format!("-{signal}")).arg(pid.trim()).status().unwrap().success());
        expect_restored_terminal(&mut screen, code);
    }
}

#[test]
fn log_lines_do_not_share_a_line_with_the_prompt() {
    let silent = peer::does_nothing();
    let prompt = sockit("tcp-client --prompt -v --timeout 2s").to(silent.addr());
    prompt.stdin_open().run().exits(28).fails_at("receive").logs("\n> \n");

    let silent = peer::does_nothing();
    let prompt = sockit("tcp-client --prompt --json --timeout 2s").to(silent.addr());
    let run = prompt.stdin_open().run();
    assert_eq!(run.events().len(), run.stderr.lines().count(), "JSON alone: {}", run.stderr);
}

#[test]
fn prompt_output_goes_to_a_file_or_is_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("replies");
    let server = sockit("tcp-server").serve();
    let prompt = sockit("tcp-client --prompt --output").arg(&file).to(server.addr());
    prompt.stdin("Ann\n").run().exits(0).prints("");
    let replies = std::fs::read_to_string(&file).unwrap();
    assert!(replies.contains("Hello, Ann!"), "{replies:?}");

    let prompt = sockit("tcp-client --prompt --send-only").to(server.addr());
    prompt.stdin("Ann\n").run().exits(0).prints("");
}

#[test]
fn prompt_on_a_pipe_waits_for_a_slow_peer() {
    let slow = peer(|mut stream| {
        stream.read_all();
        std::thread::sleep(std::time::Duration::from_millis(3500));
        stream.send("late");
    });
    let run = sockit("tcp-client --prompt").to(slow.addr()).stdin("x\n").run();
    run.exits(0).prints("late\n");
}

#[test]
fn hang_up_ends_the_prompt() {
    // It keeps its own direction open.
    let open_peer = peer(|mut stream| (stream.read_all(), stream));
    let run = sockit("tcp-client --prompt --hang-up").to(open_peer.addr()).stdin("x\n").run();
    run.exits(0);
    assert_eq!(open_peer.outcome().0, b"x");
}
