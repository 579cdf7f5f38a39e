//! `completions` and `man`: shells and formatters accept what they print.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::peer::program;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, Run, scratch, sockit};

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "elvish", "powershell"];

/// The completions for `shell`, in a file.
fn script(shell: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(scratch()).expect("a directory for the script");
    let run = sockit("completions").arg(shell).run();
    run.exits(0).logs_nothing();
    let file = folder.path().join(shell);
    std::fs::write(&file, &run.stdout).expect("the script");
    (folder, file)
}

fn run_program(words: &[&str]) -> Run {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("LC_ALL", "C.UTF-8").env("HOME", scratch());
    Process::start(command, Some(Vec::new()), LIMIT).wait()
}

#[test]
fn script_is_printed_for_every_shell() {
    for shell in SHELLS {
        let run = sockit("completions").arg(shell).run();
        run.exits(0).logs_nothing();
        assert!(run.text().contains("tcp-server"), "{shell}");
    }
    sockit("completions tcsh").run().exits(2).prints("").logs("bash");
}

#[test]
fn script_has_no_syntax_error() {
    for shell in ["bash", "zsh", "fish"] {
        if program(shell).is_none() {
            continue;
        }
        let (_folder, file) = script(shell);
        run_program(&[shell, "-n", file.to_str().unwrap()]).exits(0).prints("").logs_nothing();
    }
}

#[test]
fn bash_completes_commands_flags_services_and_files() {
    if program("bash").is_none() {
        return;
    }
    let (_folder, file) = script("bash");
    let completes = |typed: &str| {
        let count = typed.split(' ').count() - 1;
        let script = format!(
            "source '{}'; COMP_WORDS=({typed} ''); COMP_CWORD={count}; \
             [[ '{typed}' = *' ' ]] || unset 'COMP_WORDS[-1]'; \
             cur=${{COMP_WORDS[COMP_CWORD]}}; prev=${{COMP_WORDS[COMP_CWORD-1]}}; \
             _sockit sockit \"$cur\" \"$prev\" 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        run_program(&["bash", "-c", &script]).text()
    };
    assert!(completes("sockit tcp-").contains("tcp-server"));
    assert!(completes("sockit tcp-server --ser").contains("--service"));
    assert!(completes("sockit tcp-server --service ").contains("echo"));
    assert!(completes("sockit tcp-client --input /etc/host").contains("/etc/hosts"));
}

#[test]
fn fish_completes_commands_flags_and_services() {
    if program("fish").is_none() {
        return;
    }
    let (_folder, file) = script("fish");
    let completes = |typed: &str| {
        let line = format!("source '{}'; complete -C '{typed}'", file.display());
        run_program(&["fish", "-c", &line]).text()
    };
    assert!(completes("sockit tcp-").contains("tcp-server"));
    assert!(completes("sockit tcp-server --ser").contains("--service"));
    assert!(completes("sockit tcp-server --service ").contains("echo"));
}

#[test]
fn out_dir_gets_a_page_per_command() {
    let folder = tempfile::tempdir_in(scratch()).expect("a directory for the pages");
    let pages = folder.path().join("not/yet");
    sockit("man --out-dir").arg(&pages).run().exits(0).prints("").logs_nothing();
    for page in ["sockit", "sockit-tcp-client", "sockit-resolve", "sockit-man"] {
        assert!(pages.join(format!("{page}.1")).is_file(), "{page}");
    }
    let all = sockit("man").run();
    all.exits(0).logs_nothing();
    assert!(all.text().contains("SOCKIT-TCP-SERVER") && all.text().contains("\"EXIT STATUS\""));
    let one = sockit("man tcp-server").run();
    assert!(one.exits(0).text().matches(".TH ").count() == 1);
    sockit("man tcp-sever").run().exits(2).prints("").logs("no page");
    sockit("man --out-dir /proc/nowhere").run().exits(23).fails_at("file");
}

#[test]
fn groff_and_man_format_pages_without_warning() {
    let folder = tempfile::tempdir_in(scratch()).expect("a directory for the pages");
    sockit("man --out-dir").arg(folder.path()).run().exits(0);
    for page in std::fs::read_dir(folder.path()).unwrap() {
        let page = page.unwrap().path();
        let page = page.to_str().unwrap();
        if program("groff").is_some() {
            run_program(&["groff", "-man", "-Tutf8", "-ww", "-z", page]).exits(0).logs_nothing();
        }
        if program("man").is_some() {
            let run = run_program(&["man", "--warnings", "-l", page]);
            run.exits(0).logs_nothing();
            assert!(run.text().contains("EXIT STATUS"), "{page}");
        }
    }
}

#[test]
fn full_disk_exits_23_and_closed_pipe_exits_0() {
    sockit("completions bash").redirect("> /dev/full").run().exits(23);
    sockit("man").redirect("> /dev/full").run().exits(23);
    sockit("man").redirect("| head -n 1").run().exits(0).logs_nothing();
}
