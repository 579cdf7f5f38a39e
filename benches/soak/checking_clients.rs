//! Clients that follow the protocol and check every byte of the answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::registry::{Outcome, Registry};
use crate::rng::Rng;

/// Timeout for any answer: the machine is loaded by many clients.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum number of bytes sent before the answer is read; the socket buffers hold that many.
const MAX_UNREAD: usize = 24 << 10;

/// Returns a function that formats an error of the operation `what`.
pub fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |e| format!("{what}: {e}")
}

/// Connects, with a timeout for connecting, reading and writing.
pub fn connect(to: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&to, TIMEOUT).map_err(failed("connect"))?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed("set a timeout"))?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(failed("set a timeout"))?;
    Ok(stream)
}

/// Reads exactly as many bytes as `want` has and compares them.
pub fn expect(stream: &mut impl Read, want: &[u8]) -> Outcome {
    let mut got = vec![0; want.len()];
    stream.read_exact(&mut got).map_err(failed("read"))?;
    same(&got, want)
}

/// Reads to the end of the stream and compares.
pub fn expect_all(stream: &mut impl Read, want: &[u8]) -> Outcome {
    let mut got = Vec::new();
    stream.read_to_end(&mut got).map_err(failed("read to the end"))?;
    same(&got, want)
}

/// Compares; an error names the first byte that differs.
pub fn same(got: &[u8], want: &[u8]) -> Outcome {
    if got == want {
        return Ok(());
    }
    let at = got.iter().zip(want).take_while(|(a, b)| a == b).count();
    Err(format!("{} bytes instead of {}, first difference at byte {at}", got.len(), want.len()))
}

/// Sends a few blocks and checks that each is echoed.
fn rounds(stream: &mut (impl Read + Write), rng: &mut Rng) -> Outcome {
    for _ in 0..=rng.below(5) {
        let size = 1 + rng.below(MAX_UNREAD);
        let block = rng.bytes(size);
        stream.write_all(&block).map_err(failed("write"))?;
        expect(stream, &block)?;
    }
    Ok(())
}

pub fn echo(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.echo(rng))?;
    rounds(&mut stream, rng)?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    expect_all(&mut stream, b"")
}

pub fn hello(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.at("hello"))?;
    expect(&mut stream, b"Welcome!")?;
    for _ in 0..rng.below(4) {
        let name = rng.word();
        stream.write_all(name.as_bytes()).map_err(failed("write"))?;
        expect(&mut stream, format!("Hello, {name}!").as_bytes())?;
    }
    stream.write_all(b"exit").map_err(failed("write"))?;
    expect_all(&mut stream, b"")
}

pub fn exec(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = connect(registry.at("exec"))?;
    rounds(&mut stream, rng)?;
    let rest = rng.bytes(MAX_UNREAD);
    stream.write_all(&rest).map_err(failed("write"))?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    expect_all(&mut stream, &rest)
}

pub fn file(registry: &Registry, _: &mut Rng) -> Outcome {
    expect_all(&mut connect(registry.at("file"))?, &registry.file)
}

pub fn unix_stream(registry: &Registry, rng: &mut Rng) -> Outcome {
    let mut stream = UnixStream::connect(registry.path("stream")).map_err(failed("connect"))?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed("set a timeout"))?;
    rounds(&mut stream, rng)?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    expect_all(&mut stream, b"")
}

pub fn unix_datagram(registry: &Registry, rng: &mut Rng) -> Outcome {
    let own = registry.path(&rng.word());
    let socket = UnixDatagram::bind(&own).map_err(failed("bind"))?;
    socket.set_read_timeout(Some(TIMEOUT)).map_err(failed("set a timeout"))?;
    socket.connect(registry.path("datagram")).map_err(failed("connect"))?;
    let size = rng.below(8000);
    let sent = rng.bytes(size);
    let mut got = vec![0; sent.len() + 1];
    let done = socket.send(&sent).and_then(|_| socket.recv(&mut got)).map_err(failed("exchange"));
    let _ = std::fs::remove_file(own);
    same(&got[..done?], &sent)
}

/// Returns a UDP socket connected to `to`.
pub fn bound(to: SocketAddr) -> Result<UdpSocket, String> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(failed("bind"))?;
    socket.set_read_timeout(Some(TIMEOUT)).map_err(failed("set a timeout"))?;
    socket.connect(to).map_err(failed("connect"))?;
    Ok(socket)
}

pub fn udp(registry: &Registry, rng: &mut Rng) -> Outcome {
    let socket = bound(registry.at("udp"))?;
    for _ in 0..=rng.below(4) {
        let size = rng.below(1400);
        datagram(&socket, &rng.bytes(size))?;
    }
    Ok(())
}

/// Sends one datagram and checks that it is echoed.
pub fn datagram(socket: &UdpSocket, sent: &[u8]) -> Outcome {
    let mut got = vec![0; sent.len() + 1];
    socket.send(sent).map_err(failed("send"))?;
    let n = socket.recv(&mut got).map_err(failed("receive"))?;
    same(&got[..n], sent)
}

/// One member sends a line; the other must receive it among the lines of all others.
pub fn chat(registry: &Registry, rng: &mut Rng) -> Outcome {
    let receiver = connect(registry.at("chat"))?;
    let mut sender = connect(registry.at("chat"))?;
    // The server drops a member that does not read.
    let mut unread = sender.try_clone().map_err(failed("clone"))?;
    thread::spawn(move || io::copy(&mut unread, &mut io::sink()));
    let done = wait_for_line(&mut sender, &mut BufReader::new(receiver), &rng.word());
    let _ = sender.shutdown(Shutdown::Both);
    done
}

/// Sends `word` repeatedly until the receiver, once it is a member, reads it.
fn wait_for_line(sender: &mut TcpStream, lines: &mut BufReader<TcpStream>, word: &str) -> Outcome {
    let deadline = Instant::now() + TIMEOUT;
    lines
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(200)))
        .map_err(failed("set a timeout"))?;
    let mut line = Vec::new();
    while Instant::now() < deadline {
        sender.write_all(format!("{word}\n").as_bytes()).map_err(failed("write"))?;
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if line.ends_with(format!(": {word}\n").as_bytes()) {
                return Ok(());
            }
            line.clear();
        }
    }
    Err("the other member did not receive the line".to_string())
}
