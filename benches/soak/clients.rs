//! Scenarios that run sockit's own clients as processes; some are stopped or killed meanwhile.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::checking_clients::{TIMEOUT, failed, same};
use crate::registry::{Outcome, Registry};
use crate::rng::Rng;
use crate::servers::{signal, wait_with_timeout};

/// The result of a client process.
struct Run {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

/// Runs a client with `input` on stdin; `disturb` may send it signals meanwhile.
fn run(
    registry: &Registry,
    line: &str,
    input: Vec<u8>,
    disturb: impl FnOnce(&Child),
) -> Result<Run, String> {
    let mut command = Command::new(&registry.sockit);
    command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(failed("start"))?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    // The client may exit before it has read all of it.
    thread::spawn(move || stdin.write_all(&input));
    let stdout = read_all(child.stdout.take().ok_or("no stdout")?);
    let stderr = read_all(child.stderr.take().ok_or("no stderr")?);
    disturb(&child);
    let code = wait_with_timeout(&mut child, TIMEOUT);
    let joined = |all: thread::JoinHandle<Vec<u8>>| all.join().map_err(|_| "no output".to_string());
    let stderr = String::from_utf8_lossy(&joined(stderr)?).into_owned();
    Ok(Run { code, stdout: joined(stdout)?, stderr })
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        all
    })
}

impl Run {
    fn exits(&self, code: i32) -> Outcome {
        match self.code {
            Some(actual) if actual == code => Ok(()),
            actual => {
                Err(format!("exit code {actual:?} instead of {code}: {}", self.stderr.trim()))
            }
        }
    }

    fn prints(&self, want: &[u8]) -> Outcome {
        self.exits(0)?;
        same(&self.stdout, want)
    }
}

/// Appends the address of the server called `name` to a command line.
fn to(registry: &Registry, words: &str, name: &str) -> String {
    format!("{words} 127.0.0.1 {}", registry.at(name).port())
}

pub fn tls(registry: &Registry, rng: &mut Rng) -> Outcome {
    let size = rng.below(200_000);
    let sent = rng.bytes(size);
    let line = to(registry, "tcp-client -q --tls --insecure", "tls");
    run(registry, &line, sent.clone(), |_| ())?.prints(&sent)
}

pub fn http_complete(registry: &Registry, rng: &mut Rng) -> Outcome {
    let (how, size) = (rng.pick(&["length", "chunked", "end"]), rng.below(300_000));
    let line = format!("http-get -q http://{}/{how}/{size}", registry.origin);
    run(registry, &line, Vec::new(), |_| ())?.prints(&crate::peers::body(size))
}

pub fn http_truncated(registry: &Registry, rng: &mut Rng) -> Outcome {
    let size = 1 + rng.below(300_000);
    let line = format!("http-get -q http://{}/cut/{size}", registry.origin);
    let run = run(registry, &line, Vec::new(), |_| ())?;
    run.exits(18)?;
    same(&run.stdout, &crate::peers::body(size)[..size / 2])
}

pub fn resolve(registry: &Registry, rng: &mut Rng) -> Outcome {
    let (begin, code) = rng.pick(&[("is", 0), ("isnot", 6)]);
    let server = format!("resolve --server {} --type A", registry.name_server);
    let run =
        run(registry, &format!("{server} {begin}.{}.example", rng.word()), Vec::new(), |_| ())?;
    run.exits(code)?;
    same(&run.stdout, if code == 0 { b"192.0.2.7\n" } else { b"" })
}

pub fn ping(registry: &Registry, _: &mut Rng) -> Outcome {
    let line = to(registry, "udp-client", "udp");
    let run = run(registry, &format!("{line} --count 5 --interval 5ms"), Vec::new(), |_| ())?;
    run.exits(0)?;
    let report = String::from_utf8_lossy(&run.stdout).into_owned();
    report.starts_with("5 sent, 5 received, 0 lost").then_some(()).ok_or(report)
}

/// Stops and continues the client during the transfer: all data must still arrive.
pub fn stopped(registry: &Registry, rng: &mut Rng) -> Outcome {
    let sent = rng.bytes(1 << 20);
    let pause = Duration::from_millis(rng.below(300) as u64);
    let run = run(registry, &to(registry, "tcp-client -q", "echo"), sent.clone(), |child| {
        for _ in 0..3 {
            thread::sleep(pause / 10);
            signal(child, Signal::STOP);
            thread::sleep(pause);
            signal(child, Signal::CONT);
        }
    })?;
    run.prints(&sent)
}

/// Kills the client during the transfer.
pub fn killed(registry: &Registry, rng: &mut Rng) -> Outcome {
    let (words, name) =
        rng.pick(&[("tcp-client -q", "echo"), ("tcp-client -q --tls --insecure", "tls")]);
    let sent = rng.bytes(2 << 20);
    let pause = Duration::from_millis(rng.below(30) as u64);
    let run = run(registry, &to(registry, words, name), sent, |child| {
        thread::sleep(pause);
        signal(child, Signal::KILL);
    })?;
    match run.code {
        // It may have finished before the signal.
        Some(0 | 137) => Ok(()),
        code => Err(format!("exit code {code:?}: {}", run.stderr.trim())),
    }
}
