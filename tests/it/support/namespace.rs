//! A small machine of its own for a run: network, resolver and mounts that no other test sees.
//!
//! Made by unshare(1), as root or as a user; where the machine does not let us, the test is
//! skipped with a message.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::peer;
use crate::support::sockit::{Run, sockit};

/// What differs from the machine around it.
pub struct Namespace {
    unshare: Vec<&'static str>,
    dir: TempDir,
    mounts: String,
    before: String,
}

impl Namespace {
    /// Loopback is up, and nothing else differs yet.
    pub fn new() -> Namespace {
        let dir = tempfile::tempdir().expect("a folder for the namespace's files");
        let unshare = ["unshare", "-r", "-m", "-n", "-p", "-f", "--kill-child"].to_vec();
        Namespace { unshare, dir, mounts: String::new(), before: String::new() }
    }

    /// The network is the test's own after all, so that its peers can be reached.
    pub fn with_host_network(mut self) -> Namespace {
        self.unshare.retain(|word| *word != "-n");
        self
    }

    /// Its processes are ours after all, so that sockit is the one that is started, and hears the
    /// signals it is sent. What runs beside it must end by itself.
    pub fn with_host_processes(mut self) -> Namespace {
        self.unshare.retain(|word| !["-p", "-f", "--kill-child"].contains(word));
        self
    }

    /// Where names are looked up: `hosts: files dns`.
    pub fn nsswitch(self, text: &str) -> Namespace {
        self.etc("nsswitch.conf", text)
    }

    /// The name servers: `nameserver 127.0.0.1`.
    pub fn resolv(self, text: &str) -> Namespace {
        self.etc("resolv.conf", text)
    }

    /// Another file of /etc.
    pub fn etc(mut self, name: &str, text: &str) -> Namespace {
        let file = self.dir.path().join(name);
        fs::write(&file, format!("{text}\n")).expect("a file for the namespace");
        self.mounts += &format!("mount --bind '{}' /etc/{name} || exit 99\n", file.display());
        self
    }

    /// Shell commands that run inside before sockit does; what they leave in the background
    /// ends with it.
    pub fn before(mut self, script: &str) -> Namespace {
        self.before = format!("{script}\n");
        self
    }

    /// Runs this sockit command line inside; None where the machine lets nobody make
    /// namespaces.
    pub fn run(&self, line: &str) -> Option<Run> {
        Some(sockit(line).under(self.words()?).run())
    }

    /// The words that start a program inside, to be followed by the program's own.
    pub fn words(&self) -> Option<Vec<String>> {
        let Namespace { unshare, mounts, before, .. } = self;
        let lo = if unshare.contains(&"-n") { "ip link set lo up\n" } else { "" };
        let script = format!("{lo}{mounts}{before}exec \"$0\" \"$@\"");
        let inside = ["sh", "-c", &script];
        let words = unshare.iter().chain(&inside).map(|word| word.to_string()).collect();
        possible(unshare).then_some(words)
    }

    /// Whether the machine lets us make it; a message says so if not.
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
        eprintln!("skipped: this machine lets us make no namespaces");
    }
    possible
}
