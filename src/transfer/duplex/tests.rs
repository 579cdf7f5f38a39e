//! Conversations in which everything may happen at any moment: who ends first, what is said after
//! the other's end, when the cord is pulled. Nothing is lost, and each comes to its end.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::*;
use crate::net::stdio::FdStream;
use crate::shutdown::ShutdownReason;
use crate::test_rng::TestRng;

const PATIENCE: Duration = Duration::from_secs(20);
/// The most that one side says.
const MOST: usize = 200_000;

struct Quiet;
impl DuplexObserver for Quiet {}

/// A stream of ours and its other end, over TCP or a Unix socket.
fn pair(chance: &mut TestRng) -> (Stream, Socket) {
    let (ours, theirs): (Socket, Socket) = match chance.in_range(2) {
        0 => {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (ours.into(), theirs.into())
        }
        _ => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (ours.into(), listener.accept().unwrap().0.into())
        }
    };
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    theirs.set_write_timeout(Some(PATIENCE)).unwrap();
    (Stream::from_socket(ours).unwrap(), theirs)
}

fn local(reader: impl Into<OwnedFd>, writer: impl Into<OwnedFd>) -> LocalEnd {
    LocalEnd {
        reader: Input::Reader(Box::new(FdStream(reader.into()))),
        writer: Box::new(FdStream(writer.into())),
        input: (Phase::File, "in".to_string()),
        output: (Phase::File, "out".to_string()),
        endless: false,
    }
}

fn options(shared_input: bool) -> DuplexOptions {
    let on_end = OnLocalEof::HalfClose;
    let (delay, exit_on_eof, finishes) = (Duration::ZERO, false, false);
    DuplexOptions { on_end, idle: None, linger: None, delay, shared_input, exit_on_eof, finishes }
}

fn run(
    stream: Stream,
    local: LocalEnd,
    options: DuplexOptions,
    observer: &dyn DuplexObserver,
    stop: &Shutdown,
) -> DuplexOutcome {
    let (up, down) = Default::default();
    Duplex { local, up, down, options }.run(stream, observer, stop)
}

/// Says all of it in pieces, with pauses.
fn say(mut to: impl Write, bytes: &[u8], chance: &mut TestRng) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = (1 + chance.in_range(1 + MOST / 4)).min(rest.len());
        to.write_all(&rest[..n]).unwrap();
        rest = &rest[n..];
        chance.random_pause();
    }
}

fn hear(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn nothing_is_lost_whoever_ends_first() {
    let mut chance = TestRng::new();
    for round in 0..60 {
        let (stream, theirs) = pair(&mut chance);
        let (input, mut user) = io::pipe().unwrap();
        let (mut screen, output) = io::pipe().unwrap();
        let (up, down) =
            [chance.in_range(MOST), chance.in_range(MOST)].map(|n| chance.bytes(n)).into();
        let shared = chance.in_range(2) == 0;
        let [mut typing, mut talking] = [chance.split(), chance.split()];
        let (done, over) = channel();
        thread::spawn(move || {
            let stop = Shutdown::new(None).unwrap();
            done.send(run(stream, local(input, output), options(shared), &Quiet, &stop))
        });
        thread::scope(|scope| {
            scope.spawn(|| {
                say(&mut user, &up, &mut typing);
                drop(user);
            });
            scope.spawn(|| {
                say(&theirs, &down, &mut talking);
                theirs.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let seen = scope.spawn(|| hear(&mut screen));
            assert!(hear(&theirs) == up, "round {round}: our words");
            let over = over.recv_timeout(PATIENCE).expect("it comes to its end");
            assert!(over.outcome.is_ok(), "round {round}: {over:?}");
            assert!(seen.join().unwrap() == down, "round {round}: the peer's words");
        });
    }
}

/// Both half-closes make a Unix socket look hung up, though its peer reads on.
#[test]
fn a_unix_peer_that_has_said_all_may_take_its_time_to_read() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let (input, mut user) = io::pipe().unwrap();
    let (_screen, output) = io::pipe().unwrap();
    user.write_all(&[7; 50_000]).unwrap();
    drop(user);
    let reading = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        hear(&mut theirs)
    });
    let stop = Shutdown::new(Some(Instant::now() + PATIENCE)).unwrap();
    let stream = Stream::from_socket(ours.into()).unwrap();
    let over = run(stream, local(input, output), options(false), &Quiet, &stop);
    assert!(over.outcome.is_ok(), "{over:?}");
    assert_eq!(reading.join().unwrap().len(), 50_000);
}

/// A Unix peer that leaves without having read everything takes our bytes with it: 18.
#[test]
fn a_unix_peer_that_leaves_with_bytes_unread_is_told() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let (input, mut user) = io::pipe().unwrap();
    let (_screen, output) = io::pipe().unwrap();
    user.write_all(&[7; 50_000]).unwrap();
    drop(user);
    let leaving = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        drop(theirs);
    });
    let stop = Shutdown::new(Some(Instant::now() + PATIENCE)).unwrap();
    let stream = Stream::from_socket(ours.into()).unwrap();
    let over = run(stream, local(input, output), options(false), &Quiet, &stop);
    assert_eq!(over.outcome.unwrap_err().code, ExitCode::Partial);
    leaving.join().unwrap();
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
) -> (io::PipeWriter, Ended) {
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let (input, user) = io::pipe().unwrap();
    let (done, over) = channel();
    let (seen, ends) = channel();
    thread::spawn(move || {
        let (_screen, output) = io::pipe().unwrap();
        let stop = Shutdown::new(Some(Instant::now() + PATIENCE)).unwrap();
        let stream = Stream::from_socket(ours).unwrap();
        done.send(run(stream, local(input, output), options, &PeerEnds(seen), &stop))
    });
    ends.recv_timeout(PATIENCE).expect("the peer's end is seen");
    (user, over)
}

type Ended = std::sync::mpsc::Receiver<DuplexOutcome>;

fn tcp_pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours.into(), listener.accept().unwrap().0.into())
}

#[test]
fn peers_end_of_stream_turns_keepalive_probes_on() {
    let (ours, mut theirs) = tcp_pair();
    let socket = ours.try_clone().unwrap();
    assert!(!socket.keepalive().unwrap());
    let (mut user, over) = half_closed_by_peer(ours, &theirs, options(false));
    let deadline = Instant::now() + PATIENCE;
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
    assert!(over.recv_timeout(PATIENCE).unwrap().outcome.is_ok());
}

/// As a keepalive probe finds it, or another process that has closed.
#[test]
fn lost_peer_ends_a_session_that_waits_for_input() {
    let unix = || UnixStream::pair().map(|(ours, theirs)| (ours.into(), theirs.into())).unwrap();
    for (ours, theirs) in [tcp_pair(), unix()] {
        let (_user, over) = half_closed_by_peer(ours, &theirs, options(false));
        theirs.set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        let over = over.recv_timeout(PATIENCE).expect("it comes to its end");
        assert!(over.outcome.is_ok() && over.by == EndedBy::Peer, "{over:?}");
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
        let stop = Shutdown::new(Some(Instant::now() + PATIENCE)).unwrap();
        let over = run(stream, local, options(false), &Quiet, &stop);
        assert!(over.by != EndedBy::Timeout, "{over:?}");
        resets.join().unwrap();
    }
}

#[test]
fn exit_on_eof_ends_a_session_that_waits_for_input() {
    let (ours, theirs) = tcp_pair();
    let options = DuplexOptions { exit_on_eof: true, ..options(false) };
    let (_user, over) = half_closed_by_peer(ours, &theirs, options);
    let over = over.recv_timeout(PATIENCE).expect("it comes to its end");
    assert!(over.outcome.is_ok() && over.by == EndedBy::Peer, "{over:?}");
}

#[test]
fn a_pulled_cord_or_a_reset_ends_it_whenever_it_comes() {
    let mut chance = TestRng::new();
    for round in 0..60 {
        let (stream, theirs) = pair(&mut chance);
        let (input, user) = io::pipe().unwrap();
        let (screen, output) = io::pipe().unwrap();
        let stop = Shutdown::new(None).unwrap();
        let shared = chance.in_range(2) == 0;
        let (done, over) = channel();
        let cord = stop.clone();
        thread::spawn(move || {
            done.send(run(stream, local(input, output), options(shared), &Quiet, &stop))
        });
        // Both sides are stuck, or soon will be: nobody reads.
        theirs.set_nonblocking(true).unwrap();
        let some = chance.in_range(MOST);
        let _ = (&theirs).write(&chance.bytes(some));
        chance.random_pause();
        let pulls = chance.in_range(2) == 0;
        let began = Instant::now();
        match pulls {
            true => cord.trigger(ShutdownReason::Terminate),
            false => theirs.set_linger(Some(Duration::ZERO)).unwrap(),
        }
        drop(theirs);
        drop(screen);
        let over = over.recv_timeout(PATIENCE).expect("it comes to its end");
        assert!(began.elapsed() < PATIENCE / 2, "round {round}: {over:?}");
        drop(user);
    }
}
