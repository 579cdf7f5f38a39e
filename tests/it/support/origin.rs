//! A web server with scripted raw responses, one per connection; it stores the requests.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::peer::wait_until_read;
use crate::support::sockit::{LIMIT, Sockit, sockit};

/// The response to one connection.
#[derive(Clone)]
pub enum Answer {
    /// These bytes, then a FIN.
    Bytes(Vec<u8>),
    /// These bytes, then a reset.
    ThenReset(Vec<u8>),
    /// These bytes, then nothing until the client closes.
    ThenSilence(Vec<u8>),
    /// These bytes repeatedly until the client closes.
    Endless(Vec<u8>),
    /// These bytes one at a time, at this interval.
    Drip(Vec<u8>, Duration),
}

impl<T: AsRef<[u8]>> From<T> for Answer {
    fn from(bytes: T) -> Answer {
        Answer::Bytes(bytes.as_ref().to_vec())
    }
}

/// The server; its thread ends with the test.
pub struct Origin {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A server with these responses in turn; the last one is repeated.
pub fn origin<A: Into<Answer>>(answers: impl IntoIterator<Item = A>) -> Origin {
    origin_of(answers.into_iter().map(Into::into).collect())
}

fn origin_of(answers: Vec<Answer>) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the origin");
    let addr = listener.local_addr().expect("a bound address");
    let requests = Arc::new(Mutex::new(Vec::new()));
    let ours = requests.clone();
    thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let answer = answers[n.min(answers.len() - 1)].clone();
            let requests = ours.clone();
            let Ok(stream) = stream else { return };
            thread::spawn(move || play(stream, answer, &requests));
        }
    });
    Origin { addr, requests }
}

impl Origin {
    /// The URL of this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A run of http-get for `/x`.
    pub fn get(&self, flags: &str) -> Sockit {
        sockit("http-get").and(flags).arg(self.url("/x"))
    }

    /// The requests so far, each with its blank line.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the requests").clone()
    }
}

fn play(mut stream: TcpStream, answer: Answer, requests: &Mutex<Vec<String>>) {
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.set_write_timeout(Some(LIMIT)).expect("a limit");
    let Some(request) = request(&mut stream) else { return };
    requests.lock().expect("the requests").push(request);
    match answer {
        Answer::Bytes(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            drain(&mut stream);
        }
        Answer::ThenReset(bytes) => {
            let _ = stream.write_all(&bytes);
            // The reset must not discard the bytes before it.
            wait_until_read(&stream);
            let _ = socket2::Socket::from(stream).set_linger(Some(Duration::ZERO));
        }
        Answer::ThenSilence(bytes) => {
            let _ = stream.write_all(&bytes);
            drain(&mut stream);
        }
        Answer::Endless(bytes) => while stream.write_all(&bytes).is_ok() {},
        Answer::Drip(bytes, apart) => {
            for byte in bytes {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                thread::sleep(apart);
            }
        }
    }
}

/// Reads one request up to its blank line; `None` if the client closes before.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => text.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(text).expect("a request in ASCII"))
}

fn drain(stream: &mut TcpStream) {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).is_ok_and(|n| n > 0) {}
}

/// A response with a body of known length.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A redirect.
pub fn to(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}
