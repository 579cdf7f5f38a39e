//! Callers who behave, and look closely at what they get.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::registry::{Outcome, Town};
use crate::rng::Dice;

/// How long any answer may take: the machine is busy, and the callers are many.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The most that is sent before the answer is read; both kernels hold that much.
const PIECE: usize = 24 << 10;

/// A sentence about what did not work.
pub fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |e| format!("{what}: {e}")
}

/// A connection whose waits are limited.
pub fn connect(to: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).map_err(failed("connect"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed("a limit"))?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed("a limit"))?;
    Ok(stream)
}

/// Reads as many bytes as `want` has, and compares.
pub fn expect(stream: &mut impl Read, want: &[u8]) -> Outcome {
    let mut got = vec![0; want.len()];
    stream.read_exact(&mut got).map_err(failed("read"))?;
    same(&got, want)
}

/// Reads to the end, and compares.
pub fn expect_all(stream: &mut impl Read, want: &[u8]) -> Outcome {
    let mut got = Vec::new();
    stream.read_to_end(&mut got).map_err(failed("read to the end"))?;
    same(&got, want)
}

/// Whether what came is what was to come.
pub fn same(got: &[u8], want: &[u8]) -> Outcome {
    if got == want {
        return Ok(());
    }
    let at = got.iter().zip(want).take_while(|(a, b)| a == b).count();
    Err(format!("{} bytes instead of {}, other from byte {at} on", got.len(), want.len()))
}

/// A few pieces there and back.
fn rounds(stream: &mut (impl Read + Write), dice: &mut Dice) -> Outcome {
    for _ in 0..=dice.below(5) {
        let size = 1 + dice.below(PIECE);
        let piece = dice.bytes(size);
        stream.write_all(&piece).map_err(failed("write"))?;
        expect(stream, &piece)?;
    }
    Ok(())
}

pub fn echo(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at("echo"))?;
    rounds(&mut stream, dice)?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    expect_all(&mut stream, b"")
}

pub fn hello(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at("hello"))?;
    expect(&mut stream, b"Welcome!")?;
    for _ in 0..dice.below(4) {
        let name = dice.word();
        stream.write_all(name.as_bytes()).map_err(failed("write"))?;
        expect(&mut stream, format!("Hello, {name}!").as_bytes())?;
    }
    stream.write_all(b"exit").map_err(failed("write"))?;
    expect_all(&mut stream, b"")
}

pub fn exec(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at("exec"))?;
    rounds(&mut stream, dice)?;
    let rest = dice.bytes(PIECE);
    stream.write_all(&rest).map_err(failed("write"))?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    expect_all(&mut stream, &rest)
}

pub fn file(town: &Town, _: &mut Dice) -> Outcome {
    expect_all(&mut connect(town.at("file"))?, &town.file)
}

pub fn unix_stream(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = UnixStream::connect(town.path("stream")).map_err(failed("connect"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed("a limit"))?;
    rounds(&mut stream, dice)?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    expect_all(&mut stream, b"")
}

pub fn unix_datagram(town: &Town, dice: &mut Dice) -> Outcome {
    let own = town.path(&dice.word());
    let socket = UnixDatagram::bind(&own).map_err(failed("bind"))?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed("a limit"))?;
    socket.connect(town.path("datagram")).map_err(failed("connect"))?;
    let size = dice.below(8000);
    let sent = dice.bytes(size);
    let mut got = vec![0; sent.len() + 1];
    let done = socket.send(&sent).and_then(|_| socket.recv(&mut got)).map_err(failed("talk"));
    let _ = std::fs::remove_file(own);
    same(&got[..done?], &sent)
}

/// A UDP socket of our own that talks to `to`.
pub fn bound(to: SocketAddr) -> Result<UdpSocket, String> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(failed("bind"))?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed("a limit"))?;
    socket.connect(to).map_err(failed("connect"))?;
    Ok(socket)
}

pub fn udp(town: &Town, dice: &mut Dice) -> Outcome {
    let socket = bound(town.at("udp"))?;
    for _ in 0..=dice.below(4) {
        let size = dice.below(1400);
        datagram(&socket, &dice.bytes(size))?;
    }
    Ok(())
}

/// One datagram there and back.
pub fn datagram(socket: &UdpSocket, sent: &[u8]) -> Outcome {
    let mut got = vec![0; sent.len() + 1];
    socket.send(sent).map_err(failed("send"))?;
    let n = socket.recv(&mut got).map_err(failed("receive"))?;
    same(&got[..n], sent)
}

/// One says something, the other hears it among whatever else is said.
pub fn chat(town: &Town, dice: &mut Dice) -> Outcome {
    let listener = connect(town.at("chat"))?;
    let mut speaker = connect(town.at("chat"))?;
    // Who does not read what the others say, however much it is, loses the place.
    let mut ear = speaker.try_clone().map_err(failed("a copy"))?;
    thread::spawn(move || io::copy(&mut ear, &mut io::sink()));
    let done = is_heard(&mut speaker, &mut BufReader::new(listener), &dice.word());
    let _ = speaker.shutdown(Shutdown::Both);
    done
}

/// Says `word`, again until the other is in the room and hears it.
fn is_heard(speaker: &mut TcpStream, lines: &mut BufReader<TcpStream>, word: &str) -> Outcome {
    let until = Instant::now() + PATIENCE;
    lines
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(200)))
        .map_err(failed("a limit"))?;
    let mut line = Vec::new();
    while Instant::now() < until {
        speaker.write_all(format!("{word}\n").as_bytes()).map_err(failed("write"))?;
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if line.ends_with(format!(": {word}\n").as_bytes()) {
                return Ok(());
            }
            line.clear();
        }
    }
    Err("the other does not hear it".to_string())
}
