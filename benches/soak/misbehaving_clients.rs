//! Callers who do not behave, each in a way that servers have died of. What they still get is
//! checked; what they do not deserve they may go without.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::checking_clients::{bound, connect, datagram, expect, expect_all, failed};
use crate::registry::{Outcome, Town};
use crate::rng::Dice;

const STREAMS: [&str; 6] = ["echo", "hello", "tls", "exec", "file", "chat"];
/// How long someone who never reads keeps a server waiting, and the most it sends meanwhile.
const DEAF: Duration = Duration::from_millis(700);
const MOST: usize = 16 << 20;
/// A server's limit for a handshake, and some.
const HANDSHAKE: Duration = Duration::from_secs(14);

/// Anywhere, some bytes, and a reset.
pub fn resets(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at(dice.pick(&STREAMS)))?;
    let size = dice.below(3000);
    let _ = stream.write_all(&dice.bytes(size));
    if dice.below(2) == 0 {
        let _ = stream.read(&mut [0; 100]);
    }
    reset(stream)
}

fn reset(stream: TcpStream) -> Outcome {
    socket2::Socket::from(stream).set_linger(Some(Duration::ZERO)).map_err(failed("linger"))
}

/// Sends as long as the other side takes it and reads nothing of all that comes back; then leaves
/// in one way or the other.
pub fn never_reads(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at(dice.pick(&STREAMS)))?;
    stream.set_nonblocking(true).map_err(failed("a mode"))?;
    let piece = b"a line that nobody will read the answer of\n".repeat(500);
    let (until, mut sent) = (Instant::now() + DEAF, 0);
    while Instant::now() < until && sent < MOST {
        match stream.write(&piece) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(DEAF / 50),
            // A chat, say, has had enough of it.
            Err(_) => return Ok(()),
        }
    }
    match dice.below(2) {
        0 => reset(stream),
        _ => Ok(()),
    }
}

/// Comes, and goes without a word.
pub fn says_nothing(town: &Town, dice: &mut Dice) -> Outcome {
    let stream = connect(town.at(dice.pick(&STREAMS)))?;
    thread::sleep(Duration::from_millis(dice.below(300) as u64));
    drop(stream);
    Ok(())
}

/// Says all and half-closes before it reads anything: the whole answer is still owed.
pub fn half_closes(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at(dice.pick(&["echo", "exec"])))?;
    let size = dice.below(64 << 10);
    let said = dice.bytes(size);
    stream.write_all(&said).map_err(failed("write"))?;
    stream.shutdown(Shutdown::Write).map_err(failed("half-close"))?;
    thread::sleep(Duration::from_millis(dice.below(500) as u64));
    expect_all(&mut stream, &said)
}

/// A byte now and then.
pub fn drips(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at("echo"))?;
    for byte in dice.bytes(15) {
        stream.write_all(&[byte]).map_err(failed("write"))?;
        thread::sleep(Duration::from_millis(dice.below(40) as u64));
        expect(&mut stream, &[byte])?;
    }
    Ok(())
}

/// Anything but a handshake, now and then with the right beginning: the server hangs up in time.
pub fn garbage(town: &Town, dice: &mut Dice) -> Outcome {
    let mut stream = connect(town.at("tls"))?;
    let size = 1 + dice.below(4000);
    let mut noise = dice.bytes(size);
    if dice.below(2) == 0 {
        let begin = [0x16, 3, 1, dice.below(8) as u8, 0, 1];
        let n = begin.len().min(noise.len());
        noise[..n].copy_from_slice(&begin[..n]);
    }
    let _ = stream.write_all(&noise);
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(HANDSHAKE)).map_err(failed("a limit"))?;
    loop {
        match stream.read(&mut [0; 1000]) {
            Ok(0) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Err("it never ends".into()),
            Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// Many at once; each is greeted.
pub fn crowd(town: &Town, dice: &mut Dice) -> Outcome {
    let size = 10 + dice.below(30);
    let callers: Result<Vec<_>, _> = (0..size).map(|_| connect(town.at("hello"))).collect();
    callers?.iter_mut().try_for_each(|caller| expect(caller, b"Welcome!"))
}

/// Empty ones and the largest there are, and some whose answers find nobody at home.
pub fn odd_datagrams(town: &Town, dice: &mut Dice) -> Outcome {
    let socket = bound(town.at("udp"))?;
    datagram(&socket, b"")?;
    datagram(&socket, &dice.bytes(65_507))?;
    for _ in 0..5 {
        socket.send(b"not at home").map_err(failed("send"))?;
    }
    Ok(())
}

/// As forged ones would seem to come, from a service that answers everything: no answer.
pub fn from_port_seven(town: &Town, dice: &mut Dice) -> Outcome {
    // Only root may, and only one at a time.
    let port = dice.pick(&[7, 13, 19]);
    let Ok(socket) = UdpSocket::bind(("127.0.0.1", port)) else { return Ok(()) };
    socket.send_to(b"answer me", town.at("udp")).map_err(failed("send"))?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(failed("a limit"))?;
    match socket.recv(&mut [0; 100]) {
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
        answered => Err(format!("port {port} was answered: {answered:?}")),
    }
}
