//! Sessions in which everything may happen at any moment: either side ends first, the other sends
//! on, a shutdown or a reset comes. Nothing is lost, and every session ends.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::*;
use crate::error::ExitCode;
use crate::net::stdio::FdStream;
use crate::shutdown::ShutdownReason;
use crate::test_rng::TestRng;
use crate::test_run::{tcp_pair, unix_pair};

const DEADLINE: Duration = Duration::from_secs(20);
/// The most that one side sends, in bytes.
const MAX_SENT: usize = 200_000;

struct NoObserver;
impl DuplexObserver for NoObserver {}

/// Both ends of a connection, over TCP or a Unix socket.
fn pair(rng: &mut TestRng) -> (Stream, Socket) {
    let (ours, theirs) = if rng.in_range(2) == 0 { unix_pair() } else { tcp_pair() };
    theirs.set_read_timeout(Some(DEADLINE)).unwrap();
    theirs.set_write_timeout(Some(DEADLINE)).unwrap();
    (Stream::from_socket(ours).unwrap(), theirs)
}

fn local(reader: impl Into<OwnedFd>, writer: impl Into<OwnedFd>) -> LocalEnd {
    LocalEnd {
        reader: Input::Reader(Box::new(FdStream(reader.into()))),
        writer: Box::new(FdStream(writer.into())),
        input: LocalFile::named("in"),
        output: LocalFile::named("out"),
        has_terminal_input: false,
    }
}

fn run(
    stream: Stream,
    local: LocalEnd,
    options: DuplexOptions,
    shutdown: &Shutdown,
) -> DuplexOutcome {
    let (up, down) = Default::default();
    Duplex { local, up, down, options, observer: &NoObserver, shutdown }.run(stream)
}

/// Writes all of it in parts, with pauses.
fn write_slowly(mut to: impl Write, bytes: &[u8], rng: &mut TestRng) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = (1 + rng.in_range(1 + MAX_SENT / 4)).min(rest.len());
        to.write_all(&rest[..n]).unwrap();
        rest = &rest[n..];
        rng.random_pause();
    }
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn either_side_ends_first_and_nothing_is_lost() {
    let mut rng = TestRng::new();
    for round in 0..60 {
        let (stream, theirs) = pair(&mut rng);
        let (input, mut user) = io::pipe().unwrap();
        let (mut display, output) = io::pipe().unwrap();
        let (up, down) =
            [rng.in_range(MAX_SENT), rng.in_range(MAX_SENT)].map(|n| rng.bytes(n)).into();
        let is_server = rng.in_range(2) == 0;
        let [mut up_rng, mut down_rng] = [rng.split(), rng.split()];
        let (done, outcome) = channel();
        thread::spawn(move || {
            let shutdown = Shutdown::new(None).unwrap();
            done.send(run(
                stream,
                local(input, output),
                DuplexOptions { is_server, ..DuplexOptions::default() },
                &shutdown,
            ))
        });
        thread::scope(|scope| {
            scope.spawn(|| {
                write_slowly(&mut user, &up, &mut up_rng);
                drop(user);
            });
            scope.spawn(|| {
                write_slowly(&theirs, &down, &mut down_rng);
                theirs.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let seen = scope.spawn(|| read_all(&mut display));
            assert!(read_all(&theirs) == up, "round {round}: sent");
            let outcome = outcome.recv_timeout(DEADLINE).expect("the session ends");
            assert!(outcome.outcome.is_ok(), "round {round}: {outcome:?}");
            assert!(seen.join().unwrap() == down, "round {round}: received");
        });
    }
}

/// A session that sends 50,000 bytes to a Unix peer, which has half-closed and after a while does
/// `then`.
fn send_to_half_closed_unix_peer(then: fn(UnixStream) -> usize) -> (DuplexOutcome, usize) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let (input, mut user) = io::pipe().unwrap();
    let (_display, output) = io::pipe().unwrap();
    user.write_all(&[7; 50_000]).unwrap();
    drop(user);
    let peer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        then(theirs)
    });
    let shutdown = Shutdown::new(Some(Instant::now() + DEADLINE)).unwrap();
    let stream = Stream::from_socket(ours.into()).unwrap();
    let outcome = run(stream, local(input, output), DuplexOptions::default(), &shutdown);
    (outcome, peer.join().unwrap())
}

/// Both half-closes make a Unix socket look hung up, though its peer reads on.
#[test]
fn half_closed_unix_peer_that_reads_late_gets_everything() {
    let (outcome, read) = send_to_half_closed_unix_peer(|peer| read_all(peer).len());
    assert!(outcome.outcome.is_ok(), "{outcome:?}");
    assert_eq!(read, 50_000);
}

/// A Unix peer that closes without reading everything discards our bytes.
#[test]
fn unix_peer_that_closes_with_bytes_unread_exits_18() {
    let (outcome, _) = send_to_half_closed_unix_peer(|_| 0);
    assert_eq!(outcome.outcome.unwrap_err().code, ExitCode::Partial);
}

/// Reports the peer's end of stream.
struct PeerEnds(std::sync::mpsc::Sender<()>);
impl DuplexObserver for PeerEnds {
    fn on_peer_eof(&self) {
        self.0.send(()).unwrap();
    }
}

/// A session whose input stays open, once it has seen the peer's end of stream.
fn half_closed_by_peer(
    ours: Socket,
    theirs: &Socket,
    options: DuplexOptions,
) -> (io::PipeWriter, Ending) {
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let (input, user) = io::pipe().unwrap();
    let (done, outcome) = channel();
    let (seen, ends) = channel();
    thread::spawn(move || {
        let (_display, output) = io::pipe().unwrap();
        let shutdown = Shutdown::new(Some(Instant::now() + DEADLINE)).unwrap();
        let stream = Stream::from_socket(ours).unwrap();
        let (up, down) = Default::default();
        let (local, observer) = (local(input, output), &PeerEnds(seen));
        let duplex = Duplex { local, up, down, options, observer, shutdown: &shutdown };
        done.send(duplex.run(stream))
    });
    ends.recv_timeout(DEADLINE).expect("the peer's end is seen");
    (user, outcome)
}

type Ending = std::sync::mpsc::Receiver<DuplexOutcome>;

#[test]
fn peers_end_of_stream_turns_keepalive_probes_on() {
    let (ours, mut theirs) = tcp_pair();
    let socket = ours.try_clone().unwrap();
    assert!(!socket.keepalive().unwrap());
    let (mut user, outcome) = half_closed_by_peer(ours, &theirs, DuplexOptions::default());
    let deadline = Instant::now() + DEADLINE;
    // The number of probes is the last that is set.
    while socket.tcp_keepalive_retries().unwrap() != 4 {
        assert!(Instant::now() < deadline, "no probes");
        thread::yield_now();
    }
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));

    user.write_all(b"still read").unwrap();
    drop(user);
    let mut came = [0; 10];
    theirs.read_exact(&mut came).unwrap();
    assert_eq!(&came, b"still read");
    assert!(outcome.recv_timeout(DEADLINE).unwrap().outcome.is_ok());
}

/// As a keepalive probe finds it, or another process that has closed.
#[test]
fn lost_peer_ends_a_session_that_waits_for_input() {
    for (ours, theirs) in [tcp_pair(), unix_pair()] {
        let (_user, outcome) = half_closed_by_peer(ours, &theirs, DuplexOptions::default());
        theirs.set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        let outcome = outcome.recv_timeout(DEADLINE).expect("the session ends");
        assert!(outcome.outcome.is_ok() && outcome.by == EndedBy::Peer, "{outcome:?}");
    }
}

/// A session without input sends its own end of stream to a peer that is gone by then.
#[test]
fn refused_end_of_stream_ends_a_session_without_input() {
    for _ in 0..20 {
        let (ours, theirs) = tcp_pair();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let stream = Stream::from_socket(ours).unwrap();
        let resets = thread::spawn(move || {
            theirs.set_linger(Some(Duration::ZERO)).unwrap();
            drop(theirs);
        });
        let (unread, output) = io::pipe().unwrap();
        let local = LocalEnd { reader: Input::Null, ..local(unread, output) };
        let shutdown = Shutdown::new(Some(Instant::now() + DEADLINE)).unwrap();
        let outcome = run(stream, local, DuplexOptions::default(), &shutdown);
        assert!(outcome.by != EndedBy::Timeout, "{outcome:?}");
        resets.join().unwrap();
    }
}

#[test]
fn shutdown_or_reset_ends_session_at_any_moment() {
    let mut rng = TestRng::new();
    for round in 0..60 {
        let (stream, theirs) = pair(&mut rng);
        let (input, user) = io::pipe().unwrap();
        let (display, output) = io::pipe().unwrap();
        let shutdown = Shutdown::new(None).unwrap();
        let is_server = rng.in_range(2) == 0;
        let (done, outcome) = channel();
        let trigger = shutdown.clone();
        thread::spawn(move || {
            done.send(run(
                stream,
                local(input, output),
                DuplexOptions { is_server, ..DuplexOptions::default() },
                &shutdown,
            ))
        });
        // Both sides block, or soon will: nothing is read.
        theirs.set_nonblocking(true).unwrap();
        let some = rng.in_range(MAX_SENT);
        let _ = (&theirs).write(&rng.bytes(some));
        rng.random_pause();
        let shuts_down = rng.in_range(2) == 0;
        let began = Instant::now();
        if shuts_down {
            trigger.trigger(ShutdownReason::Terminate);
        } else {
            theirs.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(theirs);
        drop(display);
        let outcome = outcome.recv_timeout(DEADLINE).expect("the session ends");
        assert!(began.elapsed() < DEADLINE / 2, "round {round}: {outcome:?}");
        drop(user);
    }
}
