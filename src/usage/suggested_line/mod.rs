//! The sockit line that does what another tool was asked for.

mod connection;
mod download;
mod query;

use super::foreign_args::ForeignArgs;
use super::line_parts::has;
use super::other_tools::Operands;
use download::Destination;

/// What is suggested for a line of another tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suggestion {
    /// A line of sockit that does the same.
    Line(String),
    /// sockit has nothing like it: what is missing.
    Unsupported(&'static str),
}

/// Flags that mean nothing without `--tls`.
const TLS: [&str; 7] =
    ["--server-name", "--ca-file", "--insecure", "--cert", "--key", "--alpn", "--pin"];

/// The line for `args`, quoted for a shell.
pub fn compose(operands: Operands, mut args: ForeignArgs) -> Option<Suggestion> {
    if let Some(what) = args.unsupported {
        return Some(Suggestion::Unsupported(what));
    }
    let words = match operands {
        Operands::Connection => connection::connection(&args),
        Operands::Telnet => connection::telnet(&mut args),
        Operands::Wait => connection::wait(&mut args),
        Operands::Urls => download::download(&args, Destination::Stdout),
        Operands::Downloads => download::download(&args, Destination::FileNamedByUrl),
        Operands::Queries | Operands::QueryAndServer => query::query(&mut args, operands),
        Operands::Unsupported(what) => Err(Some(what)),
    };
    let mut line = match words {
        Ok(words) => words,
        Err(what) => return what.map(Suggestion::Unsupported),
    };
    line.append(&mut args.flags);
    let can_use_tls = line[0].starts_with("tcp") || line[0] == "check";
    if can_use_tls && !has(&line, &["--tls"]) && has(&line, &TLS) {
        line.push("--tls".to_string());
    }
    line.append(&mut args.program);
    let quoted = shlex::try_join(line.iter().map(String::as_str)).ok()?;
    Some(Suggestion::Line(format!("sockit {quoted}")))
}
