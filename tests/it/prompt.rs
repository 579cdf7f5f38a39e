//! The prompt, as a person sees it: a real terminal made by rexpect.

use std::net::SocketAddr;

use rexpect::session::{PtySession, spawn_command};

use crate::peer::{self, Script, peer};
use crate::sockit::sockit;

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
