//! Sessions on pipes and socket pairs: no process, no terminal but a pseudo-terminal.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::net::Shutdown as Direction;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::*;
use crate::error::Phase;
use crate::net::stdout::Stdout;
use crate::shutdown::{Shutdown, ShutdownReason};
use crate::test_run::{TestRun, tcp_pair, unix_pair};
use crate::transfer::duplex::{DuplexOptions, OnLocalEof};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Local ends of a session that a test holds.
struct Terminal {
    run: TestRun,
    std: StdStreams,
    keyboard: Option<PipeWriter>,
}

fn leak(fd: impl Into<OwnedFd>) -> BorrowedFd<'static> {
    let fd: &'static OwnedFd = Box::leak(Box::new(fd.into()));
    fd.as_fd()
}

impl Terminal {
    fn new() -> Terminal {
        let mut run = TestRun::new();
        run.context.shutdown = Shutdown::new(Some(Instant::now() + TIMEOUT)).unwrap();
        let (stdin, keyboard) = io::pipe().unwrap();
        let stderr = leak(File::create(run.path("stderr")).unwrap());
        let std = StdStreams { stdin: leak(stdin), stdout: run.stdout, stderr };
        Terminal { run, std, keyboard: Some(keyboard) }
    }

    /// Types everything and ends the input.
    fn typed(mut self, text: &str) -> Terminal {
        self.keyboard.take().unwrap().write_all(text.as_bytes()).unwrap();
        self
    }

    fn file(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.run.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs a session with `peer` at the other end.
    fn run(
        &self,
        options: &SessionOptions,
        (local, remote): (Socket, Socket),
        peer: impl FnOnce(Socket) + Send,
    ) -> Result<ExitCode, Failure> {
        remote.set_read_timeout(Some(TIMEOUT)).unwrap();
        let stream = Stream::from_socket(local).unwrap();
        let handle = stream.handle.clone();
        thread::scope(|scope| {
            scope.spawn(|| peer(remote));
            let result = run(&self.run.context, options, self.std, || Ok(stream));
            // The end of the process would close the connection now.
            handle.shutdown();
            result
        })
    }

    fn printed(&self) -> String {
        String::from_utf8(self.run.output()).unwrap()
    }

    fn events(&self) -> String {
        self.run.events()
    }
}

fn script(steps: &[&str]) -> SessionOptions {
    let step = |text: &&str| match text.strip_prefix('/') {
        Some(pattern) => ScriptStep::Expect(pattern.parse().unwrap()),
        None => ScriptStep::Send(text.as_bytes().to_vec()),
    };
    SessionOptions { script: steps.iter().map(step).collect(), ..Default::default() }
}

fn prompt() -> SessionOptions {
    SessionOptions { prompt: PromptMode::Always, line_end: b"\n", ..Default::default() }
}

/// Sends everything back until the end of the stream.
fn echo(socket: Socket) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = (&socket).read(&mut buffer) {
        (&socket).write_all(&buffer[..n]).unwrap();
    }
}

/// Sends `text` and ends the stream; reads until its peer does.
fn sends(text: &'static str) -> impl FnOnce(Socket) + Send {
    move |socket| {
        (&socket).write_all(text.as_bytes()).unwrap();
        socket.shutdown(Direction::Write).unwrap();
        drop((&socket).read_to_end(&mut Vec::new()));
    }
}

fn resets(socket: Socket) {
    (&socket).read_exact(&mut [0; 2]).unwrap();
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

fn code(result: Result<ExitCode, Failure>) -> (Option<Phase>, ExitCode) {
    result.map_or_else(|failure| (Some(failure.phase), failure.code), |code| (None, code))
}

const DONE: (Option<Phase>, ExitCode) = (None, ExitCode::Done);

#[test]
fn script_sends_prints_replies_and_half_closes() {
    let terminal = Terminal::new();
    let options = SessionOptions { stats: true, ..script(&["one\n", "two"]) };
    assert_eq!(code(terminal.run(&options, tcp_pair(), echo)), DONE);
    assert_eq!(terminal.printed(), "one\ntwo\n");
    let events = terminal.events();
    for event in ["\"connected\"", "\"half_closed\"", "\"closed\"", "\"stats\""] {
        assert!(events.contains(event), "{event} in {events}");
    }
    assert!(events.contains("\"ended_by\":\"us\""), "{events}");
}

#[test]
fn script_expects_patterns_in_their_order() {
    let terminal = Terminal::new();
    let steps = script(&["/220.*ready", "HELO\r\n", "/HE", "/LO"]);
    let peer = |socket: Socket| {
        (&socket).write_all(b"220 ready\r\n").unwrap();
        echo(socket);
    };
    assert_eq!(code(terminal.run(&steps, unix_pair(), peer)), DONE);
    assert_eq!(terminal.printed(), "220 ready\r\nHELO\r\n");
}

#[test]
fn script_whose_pattern_is_not_matched_exits_1() {
    let terminal = Terminal::new();
    let failure = terminal.run(&script(&["/yes"]), unix_pair(), sends("no")).unwrap_err();
    assert_eq!((failure.phase, failure.code), (Phase::Receive, ExitCode::Negative));
    assert!(failure.cause().contains("expected /yes/, got \"no\" before the peer closed"));
    assert_eq!(terminal.printed(), "no\n");
}

#[test]
fn interrupted_session_exits_130() {
    for options in [script(&["x", "/y"]), prompt()] {
        let terminal = Terminal::new();
        terminal.run.context.shutdown.trigger(ShutdownReason::Interrupt);
        let result = terminal.run(&options, unix_pair(), echo);
        assert_eq!(code(result).1, ExitCode::Interrupted);
        assert!(terminal.events().contains("\"ended_by\":\"signal\""));
    }
}

#[test]
fn script_that_cannot_send_everything_exits_18() {
    let terminal = Terminal::new();
    let result = terminal.run(&script(&["one", "two"]), unix_pair(), sends("closing"));
    assert_eq!(code(result), (Some(Phase::Send), ExitCode::Partial));
}

#[test]
fn script_without_data_for_the_idle_timeout_exits_28() {
    let terminal = Terminal::new();
    let idle_timeout = Some(Duration::from_millis(30));
    let duplex = DuplexOptions { idle_timeout, ..Default::default() };
    let options = SessionOptions { duplex, ..script(&["/never"]) };
    let result = terminal.run(&options, unix_pair(), echo);
    assert_eq!(code(result), (Some(Phase::Receive), ExitCode::Timeout));
}

#[test]
fn script_of_a_reset_connection_fails_at_receive() {
    let terminal = Terminal::new();
    let result = terminal.run(&script(&["hi", "/never"]), tcp_pair(), resets);
    assert_eq!(code(result).0, Some(Phase::Receive));
    assert!(terminal.events().contains("\"ended_by\":\"reset\""));
}

#[test]
fn message_session_ends_its_side_as_the_options_say() {
    let short = Some(Duration::from_millis(30));
    for (on_local_eof, linger) in [
        (OnLocalEof::HangUp, None),
        (OnLocalEof::KeepOpen, short),
        (OnLocalEof::HalfClose, short),
        (OnLocalEof::SendOnly, None),
    ] {
        let duplex = DuplexOptions { on_local_eof, linger, ..Default::default() };
        let options = SessionOptions { duplex, ..script(&["ping\n"]) };
        let terminal = Terminal::new();
        assert_eq!(code(terminal.run(&options, tcp_pair(), echo)), DONE, "{on_local_eof:?}");
        let expected = if on_local_eof == OnLocalEof::SendOnly { "" } else { "ping\n" };
        assert_eq!(terminal.printed(), expected, "{on_local_eof:?}");
        let options = SessionOptions { duplex, ..prompt() };
        let result = Terminal::new().typed("last\n").run(&options, tcp_pair(), echo);
        assert_eq!(code(result), DONE, "{on_local_eof:?}");
    }
}

#[test]
fn script_writes_to_a_file_with_dump_rate_and_line_ends() {
    let terminal = Terminal::new();
    let path = |name: &str| Some(terminal.run.path(name));
    let options = SessionOptions {
        output: path("out"),
        hex: path("hex"),
        rate: Some(1 << 20),
        duplex: DuplexOptions { crlf: true, delay: Duration::from_millis(1), ..Default::default() },
        line_end: b"\n",
        ..script(&["line"])
    };
    assert_eq!(code(terminal.run(&options, unix_pair(), echo)), DONE);
    let read = |name: &str| std::fs::read_to_string(terminal.run.path(name)).unwrap();
    assert_eq!(read("out"), "line\r\n");
    assert_eq!(read("hex").matches("6c 69 6e 65 0d 0a").count(), 2, "{}", read("hex"));
}

#[test]
fn prompt_sends_lines_of_a_pipe_and_prints_replies() {
    let terminal = Terminal::new().typed("one\r\ntwo\n");
    assert_eq!(code(terminal.run(&prompt(), tcp_pair(), echo)), DONE);
    assert_eq!(terminal.printed(), "one\ntwo\n");
}

#[test]
fn prompt_without_line_end_stops_at_an_empty_line_unless_it_is_kept() {
    for (keep_empty, expected) in [(false, "a\n"), (true, "a\nb\n")] {
        let terminal = Terminal::new().typed("a\n\nb\n");
        let options = SessionOptions { line_end: b"", keep_empty, ..prompt() };
        let peer = |socket: Socket| {
            let mut letter = [0];
            while let Ok(1) = (&socket).read(&mut letter) {
                (&socket).write_all(&[letter[0], b'\n']).unwrap();
            }
        };
        assert_eq!(code(terminal.run(&options, unix_pair(), peer)), DONE);
        assert_eq!(terminal.printed(), expected);
        assert!(terminal.events().contains("sent without a line end"));
    }
}

#[test]
fn prompt_ends_with_the_peer() {
    let terminal = Terminal::new();
    assert_eq!(code(terminal.run(&prompt(), unix_pair(), sends("bye"))), DONE);
    assert_eq!(terminal.printed(), "bye\n");
    assert!(terminal.events().contains("\"ended_by\":\"peer\""));
}

#[test]
fn closed_stdout_ends_a_prompt_successfully() {
    let mut terminal = Terminal::new();
    terminal.std.stdout = Stdout::of(io::pipe().unwrap().1);
    let (local, _peer) = unix_pair();
    let connect = || Ok(Stream::from_socket(local).unwrap());
    assert_eq!(code(run(&terminal.run.context, &prompt(), terminal.std, connect)), DONE);
}

#[test]
fn pipe_copies_stdin_to_the_peer_and_back() {
    let terminal = Terminal::new().typed("through the pipe");
    let options = SessionOptions { stats: true, ..Default::default() };
    assert_eq!(code(terminal.run(&options, tcp_pair(), echo)), DONE);
    assert_eq!(terminal.printed(), "through the pipe");
    assert!(terminal.events().contains("\"bytes_out\":16"), "{}", terminal.events());
}

#[test]
fn pipe_sends_part_of_a_file_or_of_stdin() {
    let terminal = Terminal::new();
    let output = terminal.file("out", b"old content");
    let options = SessionOptions {
        input: Some(terminal.file("in", b"0123456789")),
        offset: Some(2),
        count: Some(3),
        output: Some(output.clone()),
        duplex: DuplexOptions { crlf: true, ..Default::default() },
        rate: Some(1 << 20),
        ..Default::default()
    };
    assert_eq!(code(terminal.run(&options, unix_pair(), echo)), DONE);
    assert_eq!(std::fs::read(output).unwrap(), b"234");

    let mut terminal = Terminal::new();
    terminal.std.stdin = leak(File::open(terminal.file("stdin", b"0123456789")).unwrap());
    let options = SessionOptions { offset: Some(1), count: Some(4), ..Default::default() };
    assert_eq!(code(terminal.run(&options, unix_pair(), echo)), DONE);
    assert_eq!(terminal.printed(), "1234");
}

#[test]
fn pipe_that_only_sends_discards_what_it_receives() {
    let terminal = Terminal::new().typed("one way");
    let duplex = DuplexOptions { on_local_eof: OnLocalEof::SendOnly, ..Default::default() };
    let options = SessionOptions { duplex, ..Default::default() };
    assert_eq!(code(terminal.run(&options, unix_pair(), echo)), DONE);
    assert_eq!(terminal.printed(), "");
}

#[test]
fn pipe_of_a_reset_connection_fails_and_its_output_stays_empty() {
    let terminal = Terminal::new().typed("hi");
    let output = terminal.run.path("out");
    let options = SessionOptions { output: Some(output.clone()), ..Default::default() };
    let failure = terminal.run(&options, tcp_pair(), resets).unwrap_err();
    assert_eq!((failure.phase, failure.conn), (Phase::Receive, Some(CONN)));
    assert_eq!(std::fs::read(output).unwrap(), b"");
}

fn refused(terminal: &Terminal, options: &SessionOptions) -> Failure {
    let connect = || -> Result<Stream, Failure> { Err(Failure::usage(Phase::Connect, "", "late")) };
    run(&terminal.run.context, options, terminal.std, connect).unwrap_err()
}

#[test]
fn files_are_checked_before_connecting() {
    let terminal = Terminal::new();
    let path = |name: &str| Some(terminal.run.path(name));
    let file = Some(terminal.file("in", b"1234"));
    let none = path("none");
    for (options, expected) in [
        (SessionOptions { input: none.clone(), ..Default::default() }, ExitCode::Read),
        (SessionOptions { input: path("."), ..Default::default() }, ExitCode::Read),
        (
            SessionOptions { input: file.clone(), offset: Some(5), ..Default::default() },
            ExitCode::Read,
        ),
        (SessionOptions { offset: Some(1), ..Default::default() }, ExitCode::Read),
        (SessionOptions { output: path("none/out"), ..Default::default() }, ExitCode::Write),
        (
            SessionOptions { input: file.clone(), output: file, ..Default::default() },
            ExitCode::Usage,
        ),
    ] {
        let failure = refused(&terminal, &options);
        assert_eq!(failure.code, expected, "{failure}");
        assert_ne!(failure.phase, Phase::Connect, "{failure}");
    }
}

#[test]
fn failed_connection_leaves_no_new_output_file() {
    let terminal = Terminal::new();
    let output = terminal.run.path("new");
    let options = SessionOptions { output: Some(output.clone()), ..Default::default() };
    assert_eq!(refused(&terminal, &options).phase, Phase::Connect);
    assert!(!Path::exists(&output));
}

#[test]
fn mode_follows_from_script_prompt_and_input() {
    let null = File::open("/dev/null").unwrap();
    let mode = |options: &SessionOptions| Mode::of(options, null.as_fd());
    assert!(matches!(mode(&script(&["x"])), Mode::Script));
    assert!(matches!(mode(&prompt()), Mode::Pipe), "the null device has no messages");
    let duplex = |input| DuplexOptions { input, ..Default::default() };
    let any = SessionOptions { duplex: duplex(InputMode::Any), ..prompt() };
    assert!(matches!(mode(&any), Mode::Prompt));
    let ignored = SessionOptions { duplex: duplex(InputMode::Ignored), ..prompt() };
    assert!(matches!(mode(&ignored), Mode::Pipe));
    let auto = SessionOptions { prompt: PromptMode::Auto, ..any };
    assert!(matches!(mode(&auto), Mode::Pipe), "no terminal");
}

#[cfg(feature = "prompt")]
mod on_a_terminal {
    use super::super::line_editor::KeyEffect;
    use super::super::raw_mode::RawMode;
    use super::super::terminal::{Prompt, PromptPlace};
    use super::*;
    use crate::poll::poll_until;
    use rustix::event::{PollFd, PollFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    /// A pseudo-terminal: what the user sees and types at, and the descriptor of the program.
    fn pty() -> (File, BorrowedFd<'static>) {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap().into_string().unwrap();
        (user.into(), leak(File::options().read(true).write(true).open(name).unwrap()))
    }

    /// Reads until `text` is shown.
    fn shows(mut user: &File, text: &str) -> String {
        let (mut shown, mut buffer) = (String::new(), [0; 256]);
        while !shown.contains(text) {
            let mut fds = [PollFd::new(&user, PollFlags::IN)];
            assert_eq!(poll_until(&mut fds, Some(Instant::now() + TIMEOUT)).unwrap(), 1, "{shown}");
            let n = user.read(&mut buffer).unwrap();
            shown.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        shown
    }

    #[test]
    fn plain_prompt_on_a_terminal_escapes_replies() {
        let (user, fd) = pty();
        let mut terminal = Terminal::new().typed("");
        let stdout = Stdout::of(fd.try_clone_to_owned().unwrap());
        terminal.std = StdStreams { stdout, stderr: fd, ..terminal.std };
        let peer = sends("\x1b[2Jbell\x07\n\x1b[1mbold\x1b");
        assert_eq!(code(terminal.run(&prompt(), unix_pair(), peer)), DONE);
        let shown = shows(&user, "bold");
        assert!(shown.contains("\\x1b[2Jbell\\x07"), "{shown:?}");
    }

    #[test]
    fn edited_line_is_drawn_below_replies_and_log_lines() {
        let (user, fd) = pty();
        let std = StdStreams {
            stdin: fd,
            stdout: Stdout::of(fd.try_clone_to_owned().unwrap()),
            stderr: fd,
        };
        let raw_mode = RawMode::open(std, "xterm").expect("a terminal");
        let prompt = Prompt::plain(fd, PromptPlace::WithReplies).with_editor(raw_mode);
        assert!(prompt.is_edited() && prompt.is_visible());
        prompt.draw();
        let mut keys: &[u8] = b"helo\x02l";
        assert_eq!(prompt.type_keys(&mut keys), KeyEffect::Edited);
        shows(&user, "> hello");
        let mut printed = false;
        prompt
            .print_above(|| {
                printed = true;
                Ok(())
            })
            .unwrap();
        assert!(printed);
        prompt.print_log("a log line\n");
        assert!(shows(&user, "a log line").contains("\r\x1b[K"));
        let mut keys: &[u8] = b"\rmore";
        assert_eq!(prompt.type_keys(&mut keys), KeyEffect::Entered(b"hello".to_vec()));
        assert_eq!(keys, b"more");
        let mut keys: &[u8] = b"\x04";
        assert_eq!(prompt.type_keys(&mut keys), KeyEffect::Eof);
        prompt.close();
        assert!(!prompt.is_edited());
        let mut keys: &[u8] = b"x";
        assert_eq!(prompt.type_keys(&mut keys), KeyEffect::Eof, "closed");
    }

    #[test]
    fn simple_terminal_and_pipe_have_no_raw_mode() {
        let (_user, fd) = pty();
        let terminal = Terminal::new();
        let std = StdStreams { stdin: fd, stderr: fd, ..terminal.std };
        assert!(RawMode::open(std, "DUMB").is_none());
        assert!(RawMode::open(terminal.std, "xterm").is_none());
    }

    #[test]
    fn keys_typed_at_a_prompt_are_sent_line_by_line() {
        let (user, fd) = pty();
        let mut terminal = Terminal::new();
        terminal.std = StdStreams { stdin: fd, stderr: fd, ..terminal.std };
        (&user).write_all(b"one\rtwo\r").unwrap();
        let peer = |socket: Socket| {
            let mut line = [0; 4];
            for expected in [b"one\n", b"two\n"] {
                (&socket).read_exact(&mut line).unwrap();
                assert_eq!(&line, expected);
                (&socket).write_all(&line).unwrap();
            }
        };
        assert_eq!(code(terminal.run(&prompt(), unix_pair(), peer)), DONE);
        assert_eq!(terminal.printed(), "one\ntwo\n");
    }
}
