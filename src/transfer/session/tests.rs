//! Every cell of the session's table: the states are set by events, the peer is a socket of the
//! test's own.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::Socket;

use super::step::DRAIN_AFTER_SEND_ERROR;
use super::*;
use crate::error::ExitCode;
use crate::net::stream::{Stream, Writer};
use crate::shutdown::ShutdownReason;
use crate::test_run::{tcp_pair, unix_pair};
use crate::transfer::TransferError;
use crate::transfer::directions::DirectionEvent::{Down, Up};
use crate::transfer::directions::DirectionState::*;
use crate::transfer::options::{OnLocalEof, SILENCE_LIMIT};

const DEADLINE: Duration = Duration::from_secs(20);

/// Counts the calls.
#[derive(Default)]
struct Calls {
    local_eof: AtomicU32,
    peer_eof: AtomicU32,
    silent: AtomicU32,
}

impl DuplexObserver for Calls {
    fn on_local_eof(&self) {
        self.local_eof.fetch_add(1, Ordering::Relaxed);
    }

    fn on_peer_eof(&self) {
        self.peer_eof.fetch_add(1, Ordering::Relaxed);
    }

    fn peer_silent_without_input(&self) {
        self.silent.fetch_add(1, Ordering::Relaxed);
    }
}

/// A session, and what its peer and its user hold.
struct Fixture {
    session: Session<'static>,
    peer: Option<Socket>,
    /// Writes the input.
    user: PipeWriter,
    calls: &'static Calls,
}

impl Deref for Fixture {
    type Target = Session<'static>;

    fn deref(&self) -> &Session<'static> {
        &self.session
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut Session<'static> {
        &mut self.session
    }
}

impl Fixture {
    fn tcp() -> Fixture {
        Fixture::new(tcp_pair())
    }

    fn unix() -> Fixture {
        Fixture::new(unix_pair())
    }

    /// The input is a pipe.
    fn new((socket, peer): (Socket, Socket)) -> Fixture {
        let Stream { handle, info, .. } = Stream::from_socket(socket).unwrap();
        let (input, user) = io::pipe().unwrap();
        let calls: &'static Calls = Box::leak(Box::default());
        let session = Session {
            queue: EventQueue::new().unwrap(),
            upload: None,
            cancel: None,
            up: Running,
            down: Running,
            sent: Meter::default(),
            received: Meter::default(),
            input: LocalFile::named("in"),
            output: LocalFile::named("out"),
            input_fd: Some(input.into()),
            has_terminal_input: false,
            connection: handle,
            info,
            options: DuplexOptions::default(),
            observer: calls,
            shutdown: Box::leak(Box::new(Shutdown::new(None).unwrap())),
            times: Times::start(Duration::ZERO),
            can_warn_of_silence: false,
        };
        Fixture { session, peer: Some(peer), user, calls }
    }
}

fn reset() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::CONNRESET.raw_os_error())
}

fn read_failed() -> TransferError {
    TransferError::Read(reset())
}

fn write_failed() -> TransferError {
    TransferError::Write(reset())
}

/// The outcome of a session that is over by now.
fn code(session: &Session<'_>) -> (EndedBy, Option<(Phase, ExitCode)>) {
    match session.next_step() {
        SessionStep::Finish(DuplexOutcome { by, outcome }) => {
            (by, outcome.err().map(|failure| (failure.phase, failure.code)))
        }
        step => panic!("not over: {step:?}"),
    }
}

/// The deadline of a session that is not over, if it has one.
fn deadline(session: &Session<'_>) -> Option<Instant> {
    match session.next_step() {
        SessionStep::Wait(deadline) | SessionStep::WaitOrHangup(deadline) => deadline,
        SessionStep::Finish(outcome) => panic!("over: {outcome:?}"),
    }
}

/// Waits until the session is over by its own deadlines.
fn wait_until_over(session: &Session<'_>) -> DuplexOutcome {
    let latest = Instant::now() + DEADLINE;
    loop {
        let deadline = match session.next_step() {
            SessionStep::Finish(outcome) => return outcome,
            SessionStep::Wait(deadline) | SessionStep::WaitOrHangup(deadline) => deadline,
        };
        assert!(Instant::now() < latest, "not over in time");
        let deadline = deadline.expect("a state that ends by itself has a deadline");
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn open_session_has_no_deadline() {
    let mut session = Fixture::tcp();
    for (up, down) in
        [(Running, Running), (Ending, Running), (Ending, Done), (Done, Running), (Running, Done)]
    {
        (session.up, session.down) = (up, down);
        assert_eq!(deadline(&session), None);
        assert_eq!(session.own_deadline(), None);
    }
    assert!(matches!(session.next_step(), SessionStep::WaitOrHangup(None)));
}

#[test]
fn first_end_of_stream_is_who_ended_it() {
    let ends = || [Up(Done), Down(Done)];
    for (peer_first, by) in [(false, EndedBy::Local), (true, EndedBy::Peer)] {
        let mut session = Fixture::tcp();
        let mut events = Vec::from(ends());
        if peer_first {
            events.reverse();
        }
        for event in events {
            session.on_event(event);
        }
        assert_eq!(code(&session), (by, None));
        assert_eq!(session.calls.peer_eof.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn both_ends_wait_for_what_is_not_acknowledged() {
    let mut session = Fixture::unix();
    session.connection.socket().send(b"unread").unwrap();
    session.sent.add(6);
    session.on_event(Up(Done));
    session.on_event(Down(Done));
    assert!(deadline(&session).is_some());
    io::Read::read_exact(&mut session.peer.take().unwrap(), &mut [0; 6]).unwrap();
    assert_eq!(code(&session), (EndedBy::Local, None));
}

#[test]
fn peer_that_resets_after_both_ends_leaves_bytes_undelivered() {
    for (has_close_notify, expected) in [
        (false, (EndedBy::Reset, Some((Phase::Send, ExitCode::Partial)))),
        (true, (EndedBy::Local, None)),
    ] {
        let mut session = Fixture::unix();
        session.connection.socket().send(b"unread").unwrap();
        session.info.is_encrypted = has_close_notify;
        session.sent.add(6);
        session.on_event(Up(Done));
        session.on_event(Down(Done));
        session.peer = None;
        assert_eq!(code(&session), expected);
    }
}

#[test]
fn reset_before_data_is_56_and_after_data_18() {
    for (received, expected) in [(0, ExitCode::Receive), (5, ExitCode::Partial)] {
        for up in [Done, Running, Ending] {
            let mut session = Fixture::tcp();
            let sends = !matches!(up, Done);
            session.up = up;
            session.received.add(received);
            session.on_event(Down(Failed(read_failed())));
            assert_eq!(matches!(session.next_step(), SessionStep::Wait(Some(_))), sends);
            let over = wait_until_over(&session);
            assert_eq!(over.by, EndedBy::Reset);
            let failure = over.outcome.unwrap_err();
            assert_eq!((failure.phase, failure.code), (Phase::Receive, expected));
        }
    }
}

#[test]
fn reset_while_the_input_has_more_is_18() {
    for is_in_flight in [true, false] {
        let mut session = Fixture::tcp();
        if is_in_flight {
            session.sent.set_in_flight(true);
        } else {
            session.user.write_all(b"not read yet").unwrap();
        }
        session.on_event(Down(Failed(read_failed())));
        let failure = wait_until_over(&session).outcome.unwrap_err();
        assert_eq!((failure.phase, failure.code), (Phase::Receive, ExitCode::Partial));
    }
}

#[test]
fn send_error_drains_what_the_peer_has_sent() {
    let mut session = Fixture::tcp();
    session.on_event(Up(Failed(write_failed())));
    assert!(deadline(&session).is_some_and(|at| at > Instant::now() + DRAIN_AFTER_SEND_ERROR / 2));
    session.times.failed_at = Instant::now().checked_sub(DRAIN_AFTER_SEND_ERROR);
    let expected = (EndedBy::Reset, Some((Phase::Send, ExitCode::Partial)));
    assert_eq!(code(&session), expected);

    session.times.failed_at = Some(Instant::now());
    for event in [Down(Done), Down(Failed(read_failed()))] {
        session.on_event(event);
        assert_eq!(code(&session), expected);
    }
}

#[test]
fn send_error_below_the_connection_is_55_before_data() {
    let mut session = Fixture::tcp();
    session.on_event(Down(Done));
    session.on_event(Up(Failed(TransferError::Write(io::Error::other("layer")))));
    assert_eq!(code(&session).1, Some((Phase::Send, ExitCode::Send)));
    session.received.add(1);
    assert_eq!(code(&session).1, Some((Phase::Send, ExitCode::Partial)));
}

#[test]
fn local_errors_end_the_session_immediately() {
    let output = (EndedBy::Local, Some((Phase::File, ExitCode::Write)));
    let input = (EndedBy::Local, Some((Phase::File, ExitCode::Read)));
    let mut session = Fixture::tcp();
    session.on_event(Up(Failed(read_failed())));
    assert_eq!(code(&session), input);
    session.on_event(Down(Done));
    assert_eq!(code(&session), input);
    // An output that fails is the error, whatever the input does.
    session.on_event(Down(Failed(write_failed())));
    assert_eq!(code(&session), output);
    for up in [Running, Ending, Done] {
        session.up = up;
        assert_eq!(code(&session), output);
    }
}

#[test]
fn closed_reader_of_stdout_is_success() {
    let mut session = Fixture::tcp();
    session.output.phase = Phase::Stdout;
    let broken = TransferError::Write(io::ErrorKind::BrokenPipe.into());
    session.on_event(Down(Failed(broken)));
    assert_eq!(code(&session), (EndedBy::Local, None));
}

#[test]
fn failed_half_close_of_a_peer_that_is_gone_awaits_its_end() {
    let mut session = Fixture::tcp();
    session.on_event(Up(HalfCloseFailed(reset())));
    assert!(deadline(&session).is_some());
    assert_eq!(
        wait_until_over(&session).outcome.unwrap_err().phase,
        Phase::Shutdown,
        "the grace has passed"
    );
    session.on_event(Down(Done));
    assert_eq!(code(&session), (EndedBy::Peer, None));
    session.on_event(Up(HalfCloseFailed(io::Error::other("other"))));
    assert_eq!(code(&session).1.map(|failure| failure.0), Some(Phase::Shutdown));
}

#[test]
fn end_of_input_closes_by_its_option() {
    let mut session = Fixture::tcp();
    session.on_event(Up(Done));
    for (on_local_eof, closes) in [
        (OnLocalEof::HalfClose, false),
        (OnLocalEof::KeepOpen, false),
        (OnLocalEof::HangUp, true),
        (OnLocalEof::SendOnly, true),
    ] {
        session.options.on_local_eof = on_local_eof;
        assert_eq!(
            matches!(session.next_step(), SessionStep::Finish(_)),
            closes,
            "{on_local_eof:?}"
        );
    }
    assert_eq!(code(&session), (EndedBy::Local, None));
    session.peer.as_ref().unwrap().send(b"unread").unwrap();
    rustix::event::poll(&mut [PollFd::new(session.connection.socket(), PollFlags::IN)], None)
        .unwrap();
    assert!(deadline(&session).is_some(), "unread bytes are drained first");
}

#[test]
fn peers_end_closes_a_terminal_or_by_option() {
    for (has_terminal_input, exit_on_eof) in [(true, None), (false, Some(Duration::ZERO))] {
        let mut session = Fixture::tcp();
        session.on_event(Down(Done));
        (session.has_terminal_input, session.options.exit_on_eof) =
            (has_terminal_input, exit_on_eof);
        assert_eq!(code(&session), (EndedBy::Peer, None));
    }
}

#[test]
fn silent_input_ends_after_the_peers_end_once_all_is_delivered() {
    let mut session = Fixture::tcp();
    session.options.exit_on_eof = Some(DEADLINE);
    session.on_event(Down(Done));
    let half = Instant::now() + DEADLINE / 2;
    let SessionStep::WaitOrHangup(Some(exit_at)) = session.next_step() else { panic!("over") };
    assert!(exit_at > half, "the time is counted from the peer's end");
    session.options.exit_on_eof = Some(Duration::from_millis(1));
    assert_eq!(wait_until_over(&session).by, EndedBy::Peer);
    session.sent.set_in_flight(true);
    assert!(deadline(&session).is_some(), "bytes are in flight");
}

#[test]
fn lost_peer_waits_for_pending_input_to_fail() {
    let mut session = Fixture::unix();
    session.on_event(Down(Done));
    assert!(matches!(session.next_step(), SessionStep::WaitOrHangup(None)));
    session.peer = None;
    session.user.write_all(b"pending").unwrap();
    assert!(matches!(session.next_step(), SessionStep::Wait(Some(_))));
    let mut pending: PipeReader = session.input_fd.take().unwrap().into();
    io::Read::read_exact(&mut pending, &mut [0; 7]).unwrap();
    session.input_fd = Some(pending.into());
    assert_eq!(code(&session), (EndedBy::Peer, None));
}

#[test]
fn idle_limit_is_28_and_counts_from_the_last_byte() {
    let limit = Duration::from_millis(20);
    let mut session = Fixture::tcp();
    session.options.idle_timeout = Some(Duration::from_secs(3600));
    let before = deadline(&session).unwrap();
    std::thread::sleep(Duration::from_millis(1));
    session.received.add(1);
    assert!(deadline(&session).unwrap() > before);
    session.options.idle_timeout = Some(limit);
    let over = wait_until_over(&session);
    assert_eq!(over.by, EndedBy::Timeout);
    assert_eq!(over.outcome.unwrap_err().code, ExitCode::Timeout);
    // `delay` is no idleness.
    session.times.begins_at = Instant::now() + DEADLINE;
    assert!(deadline(&session).unwrap() > Instant::now() + DEADLINE / 2);
}

#[test]
fn bytes_that_the_peer_acknowledges_are_no_idleness() {
    let session = Fixture::tcp();
    let socket = session.connection.socket();
    socket.set_nonblocking(true).unwrap();
    let mut unread = 0;
    while let Ok(n) = socket.send(&[0; 65_536]) {
        unread += n;
    }
    let before = session.idle_since();
    let mut peer = session.peer.as_ref().unwrap();
    while session.idle_since() == before {
        unread -= io::Read::read(&mut peer, &mut [0; 4096]).unwrap();
        assert!(unread > 0, "the peer has read everything");
    }
}

#[test]
fn linger_ends_a_session_whose_input_has_ended() {
    let mut session = Fixture::tcp();
    session.options.linger = Some(Duration::from_millis(20));
    assert_eq!(deadline(&session), None, "the input has not ended");
    session.on_event(Up(Done));
    let over = wait_until_over(&session);
    assert!(over.by == EndedBy::Local && over.outcome.is_ok());
    session.received.set_in_flight(true);
    assert!(deadline(&session).is_some(), "bytes are in flight");
}

#[test]
fn input_timeout_ends_a_silent_input_once_all_is_delivered() {
    let mut session = Fixture::tcp();
    let (hangup, cancel) = io::pipe().unwrap();
    (session.cancel, session.options.input_timeout) = (Some(cancel), Some(Duration::ZERO));
    session.sent.set_in_flight(true);
    session.end_silent_input();
    assert!(session.cancel.is_some(), "bytes are in flight");
    session.sent.set_in_flight(false);
    session.end_silent_input();
    assert!(session.cancel.is_none());
    assert_eq!(session.input_deadline(), None, "it ends once");
    assert_eq!(rustix::io::read(hangup, &mut [0; 1]), Ok(0), "the upload is cancelled");
    // Nothing ends the wait for the peer's end of stream.
    session.on_event(Up(Done));
    assert_eq!(deadline(&session), None);
}

#[test]
fn shutdown_ends_the_session_immediately_unless_it_finishes() {
    for (up, finishes, expected) in [
        (Running, false, Some(ExitCode::Terminated)),
        (Done, false, Some(ExitCode::Terminated)),
        (Running, true, Some(ExitCode::Terminated)),
        (Done, true, None),
    ] {
        let mut session = Fixture::tcp();
        (session.up, session.options.is_server) = (up, finishes);
        session.shutdown.trigger(ShutdownReason::Terminate);
        if finishes {
            assert_eq!(deadline(&session), None, "bytes may be in flight");
            let quiet = session.own_deadline().expect("then it is quiet");
            std::thread::sleep(quiet.saturating_duration_since(Instant::now()));
        }
        let (by, failure) = code(&session);
        assert_eq!((by, failure.map(|failure| failure.1)), (EndedBy::Signal, expected));
    }
}

/// Counts half-closes.
struct Half(std::sync::Arc<AtomicU32>, bool);

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writer for Half {
    fn half_close(&mut self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if self.1 { Ok(()) } else { Err(reset()) }
    }
}

#[test]
fn without_input_our_end_follows_the_peers() {
    for works in [true, false] {
        let mut session = Fixture::tcp();
        let finished = std::sync::Arc::new(AtomicU32::new(0));
        session.up = NoInput(Box::new(Half(finished.clone(), works)));
        session.send_eof_without_input();
        assert_eq!(deadline(&session), None);
        assert_eq!(finished.load(Ordering::Relaxed), 0);
        session.on_event(Down(Done));
        session.send_eof_without_input();
        session.send_eof_without_input();
        assert_eq!(finished.load(Ordering::Relaxed), 1);
        assert_eq!(session.calls.local_eof.load(Ordering::Relaxed), 1);
        assert_eq!(code(&session), (EndedBy::Peer, None));
    }
}

#[test]
fn silent_peer_is_warned_about_once() {
    let mut session = Fixture::tcp();
    session.can_warn_of_silence = true;
    session.warn_if_silent();
    assert_eq!(session.own_deadline(), Some(session.moved_at() + SILENCE_LIMIT));
    assert_eq!(session.calls.silent.load(Ordering::Relaxed), 0);
    session.on_event(Down(Done));
    assert_eq!(session.own_deadline(), None, "its end has been received");
}

#[test]
fn incomplete_session_is_reset() {
    for (up, ends_clean) in [(Running, false), (Done, true)] {
        let mut session = Fixture::tcp();
        session.up = up;
        session.close_connection(&DuplexOutcome::success(EndedBy::Local));
        let mut peer = session.peer.take().unwrap();
        drop(session);
        let read = io::Read::read(&mut peer, &mut [0; 8]);
        assert_eq!(matches!(read, Ok(0)), ends_clean, "{read:?}");
    }
}

/// The thread that has sent the bytes has not counted them yet.
#[test]
fn uncounted_bytes_that_the_peer_refuses_are_undelivered() {
    let mut session = Fixture::tcp();
    session.peer = None;
    session.connection.socket().send(b"late").unwrap();
    session.on_event(Down(Done));
    let over = wait_until_over(&session);
    let failure = over.outcome.unwrap_err();
    assert_eq!((failure.phase, failure.code), (Phase::Send, ExitCode::Partial));
    assert!(failure.to_string().contains("4 of 4 bytes"), "{failure}");
}
