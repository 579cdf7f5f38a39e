//! The table of docs/check.md: each line of sockit does what the script beside it is for.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;

use crate::docs::tables::read;
use crate::support::namespace::Namespace;
use crate::support::process::Process;
use crate::support::sockit::scratch;

/// The column of sockit's lines.
fn documented() -> Vec<String> {
    let text = read("docs/check.md");
    let (_, table) = text.split_once("\n| script | sockit |\n").expect("the table");
    let rows = table.lines().skip(1).map_while(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split_once("` | `").expect("two cells").1);
    cells.map(|cell| cell.trim_end_matches("` |").to_string()).collect()
}

/// The services that the table names, on loopback: `db`, `cache`, `web` and `dns`, but not `old`.
const SERVICES: &str = "mount -t tmpfs tmpfs /run || exit 99
for port in 5432 6379 20 21 22 23 24 25 80 443; do
    sockit tcp-server -q --service discard --port $port &
    until grep -q \"$(printf ':%04X 00000000:0000 0A' $port)\" /proc/net/tcp; do sleep 0.01; done
done
sockit udp-echo -q --port 53 &
sockit unix-server -q /run/app.sock &
until [ -S /run/app.sock ] && grep -q ':0035 ' /proc/net/udp; do sleep 0.01; done
printf '#!/bin/sh\necho started' > server && chmod +x server
";

#[test]
fn lines_of_the_table_succeed() {
    let lines = documented();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in &lines {
        let words = shlex::split(line).expect("words");
        let parsed = ::sockit::command::Cli::try_parse_from(words);
        assert!(parsed.is_ok(), "{line}");
    }
    let machine = Namespace::new()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.1 db cache web dns\n127.0.0.9 old");
    let Some(words) = machine.words() else { return };
    // These need a proxy, and a certificate that the system trusts.
    let local = lines.iter().filter(|line| !line.contains("--proxy") && !line.contains("--tls"));
    let script = local.fold(SERVICES.to_string(), |script, line| {
        script + &format!("{line} > output 2>&1 || echo \"{line}: $? $(cat output)\"\n")
    });
    let bin = Path::new(env!("CARGO_BIN_EXE_sockit")).parent().expect("a folder");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let folder = tempfile::tempdir_in(scratch()).expect("a folder to run in");
    let mut shell = Command::new(&words[0]);
    shell.args(&words[1..]).args(["sh", "-c", &script]).current_dir(folder.path());
    shell.env("PATH", path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Process::start(shell, Some(Vec::new()), Duration::from_secs(60)).wait();
    run.exits(0).prints("").logs_nothing();
}
