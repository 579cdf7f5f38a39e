//! The servers under test: started, looked at every second, and at last asked to go.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::proc_stats::{FIGURES, Vitals, zombies};

/// Name and command line of each; `{dir}` is a folder for sockets and the file that is served.
const SERVERS: [(&str, &str); 9] = [
    ("echo", "tcp-server --port 0 --service echo"),
    ("hello", "tcp-server --port 0"),
    ("tls", "tcp-server --port 0 --service echo --tls"),
    ("udp", "udp-echo --port 0"),
    ("unix", "unix-server {dir}/stream --service echo"),
    ("datagram", "unix-server {dir}/datagram --datagram --service echo"),
    ("exec", "tcp-server --port 0 --exec cat"),
    ("file", "tcp-server --port 0 --file {dir}/file"),
    ("chat", "tcp-server --port 0 --service chat"),
];

/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Threads and descriptors that a server may keep from its first caller on, for good.
const KEPT: u64 = 3;

/// All servers.
pub struct House(Vec<Server>);

struct Server {
    name: &'static str,
    child: Child,
    local: String,
    /// Lines of talk that no server should ever say.
    oddities: Arc<Mutex<Vec<String>>>,
    looks: Vec<Vitals>,
    before: Vitals,
    after: Vitals,
}

impl House {
    /// Starts all servers, and waits until each has said where it listens.
    pub fn start(sockit: &Path, dir: &Path) -> House {
        std::fs::write(dir.join("file"), file()).expect("a file to serve");
        let servers = SERVERS.iter().map(|(name, line)| Server::start(name, line, sockit, dir));
        House(servers.collect())
    }

    /// What a server said it listens on.
    pub fn local(&self, name: &str) -> String {
        let server = self.0.iter().find(|server| server.name == name);
        server.map(|server| server.local.clone()).unwrap_or_default()
    }

    /// Looks at each; tells which has died.
    pub fn look(&mut self) -> Option<String> {
        let zombies = zombies();
        for server in &mut self.0 {
            server.looks.push(Vitals::of(server.child.id(), &zombies));
            if let Ok(Some(status)) = server.child.try_wait() {
                return Some(format!("{} died: {status}", server.name));
            }
        }
        None
    }

    /// Waits until nobody holds anything any more, then asks each server to go; tells what stayed
    /// and who did not go properly.
    pub fn close(&mut self) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        while self.0.iter_mut().any(|server| !server.is_at_rest()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(200));
        }
        self.0.iter_mut().flat_map(Server::close).collect()
    }

    /// Which figures grew.
    pub fn growth(&self) -> Vec<String> {
        let grown = self.0.iter().flat_map(|server| {
            FIGURES.iter().filter(|figure| figure.grew(&server.looks)).map(|figure| {
                let (first, last, _) = figure.course(&server.looks);
                format!("{}: from {first} to {last} {}", server.name, figure.name)
            })
        });
        grown.collect()
    }

    /// A row for each server: medians of the first and the last quarter, the most, and what was
    /// held at rest before and after.
    pub fn print(&self) {
        print!("{:10}", "server");
        for figure in &FIGURES {
            print!("{:>26}", format!("{} first/last/most", figure.name));
        }
        println!("{:>30}", "at rest: KiB, fds, threads");
        for server in &self.0 {
            print!("{:10}", server.name);
            for figure in &FIGURES {
                let (first, last, most) = figure.course(&server.looks);
                print!("{:>26}", format!("{first}/{last}/{most}"));
            }
            let Vitals { memory, descriptors, threads, .. } = server.after;
            let (fds, tasks) = (server.before.descriptors, server.before.threads);
            println!("{:>30}", format!("{memory}, {fds}→{descriptors}, {tasks}→{threads}"));
        }
    }
}

impl Server {
    fn start(name: &'static str, line: &str, sockit: &Path, dir: &Path) -> Server {
        let line = line.replace("{dir}", &dir.display().to_string());
        let mut command = Command::new(sockit);
        command.args(line.split(' ')).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect(name);
        let (tell, told) = channel();
        let oddities = Arc::new(Mutex::new(Vec::new()));
        let (stderr, odd) = (child.stderr.take().expect("stderr"), oddities.clone());
        thread::spawn(move || hear(stderr, &tell, &odd));
        let local = told.recv_timeout(PATIENCE).expect("it says where it listens");
        let before = Vitals::of(child.id(), &zombies());
        Server { name, child, local, oddities, looks: Vec::new(), before, after: before }
    }

    fn is_at_rest(&mut self) -> bool {
        self.after = Vitals::of(self.child.id(), &zombies());
        let back = |of: fn(&Vitals) -> u64| of(&self.after) <= of(&self.before) + KEPT;
        self.after.zombies == 0 && back(|v| v.descriptors) && back(|v| v.threads)
    }

    fn close(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.is_at_rest() {
            faults.push(format!("{} held on: {:?}, then {:?}", self.name, self.before, self.after));
        }
        signal(&self.child, rustix::process::Signal::TERM);
        match ended(&mut self.child, PATIENCE) {
            Some(0) => {}
            Some(code) => faults.push(format!("{}: {code} on SIGTERM", self.name)),
            None => faults.push(format!("{} did not go on SIGTERM", self.name)),
        }
        let odd = self.oddities.lock().expect("a lock");
        faults.extend(odd.iter().map(|line| format!("{} said: {line}", self.name)));
        faults
    }
}

/// The file that is served: larger than any buffer, and no two parts of it alike.
pub fn file() -> Vec<u8> {
    crate::rng::Dice::new(1).bytes(700_001)
}

/// Reads a server's talk to its end: where it listens, and what it should not say.
fn hear(stderr: impl Read, tell: &Sender<String>, odd: &Mutex<Vec<String>>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((_, rest)) = line.split_once(" on ")
            && line.starts_with("Waiting for ")
        {
            let _ = tell.send(rest.trim_end_matches("...").to_string());
        }
        if line.contains("internal error") || line.contains('\x1b') {
            odd.lock().expect("a lock").push(line);
        }
    }
}

/// Sends a signal to a child of ours.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    // One that has gone already needs no telling.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Waits for a child's end; its exit code, 128 and the signal's number, or `None` when late.
pub fn ended(child: &mut Child, limit: Duration) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let until = Instant::now() + limit;
    loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => return status.code().or(status.signal().map(|n| 128 + n)),
            None if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => thread::sleep(Duration::from_millis(3)),
        }
    }
}
