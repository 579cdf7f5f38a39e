//! The rows of the table of states, on socket pairs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown as How, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use super::*;
use crate::error::ExitCode;
use crate::net::stream::EndedBy;
use crate::test_run::TestRun;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A session that runs, with the sockets of its peers.
struct Relayed<C, T> {
    client: C,
    target: T,
    session: JoinHandle<Result<EndedBy, Failure>>,
    run: TestRun,
}

/// A TCP connection: the peer's socket, and the relay's end.
fn tcp() -> (TcpStream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(TIMEOUT)).unwrap();
    peer.set_write_timeout(Some(TIMEOUT)).unwrap();
    (peer, Stream::from_socket(listener.accept().unwrap().0.into()).unwrap())
}

fn unix() -> (UnixStream, Stream) {
    let (peer, relay) = UnixStream::pair().unwrap();
    peer.set_read_timeout(Some(TIMEOUT)).unwrap();
    (peer, Stream::from_socket(std::os::fd::OwnedFd::from(relay).into()).unwrap())
}

fn relay<C, T>(client: (C, Stream), target: (T, Stream)) -> Relayed<C, T> {
    relay_with(client, target, None)
}

fn relay_with<C, T>(
    client: (C, Stream),
    target: (T, Stream),
    idle_timeout: Option<Duration>,
) -> Relayed<C, T> {
    let run = TestRun::new();
    let log = ConnectionLog {
        conn: 1,
        client: "client".into(),
        target: "target".into(),
        context: run.context.clone(),
        recorded: None,
    };
    let faults = ConnectionFaults::default();
    let options = RelaySessionOptions { idle_timeout, log, faults };
    let RelaySession { state, to_target, to_client } =
        RelaySession::new(client.1, target.1, options).unwrap();
    let session = thread::spawn(move || {
        let other = thread::spawn(move || to_client.run());
        to_target.run();
        other.join().unwrap();
        state.outcome()
    });
    Relayed { client: client.0, target: target.0, session, run }
}

fn tcp_to_tcp() -> Relayed<TcpStream, TcpStream> {
    relay(tcp(), tcp())
}

fn reset(socket: TcpStream) {
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
}

fn read_to_end(mut socket: impl Read) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).map(|_| bytes).map_err(|e| e.kind())
}

/// Writes until the socket and everything behind it is full.
fn fill(socket: &TcpStream) {
    socket.set_nonblocking(true).unwrap();
    let mut pauses = 0;
    while pauses < 20 {
        if (&*socket).write(&[7; 65536]).is_ok_and(|n| n > 0) {
            pauses = 0;
        } else {
            pauses += 1;
            thread::sleep(Duration::from_millis(10));
        }
    }
    socket.set_nonblocking(false).unwrap();
}

#[test]
fn end_of_stream_is_a_half_close_and_the_other_direction_continues() {
    let Relayed { mut client, mut target, session, run } = tcp_to_tcp();
    client.write_all(b"question").unwrap();
    client.shutdown(How::Write).unwrap();
    assert_eq!(read_to_end(&target), Ok(b"question".to_vec()));
    target.write_all(b"answer").unwrap();
    drop(target);
    assert_eq!(read_to_end(&client), Ok(b"answer".to_vec()));
    assert_eq!(session.join().unwrap().unwrap(), EndedBy::Client);
    assert_eq!(run.events().matches("half_closed").count(), 2);
}

#[test]
fn reset_of_a_source_that_is_read_resets_the_destination_after_its_bytes() {
    let Relayed { mut client, target, session, .. } = tcp_to_tcp();
    client.write_all(b"half").unwrap();
    reset(client);
    let mut half = [0; 4];
    (&target).read_exact(&mut half).unwrap();
    assert_eq!(read_to_end(&target), Err(ErrorKind::ConnectionReset));
    assert_eq!(session.join().unwrap().unwrap_err().code, ExitCode::Partial);
}

#[test]
fn reset_of_a_source_while_its_destination_is_full_resets_the_destination() {
    let Relayed { client, target, session, .. } = tcp_to_tcp();
    fill(&client);
    reset(client);
    assert!(session.join().unwrap().is_err());
    assert_eq!(read_to_end(&target), Err(ErrorKind::ConnectionReset));
}

#[test]
fn reset_of_a_destination_resets_the_source_after_what_it_had_sent() {
    let Relayed { client, mut target, session, .. } = tcp_to_tcp();
    target.write_all(b"413").unwrap();
    let sender = client.try_clone().unwrap();
    let sending = thread::spawn(move || while (&sender).write_all(&[7; 65536]).is_ok() {});
    target.read_exact(&mut [0; 100_000]).unwrap();
    reset(target);
    sending.join().unwrap();
    assert!(session.join().unwrap().is_err());
    let mut answer = [0; 3];
    assert_eq!((&client).read(&mut answer).unwrap(), 3);
}

#[test]
fn reset_of_a_source_after_its_end_of_stream_resets_the_destination() {
    let Relayed { client, target, session, .. } = tcp_to_tcp();
    client.shutdown(How::Write).unwrap();
    assert_eq!(read_to_end(&target), Ok(Vec::new()));
    reset(client);
    assert!(session.join().unwrap().is_err());
    let closed = (&target).write_all(b"x").and_then(|()| (&target).write_all(b"x"));
    assert!(closed.is_err());
}

#[test]
fn idle_session_is_reset_on_both_sides() {
    let idle = Some(Duration::from_millis(50));
    let Relayed { client, target, session, .. } = relay_with(tcp(), tcp(), idle);
    assert_eq!(session.join().unwrap().unwrap_err().code, ExitCode::Timeout);
    assert_eq!(read_to_end(&client), Err(ErrorKind::ConnectionReset));
    assert_eq!(read_to_end(&target), Err(ErrorKind::ConnectionReset));
}

#[test]
fn close_of_a_unix_peer_with_unread_data_is_a_reset() {
    let Relayed { mut client, target, session, .. } = relay(tcp(), unix());
    client.write_all(b"unread").unwrap();
    let mut first = [0; 1];
    (&target).read_exact(&mut first).unwrap();
    drop(target);
    assert_eq!(read_to_end(&client), Err(ErrorKind::ConnectionReset));
    assert!(session.join().unwrap().is_err());
}

#[test]
fn unix_sockets_pass_half_closes_in_both_directions() {
    let Relayed { mut client, mut target, session, .. } = relay(unix(), unix());
    target.write_all(b"greeting").unwrap();
    target.shutdown(How::Write).unwrap();
    assert_eq!(read_to_end(&client), Ok(b"greeting".to_vec()));
    // More than the buffers on the way hold.
    let sender = thread::spawn(move || client.write_all(&[7; 500_000]).unwrap());
    assert_eq!(read_to_end(&target).map(|bytes| bytes.len()), Ok(500_000));
    sender.join().unwrap();
    assert_eq!(session.join().unwrap().unwrap(), EndedBy::Target);
}
