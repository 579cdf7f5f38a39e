//! Flags that only a conversation has, and what is said to whoever gives them to a server of
//! datagrams.

use clap::Args;

use crate::error::{Failure, Phase};

/// Flags of servers of streams, known here only to be refused in words.
#[derive(Debug, Args)]
pub struct StreamOnlyFlags {
    /// Said first
    #[arg(long, hide = true, value_name = "TEXT")]
    pub greeting: Option<String>,
    /// Ends it
    #[arg(long, hide = true, value_name = "WORD")]
    pub until: Option<String>,
    /// Ends it too
    #[arg(long, hide = true, value_name = "N")]
    pub messages: Option<String>,
}

impl StreamOnlyFlags {
    /// Fails with code 2 when one of them was given.
    pub fn refuse(&self) -> Result<(), Failure> {
        let given = [
            ("--greeting", &self.greeting),
            ("--until", &self.until),
            ("--messages", &self.messages),
        ];
        match given.into_iter().find(|(_, value)| value.is_some()) {
            Some((flag, _)) => Err(refused(flag, "--max-datagrams")),
            None => Ok(()),
        }
    }
}

/// A flag of streams on a server of datagrams; `instead` ends that after so many.
pub fn refused(flag: &'static str, instead: &str) -> Failure {
    let why = match flag {
        "--greeting" => "a datagram is a whole conversation: nobody calls before it, to be greeted",
        "--until" | "--messages" => "a datagram is a whole conversation: there is nothing to end",
        "--framing" | "--max-message" => "a datagram is one message, whole as it came",
        _ => "means nothing to datagrams",
    };
    let failure = Failure::usage(Phase::Receive, flag, why);
    match flag {
        "--messages" => failure.with_hint(format!("{instead} N leaves after N datagrams")),
        "--greeting" => failure.with_hint("--reply answers each datagram"),
        _ => failure,
    }
}
