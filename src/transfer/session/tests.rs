//! Every cell of the session's table: the states are set by events, the peer is a socket of the
//! test's own.

use std::io::{self, PipeReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::Socket;

use super::*;
use crate::error::ExitCode;
use crate::net::stream::Stream;
use crate::transfer::directions::EventChannel;

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

/// What a session is made of that it only borrows.
struct Parts {
    calls: Calls,
    shutdown: Shutdown,
}

impl Parts {
    fn new() -> Parts {
        Parts { calls: Calls::default(), shutdown: Shutdown::new(None).unwrap() }
    }

    /// A session of `socket`, whose input is a pipe that the returned end writes.
    fn session(&self, socket: Socket) -> (Session<'_>, io::PipeWriter) {
        let Stream { handle, info, .. } = Stream::from_socket(socket).unwrap();
        let (input, user) = io::pipe().unwrap();
        let session = Session {
            events: EventChannel::new().unwrap().events,
            up: UpState::Running,
            down: DownState::Running,
            sent: Meter::default(),
            received: Meter::default(),
            cancel: None,
            input: LocalFile::named("in"),
            output: LocalFile::named("out"),
            input_fd: Some(input.into()),
            endless: false,
            connection: handle,
            info,
            options: options(OnLocalEof::HalfClose),
            observer: &self.calls,
            shutdown: &self.shutdown,
            times: Times::start(Duration::ZERO),
            warns: false,
        };
        (session, user)
    }
}

fn options(on_end: OnLocalEof) -> DuplexOptions {
    DuplexOptions {
        on_end,
        idle: None,
        input_timeout: None,
        linger: None,
        delay: Duration::ZERO,
        shared_input: false,
        exit_on_eof: None,
        finishes: false,
    }
}

fn tcp_pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours.into(), listener.accept().unwrap().0.into())
}

fn unix_pair() -> (Socket, Socket) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours.into(), theirs.into())
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
fn outcome(session: &Session<'_>) -> DuplexOutcome {
    match session.next_step() {
        SessionStep::Finish(outcome) => outcome,
        step => panic!("not over: {step:?}"),
    }
}

fn code(session: &Session<'_>) -> (EndedBy, Option<(Phase, ExitCode)>) {
    let DuplexOutcome { by, outcome } = outcome(session);
    (by, outcome.err().map(|failure| (failure.phase, failure.code)))
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
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    for (up, down) in [
        (UpState::Running, DownState::Running),
        (UpState::Ending, DownState::Running),
        (UpState::Ending, DownState::Done),
        (UpState::Done, DownState::Running),
        (UpState::Running, DownState::Done),
    ] {
        (session.up, session.down) = (up, down);
        assert_eq!(deadline(&session), None);
        assert_eq!(session.own_deadline(), None);
    }
    assert!(matches!(session.next_step(), SessionStep::WaitOrHangup(None)));
}

#[test]
fn first_end_of_stream_is_who_ended_it() {
    let ends = || [DirectionEvent::UpDone, DirectionEvent::DownDone];
    for (peer_first, by) in [(false, EndedBy::Local), (true, EndedBy::Peer)] {
        let parts = Parts::new();
        let (ours, _theirs) = tcp_pair();
        let (mut session, _user) = parts.session(ours);
        let mut events = Vec::from(ends());
        if peer_first {
            events.reverse();
        }
        for event in events {
            session.on_event(event);
        }
        assert_eq!(code(&session), (by, None));
        assert_eq!(parts.calls.peer_eof.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn both_ends_wait_for_what_is_not_acknowledged() {
    let parts = Parts::new();
    let (mut ours, mut theirs) = unix_pair();
    ours.write_all(b"unread").unwrap();
    let (mut session, _user) = parts.session(ours);
    session.sent.add(6);
    session.on_event(DirectionEvent::UpDone);
    session.on_event(DirectionEvent::DownDone);
    assert!(deadline(&session).is_some());
    io::Read::read_exact(&mut theirs, &mut [0; 6]).unwrap();
    assert_eq!(code(&session), (EndedBy::Local, None));
}

#[test]
fn peer_that_resets_after_both_ends_leaves_bytes_undelivered() {
    for (has_close_notify, expected) in [
        (false, (EndedBy::Reset, Some((Phase::Send, ExitCode::Partial)))),
        (true, (EndedBy::Local, None)),
    ] {
        let parts = Parts::new();
        let (mut ours, theirs) = unix_pair();
        ours.write_all(b"unread").unwrap();
        let (mut session, _user) = parts.session(ours);
        session.info.is_encrypted = has_close_notify;
        session.sent.add(6);
        session.on_event(DirectionEvent::UpDone);
        session.on_event(DirectionEvent::DownDone);
        drop(theirs);
        assert_eq!(code(&session), expected);
    }
}

#[test]
fn reset_before_data_is_56_and_after_data_18() {
    for (received, expected) in [(0, ExitCode::Receive), (5, ExitCode::Partial)] {
        for up in [UpState::Done, UpState::Running, UpState::Ending] {
            let parts = Parts::new();
            let (ours, _theirs) = tcp_pair();
            let (mut session, _user) = parts.session(ours);
            let sends = !matches!(up, UpState::Done);
            session.up = up;
            session.received.add(received);
            session.on_event(DirectionEvent::DownFailed(read_failed()));
            assert_eq!(matches!(session.next_step(), SessionStep::Wait(Some(_))), sends);
            let over = wait_until_over(&session);
            assert_eq!(over.by, EndedBy::Reset);
            let failure = over.outcome.unwrap_err();
            assert_eq!((failure.phase, failure.code), (Phase::Receive, expected));
        }
    }
}

#[test]
fn send_error_drains_what_the_peer_has_sent() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.on_event(DirectionEvent::UpFailed(write_failed()));
    assert!(deadline(&session).is_some_and(|at| at > Instant::now() + DRAIN_AFTER_SEND_ERROR / 2));
    session.times.failed_at = Instant::now().checked_sub(DRAIN_AFTER_SEND_ERROR);
    let expected = (EndedBy::Reset, Some((Phase::Send, ExitCode::Partial)));
    assert_eq!(code(&session), expected);

    session.times.failed_at = Some(Instant::now());
    for event in [DirectionEvent::DownDone, DirectionEvent::DownFailed(read_failed())] {
        session.on_event(event);
        assert_eq!(code(&session), expected);
    }
}

#[test]
fn send_error_below_the_connection_is_55_before_data() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.on_event(DirectionEvent::DownDone);
    session.on_event(DirectionEvent::UpFailed(TransferError::Write(io::Error::other("layer"))));
    assert_eq!(code(&session).1, Some((Phase::Send, ExitCode::Send)));
    session.received.add(1);
    assert_eq!(code(&session).1, Some((Phase::Send, ExitCode::Partial)));
}

#[test]
fn local_errors_end_the_session_immediately() {
    let output = (EndedBy::Local, Some((Phase::File, ExitCode::Write)));
    let input = (EndedBy::Local, Some((Phase::File, ExitCode::Read)));
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.on_event(DirectionEvent::UpFailed(read_failed()));
    assert_eq!(code(&session), input);
    session.on_event(DirectionEvent::DownDone);
    assert_eq!(code(&session), input);
    // An output that fails is the error, whatever the input does.
    session.on_event(DirectionEvent::DownFailed(write_failed()));
    assert_eq!(code(&session), output);
    for up in [UpState::Running, UpState::Ending, UpState::Done] {
        session.up = up;
        assert_eq!(code(&session), output);
    }
}

#[test]
fn closed_reader_of_stdout_is_success() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.output.phase = Phase::Stdout;
    let broken = TransferError::Write(io::ErrorKind::BrokenPipe.into());
    session.on_event(DirectionEvent::DownFailed(broken));
    assert_eq!(code(&session), (EndedBy::Local, None));
}

#[test]
fn failed_half_close_of_a_peer_that_is_gone_awaits_its_end() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.on_event(DirectionEvent::FinishFailed(reset()));
    assert!(deadline(&session).is_some());
    assert_eq!(
        wait_until_over(&session).outcome.unwrap_err().phase,
        Phase::Shutdown,
        "the grace has passed"
    );
    session.on_event(DirectionEvent::DownDone);
    assert_eq!(code(&session), (EndedBy::Peer, None));
    session.on_event(DirectionEvent::FinishFailed(io::Error::other("other")));
    assert_eq!(code(&session).1.map(|failure| failure.0), Some(Phase::Shutdown));
}

#[test]
fn end_of_input_closes_by_its_option() {
    let parts = Parts::new();
    let (ours, mut theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.on_event(DirectionEvent::UpDone);
    for (on_end, closes) in [
        (OnLocalEof::HalfClose, false),
        (OnLocalEof::KeepOpen, false),
        (OnLocalEof::HangUp, true),
        (OnLocalEof::SendOnly, true),
    ] {
        session.options.on_end = on_end;
        assert_eq!(matches!(session.next_step(), SessionStep::Finish(_)), closes, "{on_end:?}");
    }
    assert_eq!(code(&session), (EndedBy::Local, None));
    theirs.write_all(b"unread").unwrap();
    rustix::event::poll(
        &mut [PollFd::from_borrowed_fd(session.connection.socket().as_fd(), PollFlags::IN)],
        None,
    )
    .unwrap();
    assert!(deadline(&session).is_some(), "unread bytes are drained first");
}

#[test]
fn peers_end_closes_a_terminal_or_by_option() {
    for (endless, exit_on_eof) in [(true, None), (false, Some(Duration::ZERO))] {
        let parts = Parts::new();
        let (ours, _theirs) = tcp_pair();
        let (mut session, _user) = parts.session(ours);
        session.on_event(DirectionEvent::DownDone);
        (session.endless, session.options.exit_on_eof) = (endless, exit_on_eof);
        assert_eq!(code(&session), (EndedBy::Peer, None));
    }
}

#[test]
fn silent_input_ends_after_the_peers_end_once_all_is_delivered() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.options.exit_on_eof = Some(DEADLINE);
    session.on_event(DirectionEvent::DownDone);
    let half = Instant::now() + DEADLINE / 2;
    let SessionStep::WaitOrHangup(Some(deadline)) = session.next_step() else { panic!("over") };
    assert!(deadline > half, "the time is counted from the peer's end");
    session.options.exit_on_eof = Some(Duration::from_millis(1));
    assert_eq!(wait_until_over(&session).by, EndedBy::Peer);
    session.sent.set_in_flight(true);
    assert!(deadline_of_sender(&session), "bytes are in flight");
}

/// Whether a session that only sends waits on.
fn deadline_of_sender(session: &Session<'_>) -> bool {
    matches!(session.next_step(), SessionStep::WaitOrHangup(Some(_)))
}

#[test]
fn lost_peer_waits_for_pending_input_to_fail() {
    let parts = Parts::new();
    let (ours, theirs) = unix_pair();
    let (mut session, mut user) = parts.session(ours);
    session.on_event(DirectionEvent::DownDone);
    assert!(matches!(session.next_step(), SessionStep::WaitOrHangup(None)));
    drop(theirs);
    user.write_all(b"pending").unwrap();
    assert!(matches!(session.next_step(), SessionStep::Wait(Some(_))));
    let mut pending: PipeReader = session.input_fd.take().unwrap().into();
    io::Read::read_exact(&mut pending, &mut [0; 7]).unwrap();
    session.input_fd = Some(pending.into());
    assert_eq!(code(&session), (EndedBy::Peer, None));
}

#[test]
fn idle_limit_is_28_and_counts_from_the_last_byte() {
    let limit = Duration::from_millis(20);
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.options.idle = Some(Duration::from_secs(3600));
    let before = deadline(&session).unwrap();
    std::thread::sleep(Duration::from_millis(1));
    session.received.add(1);
    assert!(deadline(&session).unwrap() > before);
    session.options.idle = Some(limit);
    let over = wait_until_over(&session);
    assert_eq!(over.by, EndedBy::Timeout);
    assert_eq!(over.outcome.unwrap_err().code, ExitCode::Timeout);
    // `delay` is no idleness.
    session.times.begins_at = Instant::now() + DEADLINE;
    assert!(deadline(&session).unwrap() > Instant::now() + DEADLINE / 2);
}

#[test]
fn linger_ends_a_session_whose_input_has_ended() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.options.linger = Some(Duration::from_millis(20));
    assert_eq!(deadline(&session), None, "the input has not ended");
    session.on_event(DirectionEvent::UpDone);
    let over = wait_until_over(&session);
    assert!(over.by == EndedBy::Local && over.outcome.is_ok());
    session.received.set_in_flight(true);
    assert!(deadline(&session).is_some(), "bytes are in flight");
}

#[test]
fn input_timeout_ends_a_silent_input_once_all_is_delivered() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
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
    session.on_event(DirectionEvent::UpDone);
    assert_eq!(deadline(&session), None);
}

#[test]
fn shutdown_ends_the_session_immediately_unless_it_finishes() {
    for (up, finishes, expected) in [
        (UpState::Running, false, Some(ExitCode::Terminated)),
        (UpState::Done, false, Some(ExitCode::Terminated)),
        (UpState::Running, true, Some(ExitCode::Terminated)),
        (UpState::Done, true, None),
    ] {
        let parts = Parts::new();
        let (ours, _theirs) = tcp_pair();
        let (mut session, _user) = parts.session(ours);
        (session.up, session.options.finishes) = (up, finishes);
        parts.shutdown.trigger(ShutdownReason::Terminate);
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
    fn finish(&mut self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if self.1 { Ok(()) } else { Err(reset()) }
    }
}

#[test]
fn without_input_our_end_follows_the_peers() {
    for works in [true, false] {
        let parts = Parts::new();
        let (ours, _theirs) = tcp_pair();
        let (mut session, _user) = parts.session(ours);
        let finished = std::sync::Arc::new(AtomicU32::new(0));
        session.up = UpState::NoInput(Box::new(Half(finished.clone(), works)));
        session.send_eof_without_input();
        assert_eq!(deadline(&session), None);
        assert_eq!(finished.load(Ordering::Relaxed), 0);
        session.on_event(DirectionEvent::DownDone);
        session.send_eof_without_input();
        session.send_eof_without_input();
        assert_eq!(finished.load(Ordering::Relaxed), 1);
        assert_eq!(parts.calls.local_eof.load(Ordering::Relaxed), 1);
        assert_eq!(code(&session), (EndedBy::Peer, None));
    }
}

#[test]
fn silent_peer_is_warned_about_once() {
    let parts = Parts::new();
    let (ours, _theirs) = tcp_pair();
    let (mut session, _user) = parts.session(ours);
    session.warns = true;
    session.warn_if_silent();
    assert_eq!(session.own_deadline(), Some(session.moved_at() + SILENCE_LIMIT));
    assert_eq!(parts.calls.silent.load(Ordering::Relaxed), 0);
    session.on_event(DirectionEvent::DownDone);
    assert_eq!(session.own_deadline(), None, "its end has been received");
}

#[test]
fn incomplete_session_is_reset() {
    for (up, ends_clean) in [(UpState::Running, false), (UpState::Done, true)] {
        let parts = Parts::new();
        let (ours, mut theirs) = tcp_pair();
        let (mut session, user) = parts.session(ours);
        session.up = up;
        session.close_connection(&DuplexOutcome::success(EndedBy::Local));
        drop((session, user));
        let read = io::Read::read(&mut theirs, &mut [0; 8]);
        assert_eq!(matches!(read, Ok(0)), ends_clean, "{read:?}");
    }
}

/// The thread that has sent the bytes has not counted them yet.
#[test]
fn uncounted_bytes_that_the_peer_refuses_are_undelivered() {
    let parts = Parts::new();
    let (ours, theirs) = tcp_pair();
    let writer = ours.try_clone().unwrap();
    let (mut session, _user) = parts.session(ours);
    drop(theirs);
    (&writer).write_all(b"late").unwrap();
    session.on_event(DirectionEvent::DownDone);
    let over = wait_until_over(&session);
    let failure = over.outcome.unwrap_err();
    assert_eq!((failure.phase, failure.code), (Phase::Send, ExitCode::Partial));
    assert!(failure.to_string().contains("4 of 4 bytes"), "{failure}");
}
