//! Clients that break the protocol, each in a way that has crashed or blocked servers. Answers
//! that the server still has to send are checked.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::checking_clients::{bound, connect, datagram, expect, expect_all, failed};
use crate::registry::{Outcome, Registry};
use crate::rng::Rng;

const STREAMS: [&str; 6] = ["echo", "hello", "tls", "exec", "file", "chat"];
/// How long a client that never reads keeps sending, and how many bytes at most.
const NO_READ_TIME: Duration = Duration::from_millis(700);
const NO_READ_BYTES: usize = 16 << 20;
/// Longer than a server's handshake timeout (10 s).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(14);

/// Sends some bytes to any server, then resets the connection.
pub fn resets(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.at(rng.pick(&STREAMS)))?;
    let size = rng.below(3000);
    let _ = stream.write_all(&rng.bytes(size));
    if rng.below(2) == 0 {
        let _ = stream.read(&mut [0; 100]);
    }
    reset(stream)
}

fn reset(stream: TcpStream) -> Outcome {
    socket2::Socket::from(stream).set_linger(Some(Duration::ZERO)).map_err(failed("linger"))
}

/// Sends for as long as the server reads, and reads nothing; then closes or resets.
pub fn never_reads(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.at(rng.pick(&STREAMS)))?;
    stream.set_nonblocking(true).map_err(failed("set non-blocking"))?;
    let block = b"a line whose answer is never read\n".repeat(500);
    let (deadline, mut sent) = (Instant::now() + NO_READ_TIME, 0);
    while Instant::now() < deadline && sent < NO_READ_BYTES {
        match stream.write(&block) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(NO_READ_TIME / 50),
            // A chat server drops a member that does not read.
            Err(_) => return Ok(()),
        }
    }
    match rng.below(2) {
        0 => reset(stream),
        _ => Ok(()),
    }
}

/// Connects and closes without sending.
pub fn sends_nothing(registry: &Registry, rng: &mut Rng) -> Outcome {
    let stream = connect(registry.at(rng.pick(&STREAMS)))?;
    thread::sleep(Duration::from_millis(rng.below(300) as u64));
    drop(stream);
    Ok(())
}

/// Sends everything and half-closes before reading: the complete answer must still arrive.
pub fn half_closes(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.at(rng.pick(&["echo", "exec"])))?;
    let size = rng.below(64 << 10);
    let data = rng.bytes(size);
    stream.write_all(&data).map_err(failed("write"))?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    thread::sleep(Duration::from_millis(rng.below(500) as u64));
    expect_all(&mut stream, &data)
}

/// Sends one byte at a time, with pauses.
pub fn sends_slowly(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.echo(rng))?;
    for byte in rng.bytes(15) {
        stream.write_all(&[byte]).map_err(failed("write"))?;
        thread::sleep(Duration::from_millis(rng.below(40) as u64));
        expect(&mut stream, &[byte])?;
    }
    Ok(())
}

/// Sends random bytes, in half of the runs after a valid record header, instead of a handshake:
/// the server must close in time.
pub fn sends_no_handshake(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.at("tls"))?;
    let size = 1 + rng.below(4000);
    let mut noise = rng.bytes(size);
    if rng.below(2) == 0 {
        let begin = [0x16, 3, 1, rng.below(8) as u8, 0, 1];
        let n = begin.len().min(noise.len());
        noise[..n].copy_from_slice(&begin[..n]);
    }
    let _ = stream.write_all(&noise);
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(failed("set a timeout"))?;
    loop {
        match stream.read(&mut [0; 1000]) {
            Ok(0) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                return Err("the server did not close".into());
            }
            Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// Opens many connections concurrently; each must receive the greeting.
pub fn connects_many(registry: &Registry, rng: &mut Rng) -> Outcome {
    let size = 10 + rng.below(30);
    let clients: Result<Vec<_>, _> = (0..size).map(|_| connect(registry.at("hello"))).collect();
    clients?.iter_mut().try_for_each(|client| expect(client, b"Welcome!"))
}

/// Sends an empty datagram, one of the maximum size, and some whose answers reach a closed port.
pub fn odd_datagrams(registry: &Registry, rng: &mut Rng) -> Outcome {
    let socket = bound(registry.at("udp"))?;
    datagram(&socket, b"")?;
    datagram(&socket, &rng.bytes(65_507))?;
    for _ in 0..5 {
        socket.send(b"no reader").map_err(failed("send"))?;
    }
    Ok(())
}

/// Sends from the port of a service that answers everything, as a spoofed datagram would: the
/// server must not answer.
pub fn sends_from_echo_port(registry: &Registry, rng: &mut Rng) -> Outcome {
    // Needs root, and only one client can bind the port.
    let port = rng.pick(&[7, 13, 19]);
    let Ok(socket) = UdpSocket::bind(("127.0.0.1", port)) else { return Ok(()) };
    socket.send_to(b"answer me", registry.at("udp")).map_err(failed("send"))?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(failed("set a timeout"))?;
    match socket.recv(&mut [0; 100]) {
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
        answered => Err(format!("port {port} was answered: {answered:?}")),
    }
}
