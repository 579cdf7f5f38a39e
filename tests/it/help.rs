//! `--help` of every command is golden, so a changed flag shows in review.
//!
//! `SOCKIT_BLESS=1 cargo test --test it help` writes the files anew.

use std::fs;
use std::path::PathBuf;

use crate::sockit::sockit;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(format!("{name}.txt"))
}

/// The commands that the top help lists.
fn commands() -> Vec<String> {
    let help = sockit("--help").run().text();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.take_while(|line| !line.is_empty());
    names
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_string)
        .collect()
}

#[test]
fn every_help_is_as_it_was() {
    let names = commands();
    assert!(names.iter().any(|name| name == "tcp-client"), "{names:?}");
    let bless = std::env::var_os("SOCKIT_BLESS").is_some_and(|v| v == "1");
    let mut changed = Vec::new();
    for name in std::iter::once("sockit").chain(names.iter().map(String::as_str)) {
        let command = if name == "sockit" { String::new() } else { name.to_string() };
        let run = sockit(&command).and("--help").run();
        run.exits(0).is_silent();
        if bless {
            fs::create_dir_all(golden(name).parent().unwrap()).unwrap();
            fs::write(golden(name), run.text()).unwrap();
        } else if fs::read_to_string(golden(name)).unwrap_or_default() != run.text() {
            changed.push(name.to_string());
        }
    }
    assert!(
        changed.is_empty() || !whole_build(),
        "help changed: {changed:?}; SOCKIT_BLESS=1 cargo test --test it help writes it anew"
    );
}

/// Whether every feature is in, as in the builds whose help is golden.
fn whole_build() -> bool {
    cfg!(all(feature = "tls", feature = "http", feature = "prompt", feature = "progress"))
}

#[test]
fn help_tells_the_exit_codes() {
    for name in commands() {
        let run = sockit(&name).and("--help").run();
        assert!(run.text().contains("xit code"), "{name} --help has no exit codes");
    }
}

#[test]
fn short_help_fits_a_screen_or_two() {
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
    sockit("--version").run().exits(0).prints(version).is_silent();
    sockit("-V").run().exits(0).is_silent();
}

#[test]
fn no_command_at_all_is_usage() {
    let run = sockit("").run();
    run.exits(2).prints("").says("Usage");
}

#[test]
fn a_mistyped_word_is_met_with_the_likely_one() {
    sockit("tcp-clinet").run().exits(2).prints("").says("tcp-client");
    sockit("tcp-client --exepct x").run().exits(2).prints("").says("--expect");
}
