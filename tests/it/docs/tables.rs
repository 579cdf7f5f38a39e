//! The statements of README.md and docs/ that can be compared with the program: exit codes, JSON
//! events, variables, services, features, scenarios of the bench, links.

use std::path::Path;

use sockit::error::{ExitCode, Phase};

use super::console_blocks::documents;
use crate::support::sockit::{Run, sockit};

/// Reads a file of the project.
pub fn read(path: &str) -> String {
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
    let (commands, _) = page.split_once("\nLogging:\n").expect("the list of commands");
    let listed = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for command in listed {
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
    let own: Vec<_> = ExitCode::ALL.iter().map(|(code, _)| code.number()).collect();
    let listed: Vec<_> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(listed, own, "the rows are error::ExitCode::ALL in order");
    for ((number, meaning), (_, own)) in rows.iter().zip(ExitCode::ALL) {
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
    for stage in Phase::ALL {
        assert!(text.contains(&format!("`{stage}`")), "docs/exit-codes.md lacks phase {stage}");
    }
}

#[test]
fn environment_variables_are_described_as_in_help() {
    let text = read("docs/environment.md").replace('`', "");
    for (names, what) in ::sockit::usage::help::ENVIRONMENT {
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
fn services_are_those_of_the_help() {
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
    for name in &listed {
        assert!(own.contains(name), "docs/services.md has {name}, which is no service");
    }
}

/// Commands of which the documents name flags that are not sockit's.
const OTHER_PROGRAMS: [&str; 5] = ["cargo ", "curl ", "wget ", "ncat ", "wait4x "];

#[test]
fn flags_in_the_documents_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let pages = std::fs::read_dir(folder).expect("the help pages");
    let pages = pages.map(|page| std::fs::read_to_string(page.expect("a page").path()));
    let help: String = pages.map(|page| page.expect("a page")).collect();
    let known = |flag: &str| help.split([' ', ',', '\n', '[']).any(|word| word == flag);
    // The flags of netcat are compared with their table.
    for file in documents().into_iter().filter(|file| !file.ends_with("docs/nc.md")) {
        let text = std::fs::read_to_string(&file).expect("a document");
        let inline = text.lines().filter(|line| !line.starts_with("```"));
        let inline = inline.flat_map(|line| quoted(line).into_iter());
        let own = inline.filter(|word| !OTHER_PROGRAMS.iter().any(|name| word.contains(name)));
        for flag in own.flat_map(|words| words.split(' ')).filter(|word| word.starts_with("--")) {
            let flag = flag.split(['=', '[']).next().unwrap_or(flag);
            assert!(known(flag), "{}: there is no {flag}", file.display());
        }
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

/// Answers the first line of an HTTP request.
const HTTP_SERVER: &str =
    r"tcp-server --once --messages 1 --reply 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'";

/// Returns the events of a server and of a client that connects to it.
fn session_events(server: &str, client: &str) -> Vec<serde_json::Value> {
    let server = sockit(server).serve();
    let client = sockit(client).to(server.addr()).stdin("x").run();
    [events(&client), events(&server.wait())].concat()
}

/// Runs commands that together print most kinds of events.
fn sample_events() -> Vec<serde_json::Value> {
    let client = "tcp-client --json -vv --stats";
    let mut all = session_events("tcp-server --once --json --service echo", client);
    let client = "tcp-client --json --tls --insecure";
    all.extend(session_events("tcp-server --once --json --tls", client));
    let server = sockit(HTTP_SERVER).serve();
    let url = format!("http://{}/", server.addr());
    all.extend(events(&sockit("http-get --json -vv --stats").arg(url).run()));
    let server = sockit("udp-echo --json -vv").serve();
    let ping = sockit("udp-client --json --count 2 --interval 10ms").to(server.addr());
    all.extend(events(&ping.run()));
    all.extend(events(&server.stop()));
    for line in ["--all localhost", "--verify 127.0.0.1", "http/tcp", "[::"] {
        all.extend(events(&sockit(&format!("resolve --json {line}")).run()));
    }
    all.extend(relay_events());
    all.extend(events(&sockit("tcp-client --json -v 127.99.98.97 1").run()));
    all.extend(check_events());
    all
}

/// The results of checks: open under TLS and counted, and not open.
fn check_events() -> Vec<serde_json::Value> {
    let server = sockit("tcp-server --tls").serve();
    let line = format!("check --json --tls --insecure --count 2 --interval 1ms {}", server.addr());
    let mut all = events(&sockit(&line).run());
    all.extend(events(&sockit("check --json 127.99.98.97:1").run()));
    all
}

/// The events of a relay with faults that each happen once.
fn relay_events() -> Vec<serde_json::Value> {
    let server = sockit("tcp-server --service echo").serve();
    let flags = "--once --json --fault to-target:corrupt=1/5 --fault to-client:delay=1ms";
    let relay = sockit(&format!("relay 0 {} {flags}", server.addr())).serve();
    sockit("tcp-client").to(relay.addr()).stdin("hello").run();
    events(&relay.wait())
}

#[test]
fn faults_of_the_relay_are_those_of_the_program() {
    let text = read("docs/relay.md");
    let listed: Vec<_> = rows(&text).filter(|row| row[0].starts_with('`')).collect();
    let own = sockit::relay::fault::FAULTS.iter();
    let own: Vec<_> =
        own.map(|kind| vec![format!("`{}`", kind.usage), kind.effect.into()]).collect();
    assert_eq!(listed, own);
    let help = sockit("relay --help").run().text();
    for kind in sockit::relay::fault::FAULTS {
        assert!(
            help.contains(&format!("{}=", kind.name)) || help.contains(&format!("{}@", kind.name))
        );
    }
}

#[test]
fn json_events_and_their_fields_are_documented() {
    let text = read("docs/json-events.md");
    let rows: Vec<_> = rows(&text).collect();
    let sample = sample_events();
    let names = "listening certificate accepted connected half_closed closed stats step warning \
                 answer datagram totals ping resolved checked error sent received end_of_stream request \
                 fault seed";
    for name in names.split_whitespace() {
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
