//! The other end of each contender: sources, sinks and callers, with a limit on every wait.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::tools::Tool;

/// The longest any one figure may take.
const LIMIT: Duration = Duration::from_secs(20);
const PIECE: usize = 256 << 10;

/// A contender's process, ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes and an order-sensitive hash of what passed, however it was cut into pieces.
#[derive(Default, PartialEq, Eq)]
struct Sum {
    bytes: u64,
    hash: u64,
    /// The beginning of a word that the next piece completes.
    word: [u8; 8],
}

impl Sum {
    fn add(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && !self.bytes.is_multiple_of(8) {
            self.push(piece[0]);
            piece = &piece[1..];
        }
        let (words, rest) = piece.as_chunks::<8>();
        for word in words {
            self.mix(*word);
        }
        self.bytes += words.len() as u64 * 8;
        rest.iter().for_each(|byte| self.push(*byte));
    }

    fn push(&mut self, byte: u8) {
        self.word[(self.bytes % 8) as usize] = byte;
        self.bytes += 1;
        if self.bytes.is_multiple_of(8) {
            let whole = std::mem::take(&mut self.word);
            self.mix(whole);
        }
    }

    fn mix(&mut self, word: [u8; 8]) {
        self.hash = self.hash.rotate_left(5) ^ u64::from_le_bytes(word);
        self.hash = self.hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Bytes after which the stream begins again: a prime, so that no piece, page or pipe fits it.
const PERIOD: usize = 1_048_583;

/// One period of the stream and the beginning of the next: making it must not be what is measured.
fn period() -> &'static [u8] {
    static PERIODS: OnceLock<Vec<u8>> = OnceLock::new();
    PERIODS.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        let mut once: Vec<u8> = (0..PERIOD).map(|_| byte()).collect();
        once.extend_from_within(..PIECE);
        once
    })
}

/// A pseudo-random stream of `length` bytes, in pieces.
fn stream(length: u64) -> impl Iterator<Item = &'static [u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let size = (length - at).min(PIECE as u64) as usize;
        let start = (at % PERIOD as u64) as usize;
        at += size as u64;
        (size > 0).then(|| &period()[start..start + size])
    })
}

/// A file of `length` pseudo-random bytes.
pub fn file(length: u64) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    stream(length).for_each(|piece| file.write_all(piece).expect("room for the file"));
    file
}

fn start(tool: &Tool, port: u16, stdin: Stdio, stdout: Stdio) -> Option<Process> {
    let words = tool.words(port);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(stdin).stdout(stdout).stderr(Stdio::null());
    command.spawn().ok().map(Process)
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its number").port()
}

/// Connects as soon as somebody listens.
fn call(port: u16) -> Option<TcpStream> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT)).ok()?;
                stream.set_write_timeout(Some(LIMIT)).ok()?;
                return Some(stream);
            }
            Err(_) if Instant::now() < until => std::thread::yield_now(),
            Err(_) => return None,
        }
    }
}

fn take_all(mut from: impl Read) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut buffer = vec![0; PIECE];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Some(sum),
            Ok(n) => sum.add(&buffer[..n]),
            Err(_) => return None,
        }
    }
}

fn rate(sum: &Sum, began: Instant) -> f64 {
    sum.bytes as f64 / (1 << 20) as f64 / began.elapsed().as_secs_f64()
}

/// stdin, a file → client → us.
pub fn send(tool: &Tool, data: &tempfile::NamedTempFile) -> Option<f64> {
    let wanted = take_all(data.reopen().ok()?)?;
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let _client = start(tool, port, data.reopen().ok()?.into(), Stdio::null())?;
    let (stream, _) = listener.accept().ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let sum = take_all(&stream)?;
    (sum == wanted).then(|| rate(&sum, began))
}

/// As [`send`], to a sink behind TLS.
#[cfg(feature = "tls")]
pub fn send_secure(
    tool: &Tool,
    data: &tempfile::NamedTempFile,
    sink: &crate::secure::Sink,
) -> Option<f64> {
    let wanted = take_all(data.reopen().ok()?)?;
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let _client = start(tool, port, data.reopen().ok()?.into(), Stdio::null())?;
    let (caller, _) = listener.accept().ok()?;
    caller.set_read_timeout(Some(LIMIT)).ok()?;
    let sum = take_all(sink.over(caller)?)?;
    (sum == wanted).then(|| rate(&sum, began))
}

/// Answers one caller of HTTP with `length` bytes, and tells what they were.
fn answer(listener: &TcpListener, length: u64) -> Option<Sum> {
    let (mut caller, _) = listener.accept().ok()?;
    caller.set_read_timeout(Some(LIMIT)).ok()?;
    caller.set_write_timeout(Some(LIMIT)).ok()?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut piece = [0; 4096];
        let read = caller.read(&mut piece).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&piece[..read]);
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    caller.write_all(head.as_bytes()).ok()?;
    let mut sent = Sum::default();
    for piece in stream(length) {
        caller.write_all(piece).ok()?;
        sent.add(piece);
    }
    Some(sent)
}

/// One GET, its body into a pipe.
pub fn get(tool: &Tool, length: u64) -> Option<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let mut client = start(tool, port, Stdio::null(), Stdio::piped())?;
    let source = std::thread::spawn(move || answer(&listener, length));
    let sum = take_all(client.0.stdout.take()?)?;
    (Some(&sum) == source.join().ok()?.as_ref()).then(|| rate(&sum, began))
}

/// GETs of 1 KiB, a process each, from start to end.
pub fn small_gets(tool: &Tool, spell: Duration) -> Option<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    count_for(spell, || {
        let mut client = start(tool, port, Stdio::null(), Stdio::piped())?;
        let sent = answer(&listener, 1024)?;
        let came = take_all(client.0.stdout.take()?)?;
        (client.0.wait().ok()?.success() && came == sent).then_some(())
    })
}

/// We → client → stdout, a pipe.
pub fn receive(tool: &Tool, length: u64) -> Option<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let mut client = start(tool, port, Stdio::null(), Stdio::piped())?;
    let (mut caller, _) = listener.accept().ok()?;
    caller.set_write_timeout(Some(LIMIT)).ok()?;
    let source = std::thread::spawn(move || {
        let mut sent = Sum::default();
        for piece in stream(length) {
            caller.write_all(piece).ok()?;
            sent.add(piece);
        }
        caller.shutdown(Shutdown::Write).ok()?;
        Some(sent)
    });
    let sum = take_all(client.0.stdout.take()?)?;
    (Some(&sum) == source.join().ok()?.as_ref()).then(|| rate(&sum, began))
}

/// stdin, a file → listener → us.
pub fn serve(tool: &Tool, data: &tempfile::NamedTempFile) -> Option<f64> {
    let wanted = take_all(data.reopen().ok()?)?;
    let port = free_port();
    let input: File = data.reopen().ok()?;
    let _server = start(tool, port, input.into(), Stdio::null())?;
    let stream = call(port)?;
    let began = Instant::now();
    let sum = take_all(&stream)?;
    (sum == wanted).then(|| rate(&sum, began))
}

fn count_for(spell: Duration, mut once: impl FnMut() -> Option<()>) -> Option<f64> {
    let began = Instant::now();
    let mut times = 0;
    while began.elapsed() < spell {
        once()?;
        times += 1;
    }
    Some(f64::from(times) / began.elapsed().as_secs_f64())
}

/// 64 bytes there and back over one connection.
pub fn trips(tool: &Tool, spell: Duration) -> Option<f64> {
    let port = free_port();
    let _server = start(tool, port, Stdio::null(), Stdio::null())?;
    let mut stream = call(port)?;
    stream.set_nodelay(true).ok()?;
    let mut back = [0; 64];
    count_for(spell, || {
        stream.write_all(&[7; 64]).ok()?;
        stream.read_exact(&mut back).ok()?;
        (back == [7; 64]).then_some(())
    })
}

/// Connect, a byte there and back, half-close, read the end.
pub fn connections(tool: &Tool, spell: Duration) -> Option<f64> {
    let port = free_port();
    let _server = start(tool, port, Stdio::null(), Stdio::null())?;
    drop(call(port)?);
    count_for(spell, || {
        let mut stream = call(port)?;
        stream.write_all(b"x").ok()?;
        stream.shutdown(Shutdown::Write).ok()?;
        let mut back = Vec::new();
        stream.read_to_end(&mut back).ok()?;
        (back == b"x").then_some(())
    })
}

/// 64 bytes there and back by datagram; a lost one is wrong.
pub fn datagrams(tool: &Tool, spell: Duration) -> Option<f64> {
    let port = free_port();
    let _server = start(tool, port, Stdio::null(), Stdio::null())?;
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(100))).ok()?;
    let mut back = [0; 100];
    let mut trip = || {
        socket.send(&[7; 64]).ok()?;
        (socket.recv(&mut back).ok()? == 64).then_some(())
    };
    // Until it listens, nobody answers, or the kernel does at once.
    let until = Instant::now() + Duration::from_secs(5);
    while trip().is_none() {
        if Instant::now() > until {
            return None;
        }
        std::thread::yield_now();
    }
    socket.set_read_timeout(Some(LIMIT)).ok()?;
    count_for(spell, trip)
}

/// A whole process, from start to end.
pub fn starts(tool: &Tool, spell: Duration) -> Option<f64> {
    count_for(spell, || {
        let mut process = start(tool, 0, Stdio::null(), Stdio::null())?;
        process.0.wait().ok().map(drop)
    })
}
