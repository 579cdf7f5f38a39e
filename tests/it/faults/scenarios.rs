//! Healthy peers for any number of clients, and what a client does with them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::support::nameserver::{Reply, name_server};
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, Run, Sockit, sockit};

/// The input of most scenarios.
pub const INPUT: &[u8] = b"every byte";

/// The healthy peers.
pub struct Peers {
    echo: Daemon,
    datagrams: Daemon,
    _unix: [Daemon; 2],
    #[cfg(feature = "tls")]
    tls: Daemon,
    #[cfg(all(feature = "tls", feature = "http"))]
    https: Daemon,
    web: SocketAddr,
    socks: SocketAddr,
    proxy: SocketAddr,
    names: SocketAddr,
    dir: TempDir,
    runs: AtomicUsize,
}

/// One thing that a client does with them.
#[derive(Debug)]
pub struct Scenario {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its command line; `OUT` is a new path for each run.
    line: String,
    stdin: &'static [u8],
    expected: Expected,
}

/// The data of a run that exits 0.
#[derive(Debug)]
enum Expected {
    /// On stdout.
    Printed(Vec<u8>),
    /// In the file `OUT`.
    Saved(Vec<u8>),
    /// Not compared.
    Anything,
}

impl Peers {
    /// Starts all peers.
    pub fn new() -> Peers {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path_of = |name: &str| dir.path().join(name).to_str().expect("a path").to_string();
        std::fs::write(path_of("words"), INPUT).expect("a file to send");
        std::fs::write(path_of("answer"), answer()).expect("a file to serve");
        Peers {
            echo: sockit("tcp-server --service echo").serve(),
            datagrams: sockit("udp-echo --max-rate 0").serve(),
            _unix: [("", "echo"), ("--datagram", "letters")].map(|(kind, name)| {
                sockit("unix-server --service echo").and(kind).arg(path_of(name)).serve()
            }),
            #[cfg(feature = "tls")]
            tls: sockit("tcp-server --service echo --tls").serve(),
            #[cfg(all(feature = "tls", feature = "http"))]
            https: sockit("tcp-server --tls --file").arg(path_of("answer")).serve(),
            web: serve_every_client(|stream| drop(respond(stream))),
            socks: serve_every_client(|stream| drop(socks(stream))),
            proxy: serve_every_client(|stream| drop(http_proxy(stream))),
            names: name_server(|query| {
                let truncated = !query.tcp && query.bytes.windows(4).any(|w| w == b"\x04long");
                if truncated {
                    Reply { flags: 0x8380, ..query.reply() }.into()
                } else {
                    query.reply().a([192, 0, 2, 7]).into()
                }
            }),
            dir,
            runs: AtomicUsize::new(0),
        }
    }

    /// All scenarios; each of them ends by itself.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let (echo, datagrams) = (self.echo.port(), self.datagrams.port());
        let (socks, proxy) = (self.socks, self.proxy);
        let dir = self.dir.path().display();
        let words = || Expected::Printed(INPUT.to_vec());
        let line = || Expected::Printed(b"hello\n".to_vec());
        let client = "tcp-client 127.0.0.1";
        let mut scenarios = vec![
            scenario("pipe", format!("{client} {echo}"), INPUT, words()),
            scenario("name", format!("tcp-client localhost {echo}"), INPUT, words()),
            scenario("script", format!("{client} {echo} --send hello"), b"", line()),
            scenario(
                "files",
                format!("{client} {echo} --input {dir}/words --output OUT"),
                b"",
                Expected::Saved(INPUT.to_vec()),
            ),
            scenario("copy", format!("{client} {echo} --rate 1M/s"), INPUT, words()),
            scenario("socks", format!("{client} {echo} --proxy socks5://{socks}"), INPUT, words()),
            scenario("connect", format!("{client} {echo} --proxy http://{proxy}"), INPUT, words()),
            scenario("unix", format!("unix-client {dir}/echo"), INPUT, words()),
            scenario("unix script", format!("unix-client {dir}/echo --send hello"), b"", line()),
            scenario(
                "unix letters",
                format!("unix-client --datagram {dir}/letters --send hello"),
                b"",
                line(),
            ),
            scenario("udp", format!("udp-client 127.0.0.1 {datagrams} --send hello"), b"", line()),
            scenario(
                "udp file",
                format!("udp-client 127.0.0.1 {datagrams} --input {dir}/words --size 5"),
                b"",
                words(),
            ),
            scenario(
                "ping",
                format!("udp-client 127.0.0.1 {datagrams} --count 2 --interval 1ms"),
                b"",
                Expected::Anything,
            ),
            scenario("resolve", "resolve localhost".into(), b"", Expected::Anything),
            scenario(
                "ask",
                self.query_line("short.test"),
                b"",
                Expected::Printed(b"192.0.2.7\n".to_vec()),
            ),
            scenario(
                "ask tcp",
                self.query_line("long.test"),
                b"",
                Expected::Printed(b"192.0.2.7\n".to_vec()),
            ),
            scenario("man", "man --out-dir OUT".into(), b"", Expected::Anything),
            scenario("completions", "completions bash".into(), b"", Expected::Anything),
        ];
        scenarios.extend(self.web_scenarios());
        scenarios.extend(self.tls_scenarios());
        scenarios
    }

    fn query_line(&self, name: &str) -> String {
        format!("resolve --type A --server {} {name}", self.names)
    }

    /// The command line of a download.
    #[cfg(feature = "http")]
    pub fn get(&self) -> String {
        format!("http-get -q http://{}/x", self.web)
    }

    #[cfg(feature = "http")]
    fn web_scenarios(&self) -> Vec<Scenario> {
        let (get, socks, proxy) = (self.get(), self.socks, self.proxy);
        let body = || Expected::Printed(body());
        vec![
            scenario("get", get.clone(), b"", body()),
            scenario("get file", format!("{get} -o OUT"), b"", Expected::Saved(self::body())),
            scenario("get by proxy", format!("{get} --proxy http://{proxy}"), b"", body()),
            scenario("get by socks", format!("{get} --proxy socks5h://{socks}"), b"", body()),
        ]
    }

    #[cfg(not(feature = "http"))]
    fn web_scenarios(&self) -> Vec<Scenario> {
        assert!(self.web.port() > 0);
        Vec::new()
    }

    #[cfg(feature = "tls")]
    fn tls_scenarios(&self) -> Vec<Scenario> {
        let port = self.tls.port();
        let client = format!("tcp-client 127.0.0.1 {port} -q --tls --insecure");
        let words = || Expected::Printed(INPUT.to_vec());
        let mut scenarios = vec![
            scenario("tls", client.clone(), INPUT, words()),
            scenario(
                "tls script",
                format!("{client} --send hello"),
                b"",
                Expected::Printed(b"hello\n".to_vec()),
            ),
            scenario(
                "tls by socks",
                format!("{client} --proxy socks5h://{}", self.socks),
                INPUT,
                words(),
            ),
        ];
        #[cfg(feature = "http")]
        {
            let get = format!("http-get -q --insecure https://127.0.0.1:{}/x", self.https.port());
            scenarios.push(scenario("get tls", get, b"", Expected::Printed(body())));
        }
        scenarios
    }

    #[cfg(not(feature = "tls"))]
    fn tls_scenarios(&self) -> Vec<Scenario> {
        Vec::new()
    }

    /// A run of this scenario, and the path of its file.
    pub fn play(&self, scenario: &Scenario) -> (Sockit, PathBuf) {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let out = self.dir.path().join(format!("out-{run}"));
        let line = scenario.line.replace("OUT", out.to_str().expect("a path"));
        (sockit(&line).stdin(scenario.stdin), out)
    }

    /// A unique path.
    pub fn path(&self, name: &str) -> PathBuf {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        self.dir.path().join(format!("{name}-{run}"))
    }
}

fn scenario(
    name: &'static str,
    line: String,
    stdin: &'static [u8],
    expected: Expected,
) -> Scenario {
    Scenario { name, line, stdin, expected }
}

impl Scenario {
    /// Whether its run writes a file.
    pub fn writes_a_file(&self) -> bool {
        self.line.contains("OUT")
    }

    /// Checks that a run that exits 0 has all its data, and what every run must satisfy.
    pub fn check(&self, run: &Run, out: &Path) -> Result<(), String> {
        super::is_orderly(run)?;
        let is_complete = match &self.expected {
            _ if run.code != 0 => true,
            Expected::Printed(wanted) => run.stdout == *wanted,
            Expected::Saved(wanted) => std::fs::read(out).is_ok_and(|saved| saved == *wanted),
            Expected::Anything => true,
        };
        if is_complete { Ok(()) } else { Err(format!("0 with bytes missing: {:?}", run.text())) }
    }
}

/// A body that does not fit one read.
fn body() -> Vec<u8> {
    b"0123456789".repeat(20_000)
}

fn answer() -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body().len());
    [head.into_bytes(), body()].concat()
}

/// Runs `script` with every client until the end of the tests.
fn serve_every_client(script: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port for a peer");
    let addr = listener.local_addr().expect("a bound address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(LIMIT));
            let _ = stream.set_write_timeout(Some(LIMIT));
            thread::spawn(move || script(stream));
        }
    });
    addr
}

fn header(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn respond(mut stream: TcpStream) -> io::Result<()> {
    header(&mut stream)?;
    stream.write_all(&answer())?;
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// SOCKS 5 without a login (RFC 1928).
fn socks(mut client: TcpStream) -> io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    client.read_exact(&mut vec![0; greeting[1].into()])?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 4];
    client.read_exact(&mut request)?;
    let mut host = vec![0; 4];
    if request[3] == 3 {
        let mut length = [0];
        client.read_exact(&mut length)?;
        host = vec![0; length[0].into()];
    }
    client.read_exact(&mut host)?;
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    // Every target is on this machine.
    let upstream = TcpStream::connect(("127.0.0.1", u16::from_be_bytes(port)))?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
    relay(client, upstream)
}

/// CONNECT (RFC 9110 §9.3.6); any other request gets the response itself.
fn http_proxy(mut client: TcpStream) -> io::Result<()> {
    let request = header(&mut client)?;
    let Some(target) = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next())
    else {
        client.write_all(&answer())?;
        client.shutdown(Shutdown::Write)?;
        return io::copy(&mut client, &mut io::sink()).map(drop);
    };
    let upstream = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    relay(client, upstream)
}

/// Copies both directions to their ends.
fn relay(client: TcpStream, upstream: TcpStream) -> io::Result<()> {
    let (one, other) = (client.try_clone()?, upstream.try_clone()?);
    let up = thread::spawn(move || copy_and_half_close(one, other));
    copy_and_half_close(upstream, client);
    let _ = up.join();
    Ok(())
}

fn copy_and_half_close(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
