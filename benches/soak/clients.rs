//! Visits by sockit's own clients, as processes: some are held up, some do not live to the end.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::checking_clients::{PATIENCE, failed, same};
use crate::registry::{Outcome, Town};
use crate::rng::Dice;
use crate::servers::{ended, signal};

/// What a client came to.
struct Run {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

/// Runs a client on `input`, and does something to it meanwhile.
fn run(
    town: &Town,
    line: &str,
    input: Vec<u8>,
    meddle: impl FnOnce(&Child),
) -> Result<Run, String> {
    let mut command = Command::new(&town.sockit);
    command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(failed("start"))?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    // It may leave before it has read everything.
    thread::spawn(move || stdin.write_all(&input));
    let stdout = gather(child.stdout.take().ok_or("no stdout")?);
    let stderr = gather(child.stderr.take().ok_or("no stderr")?);
    meddle(&child);
    let code = ended(&mut child, PATIENCE);
    let heard = |all: thread::JoinHandle<Vec<u8>>| all.join().map_err(|_| "no output".to_string());
    let stderr = String::from_utf8_lossy(&heard(stderr)?).into_owned();
    Ok(Run { code, stdout: heard(stdout)?, stderr })
}

fn gather(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        all
    })
}

impl Run {
    fn exits(&self, code: i32) -> Outcome {
        match self.code {
            Some(came) if came == code => Ok(()),
            came => Err(format!("exit code {came:?} instead of {code}: {}", self.stderr.trim())),
        }
    }

    fn prints(&self, want: &[u8]) -> Outcome {
        self.exits(0)?;
        same(&self.stdout, want)
    }
}

/// A line for the server called `name`.
fn to(town: &Town, words: &str, name: &str) -> String {
    format!("{words} 127.0.0.1 {}", town.at(name).port())
}

pub fn tls(town: &Town, dice: &mut Dice) -> Outcome {
    let size = dice.below(200_000);
    let said = dice.bytes(size);
    let line = to(town, "tcp-client -q --tls --insecure", "tls");
    run(town, &line, said.clone(), |_| ())?.prints(&said)
}

pub fn http_whole(town: &Town, dice: &mut Dice) -> Outcome {
    let (how, size) = (dice.pick(&["length", "chunked", "end"]), dice.below(300_000));
    let line = format!("http-get -q http://{}/{how}/{size}", town.origin);
    run(town, &line, Vec::new(), |_| ())?.prints(&crate::peers::body(size))
}

pub fn http_cut(town: &Town, dice: &mut Dice) -> Outcome {
    let size = 1 + dice.below(300_000);
    let line = format!("http-get -q http://{}/cut/{size}", town.origin);
    let run = run(town, &line, Vec::new(), |_| ())?;
    run.exits(18)?;
    same(&run.stdout, &crate::peers::body(size)[..size / 2])
}

pub fn resolve(town: &Town, dice: &mut Dice) -> Outcome {
    let (begin, code) = dice.pick(&[("is", 0), ("isnot", 6)]);
    let server = format!("resolve --server {} --type A", town.name_server);
    let run = run(town, &format!("{server} {begin}.{}.example", dice.word()), Vec::new(), |_| ())?;
    run.exits(code)?;
    same(&run.stdout, if code == 0 { b"192.0.2.7\n" } else { b"" })
}

pub fn ping(town: &Town, _: &mut Dice) -> Outcome {
    let line = to(town, "udp-client", "udp");
    let run = run(town, &format!("{line} --count 5 --interval 5ms"), Vec::new(), |_| ())?;
    run.exits(0)?;
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    told.starts_with("5 sent, 5 received, 0 lost").then_some(()).ok_or(told)
}

/// Stopped and continued on its way: late, and whole.
pub fn stopped(town: &Town, dice: &mut Dice) -> Outcome {
    let said = dice.bytes(1 << 20);
    let nap = Duration::from_millis(dice.below(300) as u64);
    let run = run(town, &to(town, "tcp-client -q", "echo"), said.clone(), |child| {
        for _ in 0..3 {
            thread::sleep(nap / 10);
            signal(child, Signal::STOP);
            thread::sleep(nap);
            signal(child, Signal::CONT);
        }
    })?;
    run.prints(&said)
}

/// Killed in the middle of it.
pub fn killed(town: &Town, dice: &mut Dice) -> Outcome {
    let (words, name) =
        dice.pick(&[("tcp-client -q", "echo"), ("tcp-client -q --tls --insecure", "tls")]);
    let said = dice.bytes(2 << 20);
    let nap = Duration::from_millis(dice.below(30) as u64);
    let run = run(town, &to(town, words, name), said, |child| {
        thread::sleep(nap);
        signal(child, Signal::KILL);
    })?;
    match run.code {
        // It may have been quicker.
        Some(0 | 137) => Ok(()),
        code => Err(format!("exit code {code:?}: {}", run.stderr.trim())),
    }
}
