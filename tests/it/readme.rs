//! README.md is believed only as far as it runs: each of its console blocks is pasted into a
//! shell, and what comes out is compared with what it shows.
//!
//! In what is shown, `[..]` stands for anything within a line, and a line `...` for any lines.
//! The blocks use fixed ports as a person would, so they run in a network of their own
//! wherever the machine gives them one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ::sockit::failure::{Code, Stage};

use crate::namespace::Namespace;
use crate::running::Running;
use crate::sockit::scratch;

fn readme() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    std::fs::read_to_string(file).expect("README.md")
}

/// One command of a block, and what the block shows beneath it.
struct Shown {
    command: String,
    output: String,
}

/// The console blocks, each with its commands in order.
fn blocks(text: &str) -> Vec<Vec<Shown>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "```console" {
            let inside: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(commands(&inside));
        }
    }
    blocks
}

fn commands(lines: &[&str]) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for line in lines {
        let last = shown.last_mut();
        if let Some(command) = line.strip_prefix("$ ") {
            shown.push(Shown { command: command.to_string(), output: String::new() });
        } else if let (Some(rest), Some(last)) = (line.strip_prefix("> "), last) {
            last.command += &format!("\n{rest}");
        } else if let Some(last) = shown.last_mut() {
            last.output += &format!("{line}\n");
        }
    }
    shown
}

/// Between the outputs of two commands; no command prints it.
const MARK: &str = "--- next command of this block ---";

/// Runs a whole block in one shell, so that its jobs and variables live on from one command
/// to the next; gives the output of each.
fn outputs(block: &[Shown]) -> Vec<String> {
    let mut script = "exec 2>&1\n".to_string();
    for shown in block {
        // The sockit under test stands in for the one that would be installed.
        let command = shown.command.replace("cargo install --path . --locked", "true");
        script += &format!("{command}\necho '{MARK}'\n");
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_sockit")).parent().expect("a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let words = Namespace::new().words().unwrap_or_else(|| vec!["env".to_string()]);
    let folder = tempfile::tempdir_in(scratch()).expect("a folder to run in");
    let mut shell = Command::new(&words[0]);
    shell.args(&words[1..]).args(["bash", "-c", &script]).current_dir(folder.path());
    shell.env("PATH", format!("{}:{path}", bin.display())).env("HOME", folder.path());
    shell.env_remove("CARGO_HOME").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Running::start(shell, Some(Vec::new()), Duration::from_secs(60)).wait();
    let text = run.text();
    text.split(&format!("{MARK}\n")).map(str::to_string).collect()
}

/// Whether `got` is what `shown` says, line by line.
fn matches(shown: &[&str], got: &[&str]) -> bool {
    match (shown.split_first(), got.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => (0..=got.len()).any(|n| matches(rest, &got[n..])),
        (Some((want, rest)), Some((line, more))) => line_matches(want, line) && matches(rest, more),
        _ => false,
    }
}

fn line_matches(want: &str, line: &str) -> bool {
    let mut pieces = want.split("[..]");
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

#[test]
fn every_console_block_does_what_it_shows() {
    let mut wrong = String::new();
    for block in blocks(&readme()) {
        // The line that runs the tests is running at this moment.
        if block.iter().any(|shown| shown.command.starts_with("cargo test")) {
            continue;
        }
        // What a command in the background says comes when it comes: with the next one's.
        let (mut want, mut got) = (String::new(), String::new());
        for (shown, came) in block.iter().zip(outputs(&block)) {
            want += &shown.output;
            got += &came;
            if shown.command.ends_with('&') {
                continue;
            }
            if !matches(&want.lines().collect::<Vec<_>>(), &got.lines().collect::<Vec<_>>()) {
                wrong += &format!("$ {}\n{want}--- but it is\n{got}\n", shown.command);
            }
            want.clear();
            got.clear();
        }
    }
    assert!(wrong.is_empty(), "README.md shows what is not so:\n{wrong}");
}

#[test]
fn the_table_of_exit_codes_is_the_programs_own() {
    let text = readme();
    let rows: Vec<_> = text.lines().filter_map(code_row).collect();
    let own: Vec<_> = Code::ALL.iter().map(|(code, _)| code.number()).collect();
    let listed: Vec<_> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(listed, own, "README.md's rows are failure::Code::ALL in order");
    for ((number, meaning), (_, own)) in rows.iter().zip(Code::ALL) {
        assert_eq!(meaning.replace('`', ""), own, "the meaning of {number}");
    }
}

/// `| 7 | could not connect |` as its number and meaning.
fn code_row(line: &str) -> Option<(u8, &str)> {
    let (number, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
    Some((number.parse().ok()?, meaning))
}

#[test]
fn every_phase_is_named() {
    let text = readme();
    for stage in Stage::ALL {
        assert!(text.contains(&format!("`{stage}`")), "README.md does not name phase {stage}");
    }
}

#[test]
fn every_variable_of_the_environment_is_told_as_the_program_tells_it() {
    let text = readme().replace('`', "");
    for (names, what) in ::sockit::command::help::ENVIRONMENT {
        let row = format!("| {names} | {what} |");
        assert!(text.contains(&row), "README.md lacks the row\n{row}");
    }
}

/// Rows of the table of limits: what the row says, and where the default of its flag stands.
const LIMITS_OF_FLAGS: [(&str, &str, &str, &str); 10] = [
    ("10 s", "--connect-timeout", "tcp-client", "10s"),
    ("30 s in http-get", "--idle-timeout", "http-get", "30s"),
    ("5 s", "--timeout", "resolve", "5s"),
    ("3 s", "--grace", "tcp-server", "3s"),
    ("1024", "--max-conns", "tcp-server", "1024"),
    ("4096", "--backlog", "tcp-server", "4096"),
    ("1000 a second", "--max-rate", "udp-echo", "1000"),
    ("256 KiB", "--max-header", "http-get", "256Ki"),
    ("10", "--max-redirects", "http-get", "10"),
    ("32", "--jobs", "resolve", "32"),
];

#[test]
fn each_limit_with_a_flag_is_the_flags_default() {
    let text = readme();
    for (words, flag, page, default) in LIMITS_OF_FLAGS {
        let column = format!("| `{flag}` |");
        let told = |line: &str| line.contains(&column) && line.contains(words);
        assert!(text.lines().any(told), "README.md has no {words} at {flag}");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/help/{page}.txt"));
        let page = std::fs::read_to_string(page).expect("a page");
        let (_, about) = page.split_once(&format!("  {flag} <")).expect("the flag's entry");
        let entry = about.split("\n      --").next().unwrap_or_default();
        assert!(entry.contains(&format!("[default: {default}]")), "{flag}: {entry}");
    }
}

/// What a row says, and the constant of ours that makes it so.
const LIMITS_OF_OURS: [(&str, &str, &str, &str); 27] = [
    ("| 10 s in all |", "src/net/tls/server.rs", "LIMIT", "Duration::from_secs(10)"),
    ("| 2 s or 1 MiB |", "src/service/guest.rs", "LAST_WAIT", "Duration::from_secs(2)"),
    ("| 2 s or 1 MiB |", "src/service/guest.rs", "LAST_WORDS", "1 << 20"),
    ("| 64, for 5 s |", "src/net/pool.rs", "MOST_PARKED", "64"),
    ("| 64, for 5 s |", "src/net/pool.rs", "PARKED", "Duration::from_secs(5)"),
    ("| 100,000 |", "src/net/admit.rs", "MOST_RULES", "100_000"),
    ("| 64 KiB | `--max-message` |", "src/command/hosting/wording.rs", "MAX_MESSAGE", "64 << 10"),
    ("| 1024 lines or 1 MiB |", "src/service/chat/queue.rs", "MOST_LINES", "1024"),
    ("| 1024 lines or 1 MiB |", "src/service/chat/queue.rs", "MOST_BYTES", "1 << 20"),
    ("pause 1 ms a line", "src/service/chat/mod.rs", "BREATH", "Duration::from_millis(1)"),
    ("| 16,384 and 32 MiB,", "src/command/datagrams/held.rs", "MOST", "16_384"),
    ("| 16,384 and 32 MiB,", "src/command/datagrams/held.rs", "MOST_BYTES", "32 << 20"),
    ("| 64 at once, 10 s each |", "src/command/datagrams/programs.rs", "MOST", "64"),
    ("| 65,507 bytes |", "src/net/datagram/mod.rs", "LONGEST", "65_507"),
    ("| the last 1 MiB |", "src/command/conversation/heard.rs", "MEMORY", "1 << 20"),
    ("| 256 KiB, 1000 fields |", "src/http/answer.rs", "FIELDS", "1000"),
    ("| 20, 200 |", "src/http/answer.rs", "INTERIMS", "20"),
    ("| 20, 200 |", "src/http/chunked.rs", "TRAILERS", "200"),
    ("| 16 KiB; 64 KiB, or", "src/http/chunked.rs", "LINE", "16 * 1024"),
    ("| stacked codings | 5 |", "src/http/coding/mod.rs", "DEEPEST", "5"),
    ("| 16 MiB, of zstd 8 MiB |", "src/http/coding/mod.rs", "WINDOWS", "16 << 20"),
    ("| 16 MiB, of zstd 8 MiB |", "src/http/coding/zstd.rs", "WINDOW", "8 << 20"),
    ("| 64 MiB and 100 times", "src/http/coding/mod.rs", "BOMB_BYTES", "64 << 20"),
    ("| 64 KiB, 8 interim answers |", "src/net/proxy/http.rs", "MOST_HEADER", "64 << 10"),
    ("| 64 KiB, 8 interim answers |", "src/net/proxy/http.rs", "MOST_INTERIM", "8"),
    ("aliases of a name (`--server`) | 16 |", "src/net/dns/chain.rs", "MOST_ALIASES", "16"),
    ("(`-f`) | 4096 |", "src/command/resolve/desk.rs", "AHEAD", "4096"),
];

#[test]
fn each_limit_of_ours_is_what_the_code_has() {
    let text = readme();
    for (words, file, name, value) in LIMITS_OF_OURS {
        assert!(text.contains(words), "README.md has no row {words}");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let code = std::fs::read_to_string(&file).expect("a source file");
        let line = code.lines().find(|line| line.contains(&format!("const {name}: ")));
        let line = line.unwrap_or_else(|| panic!("{} has no {name}", file.display()));
        assert!(line.ends_with(&format!(" = {value};")), "{words}: {line}");
    }
}
