//! Namespaces for a run: network, mounts and processes of its own, with its own resolver
//! configuration.
//!
//! Made by unshare(1), as root or as a user; where that is not permitted, the test is skipped with
//! a message.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::peer;
use crate::support::sockit::{Run, sockit};

/// What differs from the machine.
pub struct Namespace {
    unshare: Vec<&'static str>,
    dir: TempDir,
    mounts: String,
    before: String,
}

impl Namespace {
    /// New namespaces in which only loopback is up.
    pub fn new() -> Namespace {
        let dir = tempfile::tempdir().expect("a folder for the namespace's files");
        let unshare = ["unshare", "-r", "-m", "-n", "-p", "-f", "--kill-child"].to_vec();
        Namespace { unshare, dir, mounts: String::new(), before: String::new() }
    }

    /// Keeps the network of the test, so that its peers can be reached.
    pub fn with_host_network(mut self) -> Namespace {
        self.unshare.retain(|word| *word != "-n");
        self
    }

    /// Keeps the process namespace of the test, so that sockit is the process that is started and
    /// receives its signals. What runs beside it must end by itself.
    pub fn with_host_processes(mut self) -> Namespace {
        self.unshare.retain(|word| !["-p", "-f", "--kill-child"].contains(word));
        self
    }

    /// Sets the sources of names: `hosts: files dns`.
    pub fn nsswitch(self, text: &str) -> Namespace {
        self.etc("nsswitch.conf", text)
    }

    /// Sets the name servers: `nameserver 127.0.0.1`.
    pub fn resolv(self, text: &str) -> Namespace {
        self.etc("resolv.conf", text)
    }

    /// Replaces another file of /etc.
    pub fn etc(mut self, name: &str, text: &str) -> Namespace {
        let file = self.dir.path().join(name);
        fs::write(&file, format!("{text}\n")).expect("a file for the namespace");
        self.mounts += &format!("mount --bind '{}' /etc/{name} || exit 99\n", file.display());
        self
    }

    /// Shell commands that run before sockit; processes that they leave in the background end with
    /// it.
    pub fn before(mut self, script: &str) -> Namespace {
        self.before = format!("{script}\n");
        self
    }

    /// Runs this command line inside; `None` where namespaces are not permitted.
    pub fn run(&self, line: &str) -> Option<Run> {
        Some(sockit(line).under(self.words()?).run())
    }

    /// The words that start a program inside, before the program's own.
    pub fn words(&self) -> Option<Vec<String>> {
        let Namespace { unshare, mounts, before, .. } = self;
        let lo = if unshare.contains(&"-n") { "ip link set lo up\n" } else { "" };
        let script = format!("{lo}{mounts}{before}exec \"$0\" \"$@\"");
        let inside = ["sh", "-c", &script];
        let words = unshare.iter().chain(&inside).map(|word| word.to_string()).collect();
        possible(unshare).then_some(words)
    }

    /// Whether namespaces are permitted; a message is printed if not.
    pub fn possible(&self) -> bool {
        possible(&self.unshare)
    }
}

fn possible(unshare: &[&str]) -> bool {
    if peer::program("ip").is_none() || peer::program(unshare[0]).is_none() {
        return false;
    }
    let mut command = Command::new(unshare[0]);
    command.args(&unshare[1..]).args(["ip", "link", "show", "lo"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let possible = command.status().is_ok_and(|status| status.success());
    if !possible {
        eprintln!("skipped: namespaces are not permitted here");
    }
    possible
}
