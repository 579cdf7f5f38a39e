//! The statements of README.md and docs/ that can be compared with the program: exit codes, JSON
//! events, limits, variables, services, features, scenarios of the bench, links.

use std::path::Path;

use ::sockit::failure::{Code, Stage};

use crate::console_blocks::documents;
use crate::sockit::{Run, sockit};

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Returns the cells of each table row, without the lines that separate a header.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(str::trim).collect())
}

/// Returns the words of `text` that are set in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn readme_is_short_and_names_every_command() {
    let text = read("README.md");
    assert!(text.lines().count() <= 200, "README.md has {} lines", text.lines().count());
    for line in ["$ cargo run --release -- tour", "$ cargo test --locked"] {
        assert!(text.lines().take(60).any(|own| own == line), "README.md does not show {line}");
    }
    let page = read("tests/help/sockit.txt");
    let (_, commands) = page.split_once("Commands:\n").expect("the list of commands");
    let commands = commands.lines().map_while(|line| line.split_whitespace().next());
    for command in commands {
        assert!(text.contains(command), "README.md does not name {command}");
    }
}

#[test]
fn relative_links_lead_to_files() {
    for file in documents() {
        let text = std::fs::read_to_string(&file).expect("a document");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => file.clone(),
                path => file.parent().expect("a folder").join(path),
            };
            assert!(target.exists(), "{}: {link}", file.display());
            let text = std::fs::read_to_string(&target).expect("a file");
            let found = anchor.is_empty() || text.lines().any(|line| self::anchor(line) == anchor);
            assert!(found, "{}: {link}", file.display());
        }
    }
}

/// Returns the anchor of a heading, as GitHub makes it; empty for another line.
fn anchor(line: &str) -> String {
    let Some((_, title)) = line.split_once("# ").filter(|_| line.starts_with('#')) else {
        return String::new();
    };
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let text = read("docs/exit-codes.md");
    let rows: Vec<_> = text.lines().filter_map(code_row).collect();
    let own: Vec<_> = Code::ALL.iter().map(|(code, _)| code.number()).collect();
    let listed: Vec<_> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(listed, own, "the rows are failure::Code::ALL in order");
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
fn phases_are_all_named() {
    let text = read("docs/exit-codes.md");
    for stage in Stage::ALL {
        assert!(text.contains(&format!("`{stage}`")), "docs/exit-codes.md lacks phase {stage}");
    }
}

#[test]
fn environment_variables_are_described_as_in_help() {
    let text = read("docs/environment.md").replace('`', "");
    for (names, what) in ::sockit::command::help::ENVIRONMENT {
        let row = format!("| {names} | {what} |");
        assert!(text.contains(&row), "docs/environment.md lacks the row\n{row}");
    }
}

#[test]
fn environment_of_a_program_is_documented() {
    let text = read("docs/environment.md");
    let server = sockit("tcp-server --once --exec env").serve();
    let run = sockit("tcp-client").to(server.addr()).run();
    let output = run.text();
    let names = output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let set = |name: &&str| ["PROTO", "TCP", "TLS"].iter().any(|prefix| name.starts_with(prefix));
    let names: Vec<_> = names.filter(set).collect();
    assert!(names.contains(&"TCPREMOTEIP"), "{output}");
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "docs/environment.md lacks {name}");
    }
    server.wait().exits(0);
}

#[test]
fn services_of_the_help_are_all_described() {
    let text = read("docs/services.md");
    let (table, _) = text.split_once("\n## ").expect("a section after the table");
    let listed: Vec<_> = rows(table).flat_map(|row| quoted(row[0]).into_iter()).collect();
    let listed: Vec<_> = listed.into_iter().filter(|word| !word.starts_with('-')).collect();
    let page = read("tests/help/tcp-server.txt");
    let (_, page) = page.split_once("--service <NAME>").expect("the flag");
    let (values, _) = page.split_once("\n\nFiles").expect("the next heading");
    let own = values.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once(':'));
    let own: Vec<_> = own.map(|(name, _)| name).collect();
    assert!(own.contains(&"hello"), "{values}");
    for name in &own {
        assert!(listed.contains(name), "docs/services.md lacks {name}");
    }
}

#[test]
fn features_are_those_of_the_manifest() {
    let text = read("docs/features.md");
    let manifest = read("Cargo.toml");
    let (_, features) = manifest.split_once("\n[features]\n").expect("features");
    let (features, _) = features.split_once("\n[").expect("the next section");
    let own = features.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let own: Vec<_> = own.filter(|name| *name != "default").collect();
    let listed = rows(&text).filter_map(|row| quoted(row[0]).first().copied());
    assert_eq!(listed.collect::<Vec<_>>(), own);
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.expect("a version").trim_matches('"');
    for page in ["README.md", "docs/features.md"] {
        assert!(read(page).contains(&format!("Rust {version} or later")), "{page}");
    }
}

#[test]
fn performance_rows_are_scenarios_of_the_bench() {
    let text = read("docs/performance.md");
    let (bench, tools) = (read("benches/peers/main.rs"), read("benches/peers/tools.rs"));
    let scenarios = bench.split("show(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let scenarios: Vec<_> = scenarios.collect();
    let rows: Vec<_> = rows(&text).skip(1).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), scenarios);
    for tool in rows.iter().flat_map(|row| row[2].split(", ")) {
        let name = tool.split(" (").next().unwrap_or(tool);
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end();
        assert!(tools.contains(&format!("tool(\"{name}\"")), "the bench has no {name}");
    }
}

/// Returns the events that a run printed on either stream.
fn events(run: &Run) -> Vec<serde_json::Value> {
    let lines = run.stderr.lines().chain(std::str::from_utf8(&run.stdout).unwrap_or("").lines());
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Runs commands that together print most kinds of events.
fn sample_events() -> Vec<serde_json::Value> {
    let server = sockit("tcp-server --once --json --service echo").serve();
    let client = sockit("tcp-client -v --json --stats").to(server.addr()).stdin("x").run();
    let mut all = [events(&client), events(&server.wait())].concat();
    let server = sockit("udp-echo --json").serve();
    all.extend(events(
        &sockit("udp-client --json --count 2 --interval 10ms").to(server.addr()).run(),
    ));
    all.extend(events(&server.stop()));
    for line in ["--all localhost", "--verify 127.0.0.1", "http/tcp", "[::"] {
        all.extend(events(&sockit(&format!("resolve --json {line}")).run()));
    }
    all.extend(events(&sockit("tcp-client --json 127.99.98.97 1").run()));
    all
}

#[test]
fn json_events_and_their_fields_are_documented() {
    let text = read("docs/json-events.md");
    let rows: Vec<_> = rows(&text).collect();
    let sample = sample_events();
    for name in
        ["listening", "accepted", "connected", "closed", "totals", "ping", "resolved", "error"]
    {
        assert!(sample.iter().any(|event| event["event"] == name), "the sample lacks {name}");
    }
    for event in &sample {
        let name = event["event"].as_str().expect("a name");
        let own = rows.iter().filter(|row| quoted(row[0]).contains(&name)).flatten();
        let fields: Vec<_> = own.flat_map(|cell| quoted(cell)).collect();
        assert!(!fields.is_empty(), "docs/json-events.md lacks {name}");
        for key in event.as_object().expect("an object").keys().map(String::as_str) {
            let known = ["event", "time"].contains(&key) || fields.contains(&key);
            assert!(known, "docs/json-events.md lacks {key} of {name}");
        }
    }
}

/// Limits with a flag: a word of the row, the flag, its help page, its default there.
const LIMITS_OF_FLAGS: [(&str, &str, &str, &str); 10] = [
    ("10 s", "--connect-timeout", "tcp-client", "10s"),
    ("30 s in http-get", "--idle-timeout", "http-get", "30s"),
    ("5 s", "--timeout", "resolve", "5s"),
    ("3 s", "--grace", "tcp-server", "3s"),
    ("1024", "--max-conns", "tcp-server", "1024"),
    ("4096", "--backlog", "tcp-server", "4096"),
    ("1000 per second", "--max-rate", "udp-echo", "1000"),
    ("256 KiB", "--max-header", "http-get", "256Ki"),
    ("10", "--max-redirects", "http-get", "10"),
    ("32", "--jobs", "resolve", "32"),
];

#[test]
fn limit_with_a_flag_is_the_default_of_the_flag() {
    let text = read("docs/limits.md");
    for (words, flag, page, default) in LIMITS_OF_FLAGS {
        let column = format!("| `{flag}` |");
        let documented = |line: &str| line.contains(&column) && line.contains(words);
        assert!(text.lines().any(documented), "docs/limits.md has no {words} at {flag}");
        let page = read(&format!("tests/help/{page}.txt"));
        let (_, about) = page.split_once(&format!("  {flag} <")).expect("the flag's entry");
        let entry = about.split("\n      --").next().unwrap_or_default();
        assert!(entry.contains(&format!("[default: {default}]")), "{flag}: {entry}");
    }
}

/// Limits without a flag: a part of the row, the file and name of the constant, its value.
const LIMITS_OF_CONSTANTS: [(&str, &str, &str, &str); 27] = [
    ("| 10 s in all |", "src/net/tls/server.rs", "LIMIT", "Duration::from_secs(10)"),
    ("| 2 s or 1 MiB |", "src/service/guest.rs", "LAST_WAIT", "Duration::from_secs(2)"),
    ("| 2 s or 1 MiB |", "src/service/guest.rs", "LAST_WORDS", "1 << 20"),
    ("| 64, for 5 s |", "src/net/pool.rs", "MOST_PARKED", "64"),
    ("| 64, for 5 s |", "src/net/pool.rs", "PARKED", "Duration::from_secs(5)"),
    ("| 100,000 |", "src/net/admit.rs", "MOST_RULES", "100_000"),
    ("| 64 KiB | `--max-message` |", "src/command/hosting/wording.rs", "MAX_MESSAGE", "64 << 10"),
    ("| 1024 lines or 1 MiB |", "src/service/chat/queue.rs", "MOST_LINES", "1024"),
    ("| 1024 lines or 1 MiB |", "src/service/chat/queue.rs", "MOST_BYTES", "1 << 20"),
    ("1 ms per line", "src/service/chat/mod.rs", "BREATH", "Duration::from_millis(1)"),
    ("| 16,384 and 32 MiB,", "src/command/datagrams/held.rs", "MOST", "16_384"),
    ("| 16,384 and 32 MiB,", "src/command/datagrams/held.rs", "MOST_BYTES", "32 << 20"),
    ("| 64, 10 s each |", "src/command/datagrams/programs.rs", "MOST", "64"),
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
fn limit_without_a_flag_is_the_constant_of_the_code() {
    let text = read("docs/limits.md");
    for (words, file, name, value) in LIMITS_OF_CONSTANTS {
        assert!(text.contains(words), "docs/limits.md has no row {words}");
        let code = read(file);
        let line = code.lines().find(|line| line.contains(&format!("const {name}: ")));
        let line = line.unwrap_or_else(|| panic!("{file} has no {name}"));
        assert!(line.ends_with(&format!(" = {value};")), "{words}: {line}");
    }
}
