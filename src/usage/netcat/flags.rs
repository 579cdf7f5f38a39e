//! The flags of a translated netcat line, besides those of its address.

use std::time::Duration;

use super::values::{duration, quit, seconds, take, take_value};
use crate::error::Failure;
use crate::usage::foreign_args::ForeignArgs;
use crate::usage::line_parts::{access_rules, has, program_flags, words};
use crate::usage::meaning::Setting;

/// How long a peer may be silent after the end of input where netcat would exit sooner, with
/// `-w` and `-q`, and lose a late answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long stdin of a server may be silent after the end of stream of its only client.
const STDIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The same with `-k`, where the next client waits meanwhile.
const KEPT_STDIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The flags of a client of a stream.
///
/// Fails with code 2 on a malformed time.
pub fn client_flags(args: &ForeignArgs, flags: &[String]) -> Result<Vec<String>, Failure> {
    let mut line = words(&["--no-prompt"]);
    let limit = seconds("-w", args.get(Setting::Wait))?.unwrap_or_default();
    if !has(flags, &["--connect-timeout"]) {
        line.extend(words(&["--connect-timeout", &duration(limit)]));
    }
    line.extend(end_flags(args, flags)?);
    let verifies = args.has(Setting::SslVerify) || has(flags, &["--ca-file"]);
    if has(flags, &["--tls"]) && !verifies {
        line.push("--insecure".to_string());
    }
    line.extend(truncation_flag(flags));
    Ok(line)
}

/// ncat closes without close_notify.
fn truncation_flag(flags: &[String]) -> Option<String> {
    has(flags, &["--tls"]).then(|| "--allow-truncation".to_string())
}

/// The flags of a server of streams; those that mean something else there are taken out of `flags`.
///
/// Fails with code 2 on a malformed time.
pub fn server_flags(args: &ForeignArgs, flags: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    take_value(flags, "--connect-timeout");
    let is_chat = has(flags, &["--service"]);
    let program = program_flags(args);
    let has_program = !program.is_empty();
    let mut line = [access_rules(args), program].concat();
    if !has_program && !is_chat {
        line.extend(words(&["--service", "pipe"]));
        line.extend(end_flags(args, flags)?);
        // netcat exits immediately, and loses an answer of stdin that is late.
        let is_kept = args.has(Setting::KeepOpen);
        let limit = if is_kept { KEPT_STDIN_TIMEOUT } else { STDIN_TIMEOUT };
        line.push(format!("--exit-on-eof={}", duration(limit)));
    }
    if !args.has(Setting::KeepOpen) && !is_chat {
        line.push("--once".to_string());
    }
    line.extend(truncation_flag(flags));
    if let Some(file) = take_value(flags, "--ca-file") {
        line.extend(words(&["--client-ca", &file]));
    }
    Ok(line)
}

/// A server of datagrams for many senders prints what it receives; stdin has no addressee.
pub fn datagram_server_flags(args: &ForeignArgs, flags: &mut Vec<String>) -> Vec<String> {
    for flag in ["--recv-only", "--send-only", "--no-half-close", "--crlf"] {
        take(flags, flag);
    }
    let mut line = program_flags(args);
    if args.has(Setting::Unix) {
        line.push("--datagram".to_string());
        line.extend(line.len().eq(&1).then(|| "--service=pipe".to_string()));
    }
    line
}

/// The flags for `-N`, `-q` and `-w`: netcat would exit before a late answer has come.
fn end_flags(args: &ForeignArgs, flags: &[String]) -> Result<Vec<String>, Failure> {
    let (wait, quit) = (seconds("-w", args.get(Setting::Wait))?, quit(args)?);
    let mut line = Vec::new();
    let is_chosen = has(flags, &["--recv-only", "--send-only", "--no-half-close"]);
    if !is_chosen && (args.has(Setting::HalfClose) || quit.is_some()) {
        line.push("--half-close".to_string());
    }
    if let Some(limit) = wait.max(quit) {
        line.extend(words(&["--linger", &duration(limit.max(ANSWER_TIMEOUT))]));
    }
    if let Some(limit) = wait.filter(|time| !time.is_zero()) {
        line.extend(words(&["--input-timeout", &duration(limit)]));
        if !has(flags, &["--idle-timeout"]) {
            // A peer that does not read.
            line.extend(words(&["--idle-timeout", &duration(limit + ANSWER_TIMEOUT)]));
        }
    }
    Ok(line)
}
