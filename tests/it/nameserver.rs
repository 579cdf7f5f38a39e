//! A small name server with a script, honest or lying, over UDP and TCP on one port.
//!
//! It answers each question by what its script makes of it; bytes are put together by hand,
//! so that they can be wrong in any way.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;

use crate::sockit::LIMIT;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const OPT: u16 = 41;
pub const TSIG: u16 = 250;
pub const ANY: u16 = 255;

/// A question as it came.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it came over TCP.
    pub tcp: bool,
}

impl Query {
    /// Id of the message.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// The type that is asked.
    pub fn kind(&self) -> u16 {
        let at = self.question().len() - 4;
        u16::from_be_bytes([self.question()[at], self.question()[at + 1]])
    }

    /// Whether it offers room by EDNS.
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

    /// An honest reply without records so far.
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

/// A reply in the making; everything in it can be bent.
#[derive(Debug, Clone)]
pub struct Reply {
    pub id: u16,
    pub flags: u16,
    pub question: Vec<u8>,
    pub counts: [u16; 4],
    pub records: Vec<u8>,
}

impl Reply {
    /// One more answer for the name that was asked.
    pub fn has(self, kind: u16, data: &[u8]) -> Reply {
        self.of(b"\xc0\x0c", kind, data)
    }

    /// One more answer, for `owner` in wire form.
    pub fn of(mut self, owner: &[u8], kind: u16, data: &[u8]) -> Reply {
        self.counts[1] += 1;
        self.records.extend(owner);
        for word in [kind, 1, 0, 60, data.len() as u16] {
            self.records.extend(word.to_be_bytes());
        }
        self.records.extend(data);
        self
    }

    /// One more record behind all others, in `section` (1 answer, 2 authority, 3 additional).
    pub fn in_section(mut self, section: usize, owner: &[u8], kind: u16, data: &[u8]) -> Reply {
        self.counts[section] += 1;
        let class = if kind == OPT { 1232 } else { ANY };
        self.records.extend(owner);
        for word in [kind, class, 0, 0, data.len() as u16] {
            self.records.extend(word.to_be_bytes());
        }
        self.records.extend(data);
        self
    }

    /// The OPT record of EDNS with these options, in `section`.
    pub fn opt(self, section: usize, options: &[u8]) -> Reply {
        self.in_section(section, b"\0", OPT, options)
    }

    /// An Extended DNS Error (RFC 8914).
    pub fn explained(self, code: u16, text: &str) -> Reply {
        let words = [15, text.len() as u16 + 2, code].map(u16::to_be_bytes);
        self.opt(3, &[&words.concat(), text.as_bytes()].concat())
    }

    /// An IPv4 address.
    pub fn a(self, address: [u8; 4]) -> Reply {
        self.has(A, &address)
    }

    /// A response code.
    pub fn code(mut self, code: u16) -> Reply {
        self.flags |= code;
        self
    }

    /// Its bytes.
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

/// A name in wire form.
pub fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// What the server does about a question.
pub enum Act {
    /// These datagrams; over TCP the first one, with its length.
    Say(Vec<Vec<u8>>),
    /// These bytes as they are, then the end; over TCP only.
    Raw(Vec<u8>),
    /// A datagram from another port, then these.
    FromElsewhere(Vec<u8>, Vec<Vec<u8>>),
    /// Nothing.
    Nothing,
}

impl From<Reply> for Act {
    fn from(reply: Reply) -> Act {
        Act::Say(vec![reply.bytes()])
    }
}

/// Starts a name server for the rest of the test run.
pub fn name_server(script: impl Fn(&Query) -> Act + Send + Sync + 'static) -> SocketAddr {
    let (udp, tcp) = sockets();
    let addr = udp.local_addr().expect("a bound address");
    let script = Arc::new(script);
    let by_tcp = script.clone();
    thread::spawn(move || over_udp(&udp, &*script));
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            over_tcp(stream, &*by_tcp);
        }
    });
    addr
}

/// A server that takes questions and never says a word.
pub fn silent_server() -> SocketAddr {
    name_server(|_| Act::Nothing)
}

/// One port for both; somebody else may hold the other half of a free one.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("a bound address")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn over_udp(socket: &UdpSocket, script: &dyn Fn(&Query) -> Act) {
    let mut buffer = [0; 4096];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        let say = |replies: Vec<Vec<u8>>| {
            for reply in replies {
                let _ = socket.send_to(&reply, from);
            }
        };
        match script(&Query { bytes: buffer[..len].to_vec(), tcp: false }) {
            Act::Say(replies) => say(replies),
            Act::FromElsewhere(stray, replies) => {
                let elsewhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                let _ = elsewhere.send_to(&stray, from);
                say(replies);
            }
            Act::Raw(_) | Act::Nothing => (),
        }
    }
}

fn over_tcp(mut stream: TcpStream, script: &dyn Fn(&Query) -> Act) {
    let _ = stream.set_read_timeout(Some(LIMIT));
    let mut length = [0; 2];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    if stream.read_exact(&mut bytes).is_err() {
        return;
    }
    let said = match script(&Query { bytes, tcp: true }) {
        Act::Say(replies) | Act::FromElsewhere(_, replies) => {
            let first = replies.into_iter().next().unwrap_or_default();
            [&(first.len() as u16).to_be_bytes(), &first[..]].concat()
        }
        Act::Raw(bytes) => bytes,
        Act::Nothing => Vec::new(),
    };
    let _ = stream.write_all(&said);
}
