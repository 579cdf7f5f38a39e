//! The company a run keeps on a bad day: peers that are well and take any number of callers, and
//! the scenes that a client plays with them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::support::nameserver::{Reply, name_server};
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, Run, Sockit, sockit};

/// What a client says in most scenes.
pub const WORDS: &[u8] = b"every byte";

/// Peers that do nothing wrong.
pub struct World {
    echo: Daemon,
    letters: Daemon,
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

/// One thing a client does.
#[derive(Debug)]
pub struct Scene {
    /// What tables call it.
    pub name: &'static str,
    /// Its words; `OUT` is a new path for each run.
    line: String,
    stdin: &'static [u8],
    wants: Wants,
}

/// What a run that ends with 0 has brought.
#[derive(Debug)]
enum Wants {
    /// On stdout.
    Printed(Vec<u8>),
    /// In the file `OUT`.
    Saved(Vec<u8>),
    /// Nothing that is the same each time.
    Anything,
}

impl World {
    /// Starts all of them.
    pub fn new() -> World {
        let dir = tempfile::tempdir().expect("a folder for the world");
        let place = |name: &str| dir.path().join(name).to_str().expect("a path").to_string();
        std::fs::write(place("words"), WORDS).expect("a file to send");
        std::fs::write(place("answer"), answer()).expect("a file to serve");
        World {
            echo: sockit("tcp-server --service echo").serve(),
            letters: sockit("udp-echo --max-rate 0").serve(),
            _unix: [("", "echo"), ("--datagram", "letters")].map(|(kind, name)| {
                sockit("unix-server --service echo").and(kind).arg(place(name)).serve()
            }),
            #[cfg(feature = "tls")]
            tls: sockit("tcp-server --service echo --tls").serve(),
            #[cfg(all(feature = "tls", feature = "http"))]
            https: sockit("tcp-server --tls --file").arg(place("answer")).serve(),
            web: always(|stream| drop(tell_and_leave(stream))),
            socks: always(|stream| drop(socks(stream))),
            proxy: always(|stream| drop(http_proxy(stream))),
            names: name_server(|query| {
                let truncated = !query.tcp && query.bytes.windows(4).any(|w| w == b"\x04long");
                match truncated {
                    true => Reply { flags: 0x8380, ..query.reply() }.into(),
                    false => query.reply().a([192, 0, 2, 7]).into(),
                }
            }),
            dir,
            runs: AtomicUsize::new(0),
        }
    }

    /// Everything a client can do that has a beginning and an end.
    pub fn scenes(&self) -> Vec<Scene> {
        let (echo, letters) = (self.echo.port(), self.letters.port());
        let (socks, proxy) = (self.socks, self.proxy);
        let dir = self.dir.path().display();
        let words = || Wants::Printed(WORDS.to_vec());
        let line = || Wants::Printed(b"hello\n".to_vec());
        let client = "tcp-client 127.0.0.1";
        let mut scenes = vec![
            scene("pipe", format!("{client} {echo}"), WORDS, words()),
            scene("name", format!("tcp-client localhost {echo}"), WORDS, words()),
            scene("script", format!("{client} {echo} --send hello"), b"", line()),
            scene(
                "files",
                format!("{client} {echo} --input {dir}/words --output OUT"),
                b"",
                Wants::Saved(WORDS.to_vec()),
            ),
            scene("copy", format!("{client} {echo} --rate 1M/s"), WORDS, words()),
            scene("socks", format!("{client} {echo} --proxy socks5://{socks}"), WORDS, words()),
            scene("connect", format!("{client} {echo} --proxy http://{proxy}"), WORDS, words()),
            scene("unix", format!("unix-client {dir}/echo"), WORDS, words()),
            scene("unix script", format!("unix-client {dir}/echo --send hello"), b"", line()),
            scene(
                "unix letters",
                format!("unix-client --datagram {dir}/letters --send hello"),
                b"",
                line(),
            ),
            scene("udp", format!("udp-client 127.0.0.1 {letters} --send hello"), b"", line()),
            scene(
                "udp file",
                format!("udp-client 127.0.0.1 {letters} --input {dir}/words --size 5"),
                b"",
                words(),
            ),
            scene(
                "ping",
                format!("udp-client 127.0.0.1 {letters} --count 2 --interval 1ms"),
                b"",
                Wants::Anything,
            ),
            scene("resolve", "resolve localhost".into(), b"", Wants::Anything),
            scene("ask", self.ask("short.test"), b"", Wants::Printed(b"192.0.2.7\n".to_vec())),
            scene("ask tcp", self.ask("long.test"), b"", Wants::Printed(b"192.0.2.7\n".to_vec())),
            scene("man", "man --out-dir OUT".into(), b"", Wants::Anything),
            scene("completions", "completions bash".into(), b"", Wants::Anything),
        ];
        scenes.extend(self.web_scenes());
        scenes.extend(self.tls_scenes());
        scenes
    }

    fn ask(&self, name: &str) -> String {
        format!("resolve --type A --server {} {name}", self.names)
    }

    /// The words of a download.
    #[cfg(feature = "http")]
    pub fn get(&self) -> String {
        format!("http-get -q http://{}/x", self.web)
    }

    #[cfg(feature = "http")]
    fn web_scenes(&self) -> Vec<Scene> {
        let (get, socks, proxy) = (self.get(), self.socks, self.proxy);
        let body = || Wants::Printed(body());
        vec![
            scene("get", get.clone(), b"", body()),
            scene("get file", format!("{get} -o OUT"), b"", Wants::Saved(self::body())),
            scene("get by proxy", format!("{get} --proxy http://{proxy}"), b"", body()),
            scene("get by socks", format!("{get} --proxy socks5h://{socks}"), b"", body()),
        ]
    }

    #[cfg(not(feature = "http"))]
    fn web_scenes(&self) -> Vec<Scene> {
        assert!(self.web.port() > 0);
        Vec::new()
    }

    #[cfg(feature = "tls")]
    fn tls_scenes(&self) -> Vec<Scene> {
        let port = self.tls.port();
        let client = format!("tcp-client 127.0.0.1 {port} -q --tls --insecure");
        let words = || Wants::Printed(WORDS.to_vec());
        let mut scenes = vec![
            scene("tls", client.clone(), WORDS, words()),
            scene(
                "tls script",
                format!("{client} --send hello"),
                b"",
                Wants::Printed(b"hello\n".to_vec()),
            ),
            scene(
                "tls by socks",
                format!("{client} --proxy socks5h://{}", self.socks),
                WORDS,
                words(),
            ),
        ];
        #[cfg(feature = "http")]
        {
            let get = format!("http-get -q --insecure https://127.0.0.1:{}/x", self.https.port());
            scenes.push(scene("get tls", get, b"", Wants::Printed(body())));
        }
        scenes
    }

    #[cfg(not(feature = "tls"))]
    fn tls_scenes(&self) -> Vec<Scene> {
        Vec::new()
    }

    /// A run of this scene, and where its file goes.
    pub fn play(&self, scene: &Scene) -> (Sockit, PathBuf) {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let out = self.dir.path().join(format!("out-{run}"));
        let line = scene.line.replace("OUT", out.to_str().expect("a path"));
        (sockit(&line).stdin(scene.stdin), out)
    }

    /// A path that nobody else has.
    pub fn path(&self, name: &str) -> PathBuf {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        self.dir.path().join(format!("{name}-{run}"))
    }
}

fn scene(name: &'static str, line: String, stdin: &'static [u8], wants: Wants) -> Scene {
    Scene { name, line, stdin, wants }
}

impl Scene {
    /// Whether a run of it makes a file.
    pub fn writes_a_file(&self) -> bool {
        self.line.contains("OUT")
    }

    /// A run that ends with 0 has brought everything; any run is orderly.
    pub fn judge(&self, run: &Run, out: &Path) -> Result<(), String> {
        super::is_orderly(run)?;
        let whole = match &self.wants {
            _ if run.code != 0 => true,
            Wants::Printed(wanted) => run.stdout == *wanted,
            Wants::Saved(wanted) => std::fs::read(out).is_ok_and(|saved| saved == *wanted),
            Wants::Anything => true,
        };
        match whole {
            true => Ok(()),
            false => Err(format!("0 with bytes missing: {:?}", run.text())),
        }
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

/// Plays this script to every caller, as long as the tests last.
fn always(script: fn(TcpStream)) -> SocketAddr {
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

fn tell_and_leave(mut stream: TcpStream) -> io::Result<()> {
    header(&mut stream)?;
    stream.write_all(&answer())?;
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// SOCKS 5 without a login (RFC 1928).
fn socks(mut near: TcpStream) -> io::Result<()> {
    let mut greeting = [0; 2];
    near.read_exact(&mut greeting)?;
    near.read_exact(&mut vec![0; greeting[1].into()])?;
    near.write_all(&[5, 0])?;
    let mut asked = [0; 4];
    near.read_exact(&mut asked)?;
    let mut host = vec![0; 4];
    if asked[3] == 3 {
        let mut length = [0];
        near.read_exact(&mut length)?;
        host = vec![0; length[0].into()];
    }
    near.read_exact(&mut host)?;
    let mut port = [0; 2];
    near.read_exact(&mut port)?;
    // Whoever is asked for is on this machine.
    let far = TcpStream::connect(("127.0.0.1", u16::from_be_bytes(port)))?;
    near.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
    join(near, far)
}

/// CONNECT (RFC 9110 §9.3.6); whatever else is asked is answered from here.
fn http_proxy(mut near: TcpStream) -> io::Result<()> {
    let asked = header(&mut near)?;
    let Some(target) = asked.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next())
    else {
        near.write_all(&answer())?;
        near.shutdown(Shutdown::Write)?;
        return io::copy(&mut near, &mut io::sink()).map(drop);
    };
    let far = TcpStream::connect(target)?;
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    join(near, far)
}

/// Both ways, each to its own end.
fn join(near: TcpStream, far: TcpStream) -> io::Result<()> {
    let (one, other) = (near.try_clone()?, far.try_clone()?);
    let up = thread::spawn(move || pass(one, other));
    pass(far, near);
    let _ = up.join();
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
