//! What a client does with a stream that stands: pipe, prompt or script. tcp-client and
//! unix-client differ only in how they connect.

mod files;
#[cfg(feature = "prompt")]
mod line_editor;
mod match_buffer;
mod output_sink;
pub mod pattern;
mod pipe;
mod prompt;
mod prompt_input;
#[cfg(feature = "prompt")]
mod raw_mode;
mod receiver;
mod script;
mod sender;
mod stats;
mod terminal;

use std::io::IsTerminal;
use std::time::Instant;

use crate::error::{Code, Failure};
use crate::flags::run;
use crate::flags::session::Talk;
use crate::net::stdio::is_null_device;
use crate::net::stream::{Ending, Facts, Hangup, Stream};
use crate::report::Report;
use crate::report::event::{Closed, Ends, Event, Role};
use crate::shutdown::Stop;
use crate::transfer::duplex::InputMode;

/// The number of a client's only connection.
const CONN: u64 = 1;

/// How a conversation ended, whatever its manner.
struct Talked {
    bytes_in: u64,
    bytes_out: u64,
    by: Ending,
    outcome: Result<Code, Failure>,
    /// How fast it went all the while, drawn; where somebody looks.
    picture: Option<String>,
}

impl Talked {
    /// A conversation that could not begin.
    fn unbegun(failure: Failure) -> Talked {
        let outcome = Err(failure);
        Talked { bytes_in: 0, bytes_out: 0, by: Ending::Us, outcome, picture: None }
    }

    /// A truncated stream is a failure though everything was delivered; it also explains why an
    /// expectation was not met.
    fn check_truncation(&mut self, hangup: &Hangup, facts: &Facts) {
        let explained = match &self.outcome {
            Ok(_) => true,
            Err(failure) => failure.code == Code::Negative,
        };
        if let Err(failure) = hangup.check_truncation(&facts.peer, self.bytes_in)
            && explained
        {
            self.by = Ending::Reset;
            self.outcome = Err(failure);
        }
    }
}

/// Connects by `dial`, talks as `talk` says, and tells how it went.
///
/// Fails at whichever stage the conversation broke; what had been learnt is told before.
pub fn hold(
    talk: &Talk,
    report: &Report,
    dial: impl FnOnce(&Stop) -> Result<Stream, Failure>,
) -> Result<Code, Failure> {
    let stop = run::stop(talk.limit())?;
    let mut files = files::Files::open(talk, report)?;
    let began = Instant::now();
    let stream = dial(&stop)?;
    let connected = began.elapsed();
    files.connected();
    let (facts, hangup) = (stream.facts.clone(), stream.hangup.clone());
    report.tell(&Event::Connected(Ends::new(CONN, &facts)));

    let mut talked = match manner(talk) {
        Manner::Script => script::run(stream, talk, files, report, &stop),
        Manner::Prompt => prompt::run(stream, talk, files, report, &stop),
        Manner::Pipe => pipe::run(stream, talk, files, report, &stop),
    };
    talked.check_truncation(&hangup, &facts);
    report.tell(&closed(&talked, &facts));
    if talk.stats {
        report.tell(&stats::event(&talked, &facts, connected));
    }
    talked.outcome.map_err(|failure| failure.of_conn(CONN))
}

enum Manner {
    Script,
    Prompt,
    Pipe,
}

fn manner(talk: &Talk) -> Manner {
    let by_terminal = std::io::stdin().is_terminal() && !talk.no_prompt;
    // A prompt reads messages: there are none without input.
    let lacks_input = match talk.input_mode() {
        InputMode::Any => false,
        InputMode::Ignored => true,
        InputMode::NotNull => is_null_device(rustix::stdio::stdin()),
    };
    let wants_bytes = talk.input.is_some() || lacks_input;
    match (talk.is_script(), talk.prompt || by_terminal) {
        (true, _) => Manner::Script,
        (_, true) if !wants_bytes => Manner::Prompt,
        _ => Manner::Pipe,
    }
}

fn closed(talked: &Talked, facts: &Facts) -> Event {
    Event::Closed(Closed {
        conn: CONN,
        bytes_in: talked.bytes_in,
        bytes_out: talked.bytes_out,
        seconds: facts.began.elapsed().as_secs_f64(),
        local: facts.local.to_string(),
        peer: facts.peer.to_string(),
        ended_by: talked.by,
        exit_status: None,
        saved: None,
        role: Role::Client,
    })
}
