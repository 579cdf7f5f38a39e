//! `-- COMMAND`: found before the wait begins, and then in the place of sockit.

use super::{check, listener};
use crate::support::peer::Refusing;

#[test]
fn command_replaces_sockit_and_its_exit_code_is_that_of_the_run() {
    let (_listener, open) = listener();
    let running = check("-q", &[open]).and("-- sh -c 'echo $$; exit 9'").start();
    let pid = running.pid();
    running.wait().exits(9).logs_nothing().prints(format!("{pid}\n"));
}

#[test]
fn command_has_stdin_environment_signals_and_descriptors_of_the_run() {
    let (_listener, open) = listener();
    let script = "cat; echo $WORD; cat <&5; kill -PIPE $$";
    let run = check("-q", &[open]).arg("--").arg("sh").arg("-c").arg(script);
    let run = run.env("WORD", "two").stdin("one\n").redirect("5<<'E'\nthree\nE\n").run();
    run.exits(128 + libc::SIGPIPE).prints("one\ntwo\nthree\n");
}

#[test]
fn missing_command_exits_26_before_the_wait() {
    let (listener, open) = listener();
    listener.set_nonblocking(true).unwrap();
    for command in ["no-such-program", "/no/such/program", "/etc/passwd", "/"] {
        let run = check("--wait 20s", &[open]).and("--").and(command).run();
        run.exits(26).prints("").fails_at("file");
    }
    let accepted = listener.accept().map_err(|e| e.kind());
    assert_eq!(accepted.unwrap_err(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn command_does_not_run_if_the_check_fails() {
    let refusing = Refusing::new();
    let run = check("-q", &[refusing.addr()]).and("-- echo no").run();
    run.exits(7).prints("");
    let run = check("-q --wait 100ms", &[refusing.addr()]).and("-- echo no").run();
    run.exits(28).prints("");
}

#[test]
fn command_after_any_runs_while_others_are_still_tried() {
    let (_listener, open) = listener();
    let silent = crate::support::peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = check("-q --any --wait 20s --timeout 20s", &[silent.addr(), open]);
    run.and("-- echo yes").run().exits(0).prints("yes\n");
}

#[test]
fn command_may_gain_privileges_and_a_check_alone_may_not() {
    let (_listener, open) = listener();
    let command = check("-q", &[open]).and("-- grep NoNewPrivs /proc/self/status");
    command.run().exits(0).prints("NoNewPrivs:\t0\n");
    let refusing = Refusing::new();
    let alone = check("-v --wait 20s", &[refusing.addr()]).start();
    alone.wait_for_log("refused");
    let status = std::fs::read_to_string(format!("/proc/{}/status", alone.pid())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
}
