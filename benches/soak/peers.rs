//! A minimal web server and a minimal name server for sockit's clients.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

/// Bytes of a chunk.
const CHUNK: usize = 5000;

/// A web server: `/length/N`, `/chunked/N` and `/end/N` are N bytes with the three ways to
/// delimit a body; `/cut/N` sends half of its Content-Length.
pub fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that disconnects early is no error.
            thread::spawn(move || answer(stream));
        }
    });
    addr
}

/// Returns a body of `size` bytes.
pub fn body(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n ^ n >> 8) as u8).collect()
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let request = request(&mut stream)?;
    let mut words = request.split(['/', ' ']).skip(2);
    let (how, size) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let body = body(size.parse().unwrap_or(0));
    let head = |field: &str| format!("HTTP/1.1 200 OK\r\n{field}Connection: close\r\n\r\n");
    let length = head(&format!("Content-Length: {}\r\n", body.len()));
    match how {
        "length" => stream.write_all(&[length.as_bytes(), &body].concat()),
        "cut" => stream.write_all(&[length.as_bytes(), &body[..body.len() / 2]].concat()),
        "end" => stream.write_all(&[head("").as_bytes(), &body].concat()),
        _ => {
            stream.write_all(head("Transfer-Encoding: chunked\r\n").as_bytes())?;
            for chunk in body.chunks(CHUNK) {
                stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                stream.write_all(&[chunk, b"\r\n"].concat())?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
    }
}

fn request(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A name server: names that begin with `isnot` do not exist, all others are 192.0.2.7.
pub fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let addr = socket.local_addr().expect("an address");
    thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((n, from)) = socket.recv_from(&mut query) {
            if let Some(reply) = reply(&query[..n]) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    addr
}

/// RFC 1035 §4: the question with one answer, or with NXDOMAIN.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    while *query.get(end)? > 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(12..end + 5)?;
    let absent = question.starts_with(b"\x05isnot");
    let (rcode, answers) = if absent { (3, 0) } else { (0, 1) };
    let counts = [0, 1, 0, answers, 0, 0, 0, 0];
    let mut reply = [&query[..2], &[0x81, 0x80 | rcode], &counts, question].concat();
    if !absent {
        reply.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07");
    }
    Some(reply)
}
