//! The prompt, as a person sees it: a real terminal made by rexpect.

use std::io::Write;
use std::net::SocketAddr;

use rexpect::session::{PtySession, spawn_command};

use crate::support::peer::{self, Script, peer};
use crate::support::sockit::sockit;

/// How long anything on the screen may take, in milliseconds.
const PATIENCE: u64 = 15_000;

fn prompt_to(addr: SocketAddr, flags: &str) -> PtySession {
    let mut command = sockit("tcp-client").and(flags).to(addr).command();
    command.env("TERM", "xterm");
    spawn_command(command, Some(PATIENCE)).expect("a terminal with sockit on it")
}

/// The exit code; rexpect keeps the type that holds it to itself, so it is read from its text,
/// `Exited(Pid(N), CODE)`.
fn code(screen: &mut PtySession) -> i32 {
    let status = format!("{:?}", screen.process().wait().expect("the end of sockit"));
    let code = status.strip_prefix("Exited(").and_then(|s| s.split(", ").last());
    code.and_then(|s| s.trim_end_matches(')').parse().ok()).unwrap_or_else(|| panic!("{status}"))
}

/// rexpect takes each byte for a character of its own.
fn as_rexpect_sees(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

#[test]
fn a_name_is_typed_and_a_greeting_comes() {
    let server = sockit("tcp-server").serve();
    let mut screen = prompt_to(server.addr(), "");
    screen.exp_string("Welcome!").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_line("Michael").unwrap();
    screen.exp_string("Hello, Michael!").unwrap();
    screen.send_line("小明").unwrap();
    screen.exp_string(&as_rexpect_sees("Hello, 小明!")).unwrap();
    screen.send_line("").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&mut screen), 0);
}

#[test]
fn control_d_ends_it() {
    let listener = peer(|mut stream| stream.hear_all());
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
fn a_peer_that_leaves_ends_the_prompt() {
    let rude = peer(|mut stream| {
        stream.hear("hi");
        stream.say("bye");
    });
    let mut screen = prompt_to(rude.addr(), "");
    screen.exp_string("> ").unwrap();
    screen.send_line("hi").unwrap();
    screen.exp_string("bye").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&mut screen), 0);
}

#[test]
fn replies_come_above_the_line_being_typed() {
    let (tell, told) = std::sync::mpsc::channel();
    let talker = peer(move |mut stream| {
        told.recv().unwrap();
        stream.say("news\n");
        stream.hear_all()
    });
    let mut screen = prompt_to(talker.addr(), "");
    screen.exp_string("> ").unwrap();
    screen.send("half a").unwrap();
    screen.flush().unwrap();
    screen.exp_string("half a").unwrap();
    tell.send(()).unwrap();
    screen.exp_string("news").unwrap();
    // The line in the making is drawn again beneath, and is whole.
    screen.exp_string("half a").unwrap();
    screen.send_line(" line").unwrap();
    screen.exp_string("> ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(talker.outcome(), b"half a line");
}

#[test]
fn line_ends_and_empty_lines_are_sent_when_asked_for() {
    let listener = peer(|mut stream| stream.hear_all());
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
fn history_brings_a_line_back() {
    let listener = peer(|mut stream| stream.hear_all());
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

/// Types bytes that need not be UTF-8.
fn type_bytes(screen: &PtySession, bytes: &[u8]) {
    let mut terminal = screen.process().get_file_handle().expect("the terminal");
    terminal.write_all(bytes).expect("sockit reads its terminal");
}

#[test]
fn a_line_that_is_not_utf8_is_sent_as_typed_and_the_session_continues() {
    for term in ["xterm", "dumb"] {
        let listener = peer(|mut stream| stream.hear_all());
        let mut command = sockit("tcp-client --eol lf").to(listener.addr()).command();
        command.env("TERM", term);
        let mut screen = spawn_command(command, Some(PATIENCE)).unwrap();
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
fn a_line_of_a_pipe_that_is_not_utf8_is_sent_as_it_is() {
    let listener = peer(|mut stream| stream.hear_all());
    let run = sockit("tcp-client --prompt --eol lf").to(listener.addr());
    run.stdin(b"caf\xe9\r\n\xff\x80\nnext\n").run().exits(0);
    assert_eq!(listener.outcome(), b"caf\xe9\n\xff\x80\nnext\n");
}

#[test]
fn a_line_is_edited_in_the_middle_and_by_control_keys() {
    let listener = peer(|mut stream| stream.hear_all());
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
fn crlf_at_the_prompt_ends_each_line_also_an_empty_one() {
    for flags in ["--crlf", "--eol crlf", "--crlf --eol lf", "--crlf --eol crlf"] {
        let listener = peer(|mut stream| stream.hear_all());
        let prompt = sockit("tcp-client --prompt").and(flags).to(listener.addr());
        prompt.stdin("EHLO x\n\nQUIT\n").run().exits(0).never_says("line end");
        assert_eq!(listener.outcome(), b"EHLO x\r\n\r\nQUIT\r\n", "{flags}");
    }
}

#[test]
fn a_line_protocol_is_spoken_at_the_prompt_with_crlf() {
    let server = peer(|mut stream| {
        stream.say("220 ready\r\n");
        stream.hear("EHLO x\r\n");
        stream.say("250-hello\r\n250 done\r\n");
        stream.hear("\r\n");
        stream.say("500 what?\r\n");
        stream.hear_all()
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
fn a_missing_line_end_is_a_warning_once() {
    let listener = peer(|mut stream| stream.hear_all());
    let run = sockit("tcp-client --prompt").to(listener.addr()).stdin("one\ntwo\n").run();
    run.exits(0);
    assert_eq!(run.stderr.matches("without a line end").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("--eol"), "{}", run.stderr);
    assert_eq!(listener.outcome(), b"onetwo");

    let listener = peer(|mut stream| stream.hear_all());
    let run = sockit("tcp-client -q --prompt").to(listener.addr()).stdin("one\n").run();
    run.exits(0).never_says("line end");
    let unused = peer(|mut stream| stream.hear_all());
    sockit("tcp-client --prompt").to(unused.addr()).stdin("").run().never_says("line end");
}

/// Sends what no terminal should act on, colour that is split between two writes, and a last line.
fn paints() -> peer::Peer<()> {
    peer(|mut stream| {
        stream.say("\x1b]0;title\x07a\x08\x1b[2J\x1b[1A\rb\u{9b}\u{202e}c\tgr\u{fc}n\r\n");
        stream.say(b"\xe9\x1b[1;31mred\x1b[0m end\x1b[3");
        stream.hear("x");
        stream.say("2mgreen\n");
        stream.hear_all();
    })
}

#[test]
fn control_characters_of_the_peer_are_escaped_and_colour_passes() {
    for term in ["xterm", "dumb"] {
        let painter = paints();
        let mut command = sockit("tcp-client").to(painter.addr()).command();
        command.env("TERM", term);
        let mut screen = spawn_command(command, Some(PATIENCE)).unwrap();
        let shown = "\\x1b]0;title\\x07a\\x08\\x1b[2J\\x1b[1A\\x0db\\x9b\\u{202e}c\tgr\u{fc}n";
        screen.exp_string(&as_rexpect_sees(shown)).unwrap();
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
fn raw_output_passes_everything() {
    let painter = paints();
    let mut screen = prompt_to(painter.addr(), "--raw-output");
    screen.exp_string("\x1b]0;title\x07a\x08\x1b[2J\x1b[1A\rb").unwrap();
    screen.exp_string("end\x1b[3").unwrap();
    screen.send_line("x").unwrap();
    screen.exp_string("2mgreen").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
}

#[test]
fn a_stdout_that_is_no_terminal_gets_replies_untouched() {
    let painter = peer(|mut stream| {
        stream.say("\x1b]0;title\x07\r\u{202e}\x1b[2J\n");
        stream.hear_all();
    });
    let run = sockit("tcp-client --prompt --eol lf").to(painter.addr()).stdin("x\n").run();
    run.exits(0).prints("\x1b]0;title\x07\r\u{202e}\x1b[2J\n");
}

#[test]
fn the_prompt_may_be_forced_onto_a_pipe() {
    let listener = peer(|mut stream| stream.hear_all());
    let run = sockit("tcp-client --prompt").to(listener.addr()).stdin("one\ntwo\n").run();
    run.exits(0).prints("").says("> ");
    assert_eq!(listener.outcome(), b"onetwo");
}

#[test]
fn no_prompt_makes_a_terminal_a_pipe() {
    let listener = peer(|mut stream| stream.hear_all());
    let mut screen = prompt_to(listener.addr(), "--no-prompt -v");
    screen.exp_string("Connected to").unwrap();
    screen.send_line("raw").unwrap();
    screen.send_control('d').unwrap();
    let shown = screen.exp_eof().unwrap();
    assert!(!shown.contains("> "), "{shown:?}");
    assert_eq!(listener.outcome(), b"raw\n");
}

#[test]
fn control_c_is_one_hundred_and_thirty() {
    let holder = peer::does_nothing();
    let mut screen = prompt_to(holder.addr(), "");
    screen.exp_string("> ").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&mut screen), 130);
}

/// A shell on a terminal that starts the prompt, and tells afterwards how it left the terminal.
fn and_then_the_terminal(line: &str, addr: SocketAddr, env: (&str, &str)) -> PtySession {
    let shell = format!("stty echo; {line}; echo code=$?; stty -a; echo over");
    let mut command = sockit("tcp-client").to(addr).under(["sh", "-c", &shell]).command();
    command.env("TERM", "xterm").env(env.0, env.1);
    spawn_command(command, Some(PATIENCE)).expect("a terminal with a shell on it")
}

/// The terminal is as any shell wants it.
#[track_caller]
fn left_sane(screen: &mut PtySession, code: i32) {
    screen.exp_string(&format!("code={code}")).unwrap();
    let told = screen.exp_string("over").unwrap();
    for mode in ["icanon", "echo", "isig"] {
        assert!(told.split_whitespace().any(|word| word == mode), "no {mode}: {told}");
    }
}

#[test]
fn a_simple_terminal_gets_plain_lines() {
    for term in ["dumb", "emacs", "cons25"] {
        let server = sockit("tcp-server").serve();
        let mut screen = and_then_the_terminal("\"$0\" \"$@\"", server.addr(), ("TERM", term));
        screen.exp_string("> ").unwrap();
        screen.exp_string("Welcome!").unwrap();
        screen.exp_string("> ").unwrap();
        screen.send_line("Michael").unwrap();
        screen.exp_string("Hello, Michael!").unwrap();
        screen.send_line("").unwrap();
        left_sane(&mut screen, 0);
    }
}

#[test]
fn a_terminal_that_is_not_ours_is_given_back_too() {
    if peer::program("setsid").is_none() {
        return;
    }
    let server = sockit("tcp-server").serve();
    let piped = "setsid -w sh -c '\"$0\" \"$@\" | cat' \"$0\" \"$@\"";
    let mut screen = and_then_the_terminal(piped, server.addr(), ("LC_ALL", "C.UTF-8"));
    screen.exp_string("Welcome!").unwrap();
    screen.send_line("Michael").unwrap();
    screen.exp_string("Hello, Michael!").unwrap();
    screen.send_line("").unwrap();
    left_sane(&mut screen, 0);
}

#[test]
fn a_redirected_stderr_gets_the_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let server = sockit("tcp-server").serve();
    let line = format!("\"$0\" \"$@\" -q 2>{}", log.display());
    let mut screen = and_then_the_terminal(&line, server.addr(), ("LC_ALL", "C.UTF-8"));
    screen.exp_string("Welcome!").unwrap();
    screen.send_line("Michael").unwrap();
    screen.exp_string("Hello, Michael!").unwrap();
    screen.send_line("").unwrap();
    left_sane(&mut screen, 0);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "> > ");
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let resets = peer(|mut stream| {
        stream.say("hi");
        stream.hear("x");
        stream.reset();
    });
    let mut screen = and_then_the_terminal("\"$0\" \"$@\"", resets.addr(), ("LC_ALL", "C.UTF-8"));
    screen.exp_string("hi").unwrap();
    screen.send_line("x").unwrap();
    left_sane(&mut screen, 18);

    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let holder = peer(|mut stream| {
            stream.say("hi");
            stream.outlive()
        });
        let line = "sh -c 'echo $$ >\"$PID_FILE\"; exec \"$0\" \"$@\"' \"$0\" \"$@\"";
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let env = ("PID_FILE", pid.to_str().unwrap());
        let mut screen = and_then_the_terminal(line, holder.addr(), env);
        screen.exp_string("> ").unwrap();
        screen.exp_string("hi").unwrap();
        let pid = std::fs::read_to_string(&pid).unwrap();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.arg(format!("-{signal}")).arg(pid.trim()).status().unwrap().success());
        left_sane(&mut screen, code);
    }
}

#[test]
fn talk_shares_no_line_with_a_plain_prompt() {
    let silent = peer::does_nothing();
    let prompt = sockit("tcp-client --prompt -v --timeout 300ms").to(silent.addr());
    prompt.stdin_open().run().exits(28).fails_at("receive").says("\n> \n");

    let silent = peer::does_nothing();
    let prompt = sockit("tcp-client --prompt --json --timeout 300ms").to(silent.addr());
    let run = prompt.stdin_open().run();
    assert_eq!(run.events().len(), run.stderr.lines().count(), "JSON alone: {}", run.stderr);
}

#[test]
fn replies_of_a_prompt_may_go_to_a_file_or_nowhere() {
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
fn a_forced_prompt_hears_a_slow_peer_out() {
    let slow = peer(|mut stream| {
        stream.hear_all();
        std::thread::sleep(std::time::Duration::from_millis(3500));
        stream.say("late");
    });
    let run = sockit("tcp-client --prompt").to(slow.addr()).stdin("x\n").run();
    run.exits(0).prints("late\n");
}

#[test]
fn hanging_up_ends_a_prompt_at_once() {
    let holder = peer(|mut stream| stream.hear_all());
    let run = sockit("tcp-client --prompt --hang-up").to(holder.addr()).stdin("x\n").run();
    run.exits(0);
    assert_eq!(holder.outcome(), b"x");
    assert!(run.took < std::time::Duration::from_secs(2), "{:?}", run.took);
}
