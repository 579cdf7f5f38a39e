//! Flags of stream servers, and the error for giving one to a datagram server.

use clap::Args;

use crate::error::{Failure, Phase};

/// Flags of stream servers, which a datagram server parses only to reject them with a reason.
#[derive(Debug, Args)]
pub struct StreamOnlyFlags {
    /// Send TEXT first
    #[arg(long, hide = true, value_name = "TEXT")]
    pub greeting: Option<String>,
    /// Close at the message WORD
    #[arg(long, hide = true, value_name = "WORD")]
    pub until: Option<String>,
    /// Close after N messages
    #[arg(long, hide = true, value_name = "N")]
    pub messages: Option<String>,
}

impl StreamOnlyFlags {
    /// Fails with code 2 if one of the flags is given.
    pub fn reject(&self) -> Result<(), Failure> {
        let flags = [
            ("--greeting", &self.greeting),
            ("--until", &self.until),
            ("--messages", &self.messages),
        ];
        match flags.into_iter().find(|(_, value)| value.is_some()) {
            Some((flag, _)) => Err(needs_stream(flag, "--max-datagrams")),
            None => Ok(()),
        }
    }
}

/// The failure for a stream flag on a datagram server, which `limit_flag` ends after N datagrams.
pub fn needs_stream(flag: &'static str, limit_flag: &str) -> Failure {
    let why = match flag {
        "--greeting" => "datagrams have no connection that could be greeted",
        "--until" | "--messages" => "datagrams have no connection that could be closed",
        "--framing" | "--max-message" => "a datagram is always one message",
        _ => "does not apply to datagrams",
    };
    let failure = Failure::usage(Phase::Receive, flag, why);
    match flag {
        "--messages" => failure.with_hint(format!("{limit_flag} N exits after N datagrams")),
        "--greeting" => failure.with_hint("--reply answers each datagram"),
        _ => failure,
    }
}
