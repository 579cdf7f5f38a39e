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

use crate::error::{ExitCode, Failure};
use crate::flags::run;
use crate::flags::session::SessionFlags;
use crate::net::stdio::is_null_device;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Stream};
use crate::report::Report;
use crate::report::event::{Closed, Endpoints, Event, Role};
use crate::shutdown::Shutdown;
use crate::transfer::duplex::InputMode;

/// The number of a client's only connection.
const CONN: u64 = 1;

/// How a conversation ended, whatever its manner.
struct SessionResult {
    bytes_in: u64,
    bytes_out: u64,
    by: EndedBy,
    outcome: Result<ExitCode, Failure>,
    /// How fast it went all the while, drawn; where somebody looks.
    picture: Option<String>,
}

impl SessionResult {
    /// A conversation that could not begin.
    fn not_started(failure: Failure) -> SessionResult {
        let outcome = Err(failure);
        SessionResult { bytes_in: 0, bytes_out: 0, by: EndedBy::Us, outcome, picture: None }
    }

    /// A truncated stream is a failure though everything was delivered; it also explains why an
    /// expectation was not met.
    fn check_truncation(&mut self, hangup: &ConnectionHandle, facts: &ConnectionInfo) {
        let explained = match &self.outcome {
            Ok(_) => true,
            Err(failure) => failure.code == ExitCode::Negative,
        };
        if let Err(failure) = hangup.check_truncation(&facts.peer, self.bytes_in)
            && explained
        {
            self.by = EndedBy::Reset;
            self.outcome = Err(failure);
        }
    }
}

/// Connects by `dial`, talks as `talk` says, and tells how it went.
///
/// Fails at whichever stage the conversation broke; what had been learnt is told before.
pub fn run(
    talk: &SessionFlags,
    report: &Report,
    dial: impl FnOnce(&Shutdown) -> Result<Stream, Failure>,
) -> Result<ExitCode, Failure> {
    let stop = run::stop(talk.limit())?;
    let mut files = files::Files::open(talk, report)?;
    let began = Instant::now();
    let stream = dial(&stop)?;
    let connected = began.elapsed();
    files.connected();
    let (facts, hangup) = (stream.facts.clone(), stream.hangup.clone());
    report.emit(&Event::Connected(Endpoints::new(CONN, &facts)));

    let mut talked = match manner(talk) {
        Mode::Script => script::run(stream, talk, files, report, &stop),
        Mode::Prompt => prompt::run(stream, talk, files, report, &stop),
        Mode::Pipe => pipe::run(stream, talk, files, report, &stop),
    };
    talked.check_truncation(&hangup, &facts);
    report.emit(&closed(&talked, &facts));
    if talk.stats {
        report.emit(&stats::event(&talked, &facts, connected));
    }
    talked.outcome.map_err(|failure| failure.of_conn(CONN))
}

enum Mode {
    Script,
    Prompt,
    Pipe,
}

fn manner(talk: &SessionFlags) -> Mode {
    let by_terminal = std::io::stdin().is_terminal() && !talk.no_prompt;
    // A prompt reads messages: there are none without input.
    let lacks_input = match talk.input_mode() {
        InputMode::Any => false,
        InputMode::Ignored => true,
        InputMode::NotNull => is_null_device(rustix::stdio::stdin()),
    };
    let wants_bytes = talk.input.is_some() || lacks_input;
    match (talk.is_script(), talk.prompt || by_terminal) {
        (true, _) => Mode::Script,
        (_, true) if !wants_bytes => Mode::Prompt,
        _ => Mode::Pipe,
    }
}

fn closed(talked: &SessionResult, facts: &ConnectionInfo) -> Event {
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
