//! The other end of each tool: sources, sinks and clients, with a timeout on every wait.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::tools::Tool;

/// Timeout of one measurement.
pub const TIMEOUT: Duration = Duration::from_secs(20);
const PIECE: usize = 256 << 10;

/// A tool's process, killed when dropped.
pub struct Process(Child);

impl Process {
    /// Returns its process ID.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Number of bytes and their order-sensitive hash; independent of how the reads were split.
#[derive(Default, PartialEq, Eq)]
pub struct Sum {
    bytes: u64,
    hash: u64,
    /// Bytes of a word that is not complete yet.
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

/// Length after which the stream repeats: a prime, so that it is no multiple of a buffer or page.
const PERIOD: usize = 1_048_583;

/// One period of the stream and the beginning of the next, generated once: the generator is not to
/// be measured.
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

/// Returns a pseudo-random stream of `length` bytes in slices of at most `PIECE` bytes.
fn stream(length: u64) -> impl Iterator<Item = &'static [u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let size = (length - at).min(PIECE as u64) as usize;
        let start = (at % PERIOD as u64) as usize;
        at += size as u64;
        (size > 0).then(|| &period()[start..start + size])
    })
}

/// Creates a file of `length` pseudo-random bytes.
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

/// Starts a relay from `port` to `target`.
pub fn start_relay(tool: &Tool, port: u16, target: u16) -> Option<Process> {
    let words = tool.words(port);
    let mut command = Command::new(&words[0]);
    command.args(words[1..].iter().map(|word| word.replace("{target}", &target.to_string())));
    command.env("PORT", port.to_string()).env("TARGET", target.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok().map(Process)
}

/// Returns a port that is free now.
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its number").port()
}

/// Connects, with retries until the server listens.
pub fn connect(port: u16) -> Option<TcpStream> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT)).ok()?;
                stream.set_write_timeout(Some(TIMEOUT)).ok()?;
                return Some(stream);
            }
            Err(_) if Instant::now() < until => std::thread::yield_now(),
            Err(_) => return None,
        }
    }
}

/// Reads to the end.
pub fn take_all(mut from: impl Read) -> Option<Sum> {
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

/// Returns MiB per second.
pub fn rate(sum: &Sum, began: Instant) -> f64 {
    sum.bytes as f64 / (1 << 20) as f64 / began.elapsed().as_secs_f64()
}

/// Measures a client that sends a file from its stdin.
pub fn send(tool: &Tool, data: &tempfile::NamedTempFile) -> Option<f64> {
    let wanted = take_all(data.reopen().ok()?)?;
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let _client = start(tool, port, data.reopen().ok()?.into(), Stdio::null())?;
    let (stream, _) = listener.accept().ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let sum = take_all(&stream)?;
    (sum == wanted).then(|| rate(&sum, began))
}

/// Like [`send`], over TLS.
#[cfg(feature = "tls")]
pub fn send_tls(
    tool: &Tool,
    data: &tempfile::NamedTempFile,
    sink: &crate::tls::Sink,
) -> Option<f64> {
    let wanted = take_all(data.reopen().ok()?)?;
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let _client = start(tool, port, data.reopen().ok()?.into(), Stdio::null())?;
    let (peer, _) = listener.accept().ok()?;
    peer.set_read_timeout(Some(TIMEOUT)).ok()?;
    let sum = take_all(sink.over(peer)?)?;
    (sum == wanted).then(|| rate(&sum, began))
}

/// Answers one HTTP request with `length` bytes and returns their sum.
fn answer(listener: &TcpListener, length: u64) -> Option<Sum> {
    let (mut peer, _) = listener.accept().ok()?;
    peer.set_read_timeout(Some(TIMEOUT)).ok()?;
    peer.set_write_timeout(Some(TIMEOUT)).ok()?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut piece = [0; 4096];
        let read = peer.read(&mut piece).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&piece[..read]);
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    peer.write_all(head.as_bytes()).ok()?;
    send_stream(&mut peer, length)
}

/// Writes `length` pseudo-random bytes.
pub fn send_stream(peer: &mut TcpStream, length: u64) -> Option<Sum> {
    let mut sent = Sum::default();
    for piece in stream(length) {
        peer.write_all(piece).ok()?;
        sent.add(piece);
    }
    Some(sent)
}

/// Measures one GET with the body written to a pipe.
pub fn get(tool: &Tool, length: u64) -> Option<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let mut client = start(tool, port, Stdio::null(), Stdio::piped())?;
    let source = std::thread::spawn(move || answer(&listener, length));
    let sum = take_all(client.0.stdout.take()?)?;
    (Some(&sum) == source.join().ok()?.as_ref()).then(|| rate(&sum, began))
}

/// Measures GETs of 1 KiB, one process each, from start to exit.
pub fn small_gets(tool: &Tool, load_time: Duration) -> Option<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    count_for(load_time, || {
        let mut client = start(tool, port, Stdio::null(), Stdio::piped())?;
        let sent = answer(&listener, 1024)?;
        let came = take_all(client.0.stdout.take()?)?;
        (client.0.wait().ok()?.success() && came == sent).then_some(())
    })
}

/// Measures a client that receives and writes to a pipe.
pub fn receive(tool: &Tool, length: u64) -> Option<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    let began = Instant::now();
    let mut client = start(tool, port, Stdio::null(), Stdio::piped())?;
    let (mut peer, _) = listener.accept().ok()?;
    peer.set_write_timeout(Some(TIMEOUT)).ok()?;
    let source = std::thread::spawn(move || {
        let sent = send_stream(&mut peer, length)?;
        peer.shutdown(Shutdown::Write).ok()?;
        Some(sent)
    });
    let sum = take_all(client.0.stdout.take()?)?;
    (Some(&sum) == source.join().ok()?.as_ref()).then(|| rate(&sum, began))
}

/// Measures a server that sends a file from its stdin.
pub fn serve(tool: &Tool, data: &tempfile::NamedTempFile) -> Option<f64> {
    let wanted = take_all(data.reopen().ok()?)?;
    let port = free_port();
    let input: File = data.reopen().ok()?;
    let _server = start(tool, port, input.into(), Stdio::null())?;
    let stream = connect(port)?;
    let began = Instant::now();
    let sum = take_all(&stream)?;
    (sum == wanted).then(|| rate(&sum, began))
}

fn count_for(load_time: Duration, mut once: impl FnMut() -> Option<()>) -> Option<f64> {
    let began = Instant::now();
    let mut times = 0;
    while began.elapsed() < load_time {
        once()?;
        times += 1;
    }
    Some(f64::from(times) / began.elapsed().as_secs_f64())
}

/// Measures round trips of 64 bytes over one connection.
pub fn trips(tool: &Tool, load_time: Duration) -> Option<f64> {
    let port = free_port();
    let _server = start(tool, port, Stdio::null(), Stdio::null())?;
    let mut stream = connect(port)?;
    stream.set_nodelay(true).ok()?;
    count_trips(&mut stream, load_time)
}

/// Counts round trips of 64 bytes.
pub fn count_trips(stream: &mut TcpStream, load_time: Duration) -> Option<f64> {
    let mut back = [0; 64];
    count_for(load_time, || {
        stream.write_all(&[7; 64]).ok()?;
        stream.read_exact(&mut back).ok()?;
        (back == [7; 64]).then_some(())
    })
}

/// Measures connections: connect, one byte echoed, half-close, read to the end.
pub fn connections(tool: &Tool, load_time: Duration) -> Option<f64> {
    let port = free_port();
    let _server = start(tool, port, Stdio::null(), Stdio::null())?;
    drop(connect(port)?);
    count_for(load_time, || {
        let mut stream = connect(port)?;
        stream.write_all(b"x").ok()?;
        stream.shutdown(Shutdown::Write).ok()?;
        let mut back = Vec::new();
        stream.read_to_end(&mut back).ok()?;
        (back == b"x").then_some(())
    })
}

/// Measures round trips of datagrams of 64 bytes; a lost one is a failure.
pub fn datagrams(tool: &Tool, load_time: Duration) -> Option<f64> {
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
    // Until the server has bound its port there is no answer, or an ICMP error.
    let until = Instant::now() + Duration::from_secs(5);
    while trip().is_none() {
        if Instant::now() > until {
            return None;
        }
        std::thread::yield_now();
    }
    socket.set_read_timeout(Some(TIMEOUT)).ok()?;
    count_for(load_time, trip)
}

/// Measures processes from start to exit.
pub fn starts(tool: &Tool, load_time: Duration) -> Option<f64> {
    count_for(load_time, || {
        let mut process = start(tool, 0, Stdio::null(), Stdio::null())?;
        process.0.wait().ok().map(drop)
    })
}
