//! A name server for tests, over UDP and TCP on one port.
//!
//! A function makes the reply to each query; replies are encoded by hand, so that they can be
//! malformed in any way.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;

use crate::support::sockit::LIMIT;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const OPT: u16 = 41;
pub const TSIG: u16 = 250;
pub const ANY: u16 = 255;

/// A received query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it was received over TCP.
    pub tcp: bool,
}

impl Query {
    /// The ID of the message.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// The queried record type.
    pub fn kind(&self) -> u16 {
        let at = self.question().len() - 4;
        u16::from_be_bytes([self.question()[at], self.question()[at + 1]])
    }

    /// Whether it has an OPT record (EDNS).
    pub fn has_edns(&self) -> bool {
        self.bytes[11] == 1
    }

    fn question(&self) -> &[u8] {
        let end = self.bytes[12..].iter().scan(0usize, |skip, &byte| {
            let length = *skip == 0;
            *skip = if length { usize::from(byte) } else { *skip - 1 };
            Some(length && byte == 0)
        });
        let end = end.take_while(|&root| !root).count();
        &self.bytes[12..12 + end + 5]
    }

    /// A valid reply without records.
    pub fn reply(&self) -> Reply {
        Reply {
            id: self.id(),
            flags: 0x8180,
            question: self.question().to_vec(),
            counts: [1, 0, 0, 0],
            records: Vec::new(),
        }
    }
}

/// A record of a reply.
pub struct Record<'a> {
    pub owner: &'a [u8],
    pub kind: u16,
    pub data: &'a [u8],
}

/// A reply under construction.
#[derive(Debug, Clone)]
pub struct Reply {
    pub id: u16,
    pub flags: u16,
    pub question: Vec<u8>,
    pub counts: [u16; 4],
    pub records: Vec<u8>,
}

impl Reply {
    /// Adds an answer for the queried name.
    pub fn has(self, kind: u16, data: &[u8]) -> Reply {
        self.of(b"\xc0\x0c", kind, data)
    }

    /// Adds an answer for `owner` in wire format.
    pub fn of(mut self, owner: &[u8], kind: u16, data: &[u8]) -> Reply {
        self.counts[1] += 1;
        self.records.extend(owner);
        for word in [kind, 1, 0, 60, data.len() as u16] {
            self.records.extend(word.to_be_bytes());
        }
        self.records.extend(data);
        self
    }

    /// Adds a record at the end, counted in `section` (1 answer, 2 authority, 3 additional).
    pub fn in_section(mut self, section: usize, record: Record<'_>) -> Reply {
        let Record { owner, kind, data } = record;
        self.counts[section] += 1;
        let class = if kind == OPT { 1232 } else { ANY };
        self.records.extend(owner);
        for word in [kind, class, 0, 0, data.len() as u16] {
            self.records.extend(word.to_be_bytes());
        }
        self.records.extend(data);
        self
    }

    /// Adds an OPT record with these options, counted in `section`.
    pub fn opt(self, section: usize, options: &[u8]) -> Reply {
        self.in_section(section, Record { owner: b"\0", kind: OPT, data: options })
    }

    /// Adds an Extended DNS Error (RFC 8914).
    pub fn explained(self, code: u16, text: &str) -> Reply {
        let words = [15, text.len() as u16 + 2, code].map(u16::to_be_bytes);
        self.opt(3, &[&words.concat(), text.as_bytes()].concat())
    }

    /// Adds an A record.
    pub fn a(self, address: [u8; 4]) -> Reply {
        self.has(A, &address)
    }

    /// Sets the response code.
    pub fn code(mut self, code: u16) -> Reply {
        self.flags |= code;
        self
    }

    /// Encodes the reply.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [self.id, self.flags].iter().chain(&self.counts) {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(&self.question);
        bytes.extend(&self.records);
        bytes
    }
}

/// Encodes a name.
pub fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// What the server does with a query.
pub enum Reaction {
    /// Send these datagrams; over TCP the first one, with its length.
    Send(Vec<Vec<u8>>),
    /// Send these bytes without a length, and close; over TCP only.
    SendRaw(Vec<u8>),
    /// Send a datagram from another port, then these.
    SendFromOtherPort(Vec<u8>, Vec<Vec<u8>>),
    /// Send nothing.
    Ignore,
}

impl From<Reply> for Reaction {
    fn from(reply: Reply) -> Reaction {
        Reaction::Send(vec![reply.bytes()])
    }
}

/// Starts a name server for the rest of the test run.
pub fn name_server(react: impl Fn(&Query) -> Reaction + Send + Sync + 'static) -> SocketAddr {
    let (udp, tcp) = sockets();
    let addr = udp.local_addr().expect("a bound address");
    let react = Arc::new(react);
    let by_tcp = react.clone();
    thread::spawn(move || over_udp(&udp, &*react));
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            over_tcp(stream, &*by_tcp);
        }
    });
    addr
}

/// Starts a server that never replies.
pub fn silent_server() -> SocketAddr {
    name_server(|_| Reaction::Ignore)
}

/// Binds one port for both; another process may have bound it for one of them.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("a bound address")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn over_udp(socket: &UdpSocket, react: &dyn Fn(&Query) -> Reaction) {
    let mut buffer = [0; 4096];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        let send = |replies: Vec<Vec<u8>>| {
            for reply in replies {
                let _ = socket.send_to(&reply, from);
            }
        };
        match react(&Query { bytes: buffer[..len].to_vec(), tcp: false }) {
            Reaction::Send(replies) => send(replies),
            Reaction::SendFromOtherPort(datagram, replies) => {
                let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                let _ = other.send_to(&datagram, from);
                send(replies);
            }
            Reaction::SendRaw(_) | Reaction::Ignore => (),
        }
    }
}

fn over_tcp(mut stream: TcpStream, react: &dyn Fn(&Query) -> Reaction) {
    let _ = stream.set_read_timeout(Some(LIMIT));
    let mut length = [0; 2];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    if stream.read_exact(&mut bytes).is_err() {
        return;
    }
    let bytes = match react(&Query { bytes, tcp: true }) {
        Reaction::Send(replies) | Reaction::SendFromOtherPort(_, replies) => {
            let first = replies.into_iter().next().unwrap_or_default();
            [&(first.len() as u16).to_be_bytes(), &first[..]].concat()
        }
        Reaction::SendRaw(bytes) => bytes,
        Reaction::Ignore => Vec::new(),
    };
    let _ = stream.write_all(&bytes);
}
