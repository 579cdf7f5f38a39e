//! The servers under test: started, sampled every second, and stopped by SIGTERM.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::proc_stats::{METRICS, ProcStats, zombies};

/// Name and command line of each; `{dir}` is a folder for sockets and the file that is served, `{echo}`
/// the address of the first server.
const SERVERS: [(&str, &str); 11] = [
    ("echo", "tcp-server --port 0 --service echo"),
    ("hello", "tcp-server --port 0"),
    ("tls", "tcp-server --port 0 --service echo --tls"),
    ("udp", "udp-echo --port 0"),
    ("unix", "unix-server {dir}/stream --service echo"),
    ("datagram", "unix-server {dir}/datagram --datagram --service echo"),
    ("exec", "tcp-server --port 0 --exec cat"),
    ("file", "tcp-server --port 0 --file {dir}/file"),
    ("chat", "tcp-server --port 0 --service chat"),
    ("relay", "relay 0 {echo}"),
    ("slowed", "relay 0 {echo} --fault delay=2ms --fault slice=1..2000 --seed 1"),
];

/// Timeout for a start, a stop, and the release of resources.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Threads and descriptors that a server may keep after its first connection.
const MAX_KEPT: u64 = 3;

/// All servers of the run.
pub struct Servers(Vec<Server>);

struct Server {
    name: &'static str,
    child: Child,
    local: String,
    /// Log lines that no server may print.
    bad_lines: Arc<Mutex<Vec<String>>>,
    samples: Vec<ProcStats>,
    before: ProcStats,
    after: ProcStats,
}

impl Servers {
    /// Starts all servers and waits until each has printed its address.
    pub fn start(sockit: &Path, dir: &Path) -> Servers {
        std::fs::write(dir.join("file"), file()).expect("a file to serve");
        let mut servers: Vec<Server> = Vec::new();
        for (name, line) in SERVERS {
            let echo = servers.first().map(|echo| echo.local.as_str()).unwrap_or_default();
            let line = line.replace("{echo}", echo);
            servers.push(Server::start(name, &line, sockit, dir));
        }
        Servers(servers)
    }

    /// Returns the address that a server printed.
    pub fn local(&self, name: &str) -> String {
        let server = self.0.iter().find(|server| server.name == name);
        server.map(|server| server.local.clone()).unwrap_or_default()
    }

    /// Samples each server; returns a message if one has exited.
    pub fn sample(&mut self) -> Option<String> {
        let zombies = zombies();
        for server in &mut self.0 {
            server.samples.push(ProcStats::of(server.child.id(), &zombies));
            if let Ok(Some(status)) = server.child.try_wait() {
                return Some(format!("{} exited: {status}", server.name));
            }
        }
        None
    }

    /// Waits until each server has released what the clients used, then stops it; returns what was
    /// not released and which server did not stop cleanly.
    pub fn close(&mut self) -> Vec<String> {
        let deadline = Instant::now() + TIMEOUT;
        while self.0.iter_mut().any(|server| !server.is_idle()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(200));
        }
        self.0.iter_mut().flat_map(Server::close).collect()
    }

    /// Returns a line for each metric that grew.
    pub fn growth(&self) -> Vec<String> {
        let lines = self.0.iter().flat_map(|server| {
            METRICS.iter().filter(|metric| metric.grew(&server.samples)).map(|metric| {
                let (first, last, _) = metric.trend(&server.samples);
                format!("{}: from {first} to {last} {}", server.name, metric.name)
            })
        });
        lines.collect()
    }

    /// Prints a row for each server: medians of the first and the last quarter, the maximum, and
    /// what was in use when idle, before and after.
    pub fn print(&self) {
        print!("{:10}", "server");
        for metric in &METRICS {
            print!("{:>26}", format!("{} first/last/max", metric.name));
        }
        println!("{:>30}", "idle: KiB, fds, threads");
        for server in &self.0 {
            print!("{:10}", server.name);
            for metric in &METRICS {
                let (first, last, max) = metric.trend(&server.samples);
                print!("{:>26}", format!("{first}/{last}/{max}"));
            }
            let ProcStats { memory, descriptors, threads, .. } = server.after;
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
        let (sender, receiver) = channel();
        let bad_lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, bad) = (child.stderr.take().expect("stderr"), bad_lines.clone());
        thread::spawn(move || read_log(stderr, &sender, &bad));
        let local = receiver.recv_timeout(TIMEOUT).expect("its address");
        let before = ProcStats::of(child.id(), &zombies());
        Server { name, child, local, bad_lines, samples: Vec::new(), before, after: before }
    }

    fn is_idle(&mut self) -> bool {
        self.after = ProcStats::of(self.child.id(), &zombies());
        let back = |of: fn(&ProcStats) -> u64| of(&self.after) <= of(&self.before) + MAX_KEPT;
        self.after.zombies == 0 && back(|v| v.descriptors) && back(|v| v.threads)
    }

    fn close(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.is_idle() {
            faults.push(format!(
                "{} did not release: {:?}, then {:?}",
                self.name, self.before, self.after
            ));
        }
        signal(&self.child, rustix::process::Signal::TERM);
        match wait_with_timeout(&mut self.child, TIMEOUT) {
            Some(0) => {}
            Some(code) => faults.push(format!("{}: {code} on SIGTERM", self.name)),
            None => faults.push(format!("{} did not exit on SIGTERM", self.name)),
        }
        let bad = self.bad_lines.lock().expect("a lock");
        faults.extend(bad.iter().map(|line| format!("{} printed: {line}", self.name)));
        faults
    }
}

/// Returns the content of the served file: larger than any buffer, without repetition.
pub fn file() -> Vec<u8> {
    crate::rng::Rng::new(1).bytes(700_001)
}

/// Reads a server's log to its end: sends its address, collects lines that it may not print.
fn read_log(stderr: impl Read, sender: &Sender<String>, bad: &Mutex<Vec<String>>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((_, rest)) = line.split_once(" on ")
            && line.starts_with("Waiting for ")
        {
            let _ = sender.send(rest.trim_end_matches("...").to_string());
        }
        if line.contains("internal error") || line.contains('\x1b') {
            bad.lock().expect("a lock").push(line);
        }
    }
}

/// Sends a signal to a child process.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    // ESRCH: it has exited already.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Waits for a child: its exit code, or 128 plus the signal's number; `None` after `limit`, when
/// it is killed.
pub fn wait_with_timeout(child: &mut Child, limit: Duration) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait().expect("a child process") {
            Some(status) => return status.code().or(status.signal().map(|n| 128 + n)),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => thread::sleep(Duration::from_millis(3)),
        }
    }
}
