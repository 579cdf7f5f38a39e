//! Runs the console blocks of README.md and docs/ in a shell and compares the output.
//!
//! In the expected output `[..]` stands for any text within a line, and a line `...` for any
//! number of lines; ephemeral ports of 127.0.0.1, seconds and milliseconds may differ. A command that ends with
//! `&` is given time to bind its port. The blocks `console terminal 1` and `console terminal 2`,
//! in this order, run concurrently. All ports are fixed, so each block runs in a network namespace
//! of its own where the machine allows it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::namespace::Namespace;
use crate::support::process::Process;
use crate::support::sockit::scratch;

/// The Markdown files of the project: those of its root folder and of docs/.
pub fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.to_path_buf(), root.join("docs")];
    let entries = folders.iter().flat_map(|dir| std::fs::read_dir(dir).expect("a folder"));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files
}

/// A command of a block with its expected output.
struct Step {
    command: String,
    output: String,
}

/// Returns the console blocks of a document; the blocks of two terminals become one.
fn blocks(text: &str) -> Vec<Vec<Step>> {
    let mut blocks = Vec::new();
    let mut server = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(title) = line.strip_prefix("```console") else { continue };
        let inside: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        match title {
            "" => blocks.push(steps(&inside)),
            " terminal 1" => server = steps(&inside).pop(),
            " terminal 2" => {
                let server = server.take().expect("a block of terminal 1");
                blocks.push(two_terminals(server, steps(&inside)));
            }
            _ => panic!("unknown kind of block: {line}"),
        }
    }
    blocks
}

fn steps(lines: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_string(), output: String::new() });
        } else if let Some(last) = steps.last_mut() {
            last.output += &format!("{line}\n");
        }
    }
    steps
}

/// Runs the server in the background; its output is compared after that of the client.
fn two_terminals(server: Step, mut client: Vec<Step>) -> Vec<Step> {
    let start = format!("{} > terminal-1 2>&1 &", server.command);
    client.insert(0, Step { command: start, output: String::new() });
    client.push(Step { command: "wait; cat terminal-1".to_string(), output: server.output });
    client
}

/// Printed between the outputs of two commands.
const SEPARATOR: &str = "--- next command of this block ---";

/// The port of a server that names none.
const DEFAULT_PORT: u16 = 9999;

/// Returns shell text that waits until the server that `command` starts has bound its port.
fn wait_for_port(command: &str) -> String {
    let named = command.split_once("--port ").or_else(|| command.split_once("sockit relay "));
    let port = named.and_then(|(_, rest)| rest.split(' ').next());
    let port = port.map_or(DEFAULT_PORT, |word| word.parse().expect("a port"));
    // proc_net_tcp: local address, remote address, state (0A listens; 07 is an unconnected UDP socket).
    let pattern = format!("^ *[0-9]*: [0-9A-F]*:{port:04X} [0-9A-F:]* 0[A7] ");
    format!("until grep -q '{pattern}' /proc/net/tcp /proc/net/udp; do sleep 0.05; done\n")
}

/// Returns the shell text of one command.
fn script(command: &str) -> String {
    if command.starts_with("cargo test") {
        // These tests are running.
        return String::new();
    }
    let installed = command.replace("cargo run --release -- ", "sockit ");
    let wait = if command.ends_with('&') { wait_for_port(command) } else { String::new() };
    format!("{installed}\n{wait}")
}

/// Runs a block in one shell and returns the output of each command.
fn outputs(block: &[Step]) -> Vec<String> {
    let mut text = "exec 2>&1\n".to_string();
    for step in block {
        text += &format!("{}echo '{SEPARATOR}'\n", script(&step.command));
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_sockit")).parent().expect("a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let words = Namespace::new().words().unwrap_or_else(|| vec!["env".to_string()]);
    let folder = tempfile::tempdir_in(scratch()).expect("a folder to run in");
    let mut shell = Command::new(&words[0]);
    shell.args(&words[1..]).args(["bash", "-c", &text]).current_dir(folder.path());
    shell.env("PATH", format!("{}:{path}", bin.display())).env("HOME", folder.path());
    shell.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Process::start(shell, Some(Vec::new()), Duration::from_secs(60)).wait();
    run.text().split(&format!("{SEPARATOR}\n")).map(str::to_string).collect()
}

/// Replaces ephemeral ports and durations, which differ from run to run.
fn normalised(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let next = words.iter().skip(1).chain([&""]);
        let words = words.iter().zip(next).map(|(word, next)| normalised_word(word, next));
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect()
}

fn normalised_word<'a>(word: &'a str, next: &str) -> &'a str {
    let port = word.strip_prefix("127.0.0.1:").map(|rest| rest.trim_end_matches(['.', ',']));
    let is_ephemeral = |port: &str| port.parse().is_ok_and(|port: u16| port >= 32_768);
    if port.is_some_and(is_ephemeral) {
        return "127.0.0.1:PORT";
    }
    let is_duration = ["s", "s,", "ms"].contains(&next);
    if is_duration { "N" } else { word }
}

fn matches(expected: &[String], actual: &[String]) -> bool {
    match (expected.split_first(), actual.split_first()) {
        (None, None) => true,
        (Some((any, rest)), _) if any == "..." => {
            (0..=actual.len()).any(|n| matches(rest, &actual[n..]))
        }
        (Some((want, rest)), Some((line, more))) => line_matches(want, line) && matches(rest, more),
        _ => false,
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let mut pieces = expected.split("[..]");
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut open = false;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
        open = piece.is_empty();
    }
    rest.is_empty() || open
}

/// Returns what differs. The output of a background command may arrive during the next one, so
/// the two are compared together.
fn differences(block: &[Step]) -> String {
    let (mut differences, mut expected, mut actual) = (String::new(), String::new(), String::new());
    for (step, output) in block.iter().zip(outputs(block)) {
        expected += &step.output;
        actual += &output;
        if step.command.ends_with('&') {
            continue;
        }
        if !matches(&normalised(&expected), &normalised(&actual)) {
            differences += &format!("$ {}\n{expected}--- printed\n{actual}\n", step.command);
        }
        expected.clear();
        actual.clear();
    }
    differences
}

#[test]
fn console_blocks_print_what_they_show() {
    let mut failures = String::new();
    for file in documents() {
        let text = std::fs::read_to_string(&file).expect("a document");
        for block in blocks(&text) {
            // On a loaded machine a greeting may arrive later than a script waits for it (300 ms), and
            // is then part of the first reply: what differs twice is wrong.
            let first = differences(&block);
            let differences = if first.is_empty() { first } else { differences(&block) };
            if !differences.is_empty() {
                failures += &format!("{}:\n{differences}", file.display());
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn console_block_with_other_output_is_reported() {
    let wrong = blocks("```console\n$ echo one\ntwo\n```\n");
    assert!(differences(&wrong[0]).contains("--- printed\none\n"));
    let text = "```console\n$ echo one; echo 127.0.0.1:40001, 0.123 s\none\n127.0.0.1:50002, 9.000 s\n```\n";
    assert_eq!(differences(&blocks(text)[0]), "");
}
