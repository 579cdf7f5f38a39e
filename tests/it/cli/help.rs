//! `--help` of every command equals its golden file, so that a changed flag is visible in review.
//!
//! `SOCKIT_BLESS=1 cargo test --test it help` rewrites the files.

use std::fs;
use std::path::PathBuf;

use crate::support::sockit::sockit;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(format!("{name}.txt"))
}

/// The commands that the front page lists, in groups.
fn commands() -> Vec<String> {
    let help = sockit("--help").run().text();
    let (groups, _) = help.split_once("\nLogging:\n").expect("the list of commands");
    let names = groups.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.map(str::to_string).collect()
}

#[test]
fn help_of_every_command_is_golden() {
    let names = commands();
    assert!(names.iter().any(|name| name == "tcp-client"), "{names:?}");
    let bless = std::env::var_os("SOCKIT_BLESS").is_some_and(|v| v == "1");
    let mut changed = Vec::new();
    for name in std::iter::once("sockit").chain(names.iter().map(String::as_str)) {
        let command = if name == "sockit" { String::new() } else { name.to_string() };
        let run = sockit(&command).and("--help").run();
        run.exits(0).logs_nothing();
        if bless {
            fs::create_dir_all(golden(name).parent().unwrap()).unwrap();
            fs::write(golden(name), run.text()).unwrap();
        } else if fs::read_to_string(golden(name)).unwrap_or_default() != run.text() {
            changed.push(name.to_string());
        }
    }
    assert!(
        changed.is_empty() || !is_complete_build(),
        "help changed: {changed:?}; SOCKIT_BLESS=1 cargo test --test it help rewrites it"
    );
}

/// Whether all features are enabled, as in the builds of the golden help.
fn is_complete_build() -> bool {
    cfg!(all(feature = "tls", feature = "http", feature = "prompt", feature = "progress"))
}

#[test]
fn tables_are_in_the_help_of_sockit_alone() {
    let front = sockit("--help").run().text();
    assert!(front.contains("\nEnvironment:\n") && front.contains("\nExit codes:\n"), "{front}");
    for name in commands() {
        let long = sockit(&name).and("--help").run().text();
        assert!(!long.contains("\nExit codes:\n"), "{name}");
        assert!(
            long.ends_with("\nEnvironment variables and exit codes: sockit --help\n"),
            "{name}"
        );
    }
}

#[test]
fn front_page_lists_groups_and_ends_with_the_help_of_a_command() {
    let short = sockit("-h").run().text();
    for group in
        ["TCP", "UDP", "Unix sockets", "Between two peers", "HTTP and names", "Testing", "Shell"]
    {
        assert!(short.contains(&format!("\n\n{group}:\n  ")), "{group}\n{short}");
    }
    assert!(short.ends_with("sockit <command> -h\n"), "{short}");
}

#[test]
fn short_help_is_shorter_than_long_help() {
    for name in commands() {
        let short = sockit(&name).and("-h").run();
        let long = sockit(&name).and("--help").run();
        short.exits(0);
        assert!(short.stdout.len() <= long.stdout.len(), "{name}");
    }
}

#[test]
fn version_is_one_line_on_stdout() {
    let version = format!("sockit {}\n", env!("CARGO_PKG_VERSION"));
    sockit("--version").run().exits(0).prints(version).logs_nothing();
    sockit("-V").run().exits(0).logs_nothing();
}

#[test]
fn missing_command_is_usage_error() {
    let run = sockit("").run();
    run.exits(2).prints("").logs("Usage");
}

#[test]
fn mistyped_word_gets_the_similar_one() {
    sockit("tcp-clinet").run().exits(2).prints("").logs("tcp-client");
    sockit("tcp-client --exepct x").run().exits(2).prints("").logs("--expect");
}
