//! One session with a connected stream: pipe, prompt or script. tcp-client and unix-client differ
//! only in how they connect.

mod files;
#[cfg(feature = "prompt")]
mod line_editor;
mod match_buffer;
mod message_session;
mod options;
mod output_sink;
pub mod pattern;
mod pipe;
mod prompt;
mod prompt_input;
#[cfg(feature = "prompt")]
mod raw_mode;
mod reader_thread;
mod receiver;
mod result;
mod script;
mod sender;
mod service;
mod terminal;

use std::io::IsTerminal;
use std::os::fd::BorrowedFd;
use std::time::Instant;

pub use service::serve;

pub use options::{PromptMode, ScriptStep, SessionOptions};

use crate::error::{ExitCode, Failure};
use crate::net::stdio::{StdStreams, is_null_device};
use crate::net::stream::Stream;
use crate::process::signals;
use crate::report::context::Context;
use crate::report::event::{Endpoints, Event};
use crate::report::traffic::SentContent;
use crate::transfer::duplex::InputMode;
use message_session::MessageSession;
use result::{CONN, SessionResult};

/// Opens the files, connects by `connect`, and runs the session to its end, on the standard streams
/// `std` where no file takes their place.
///
/// Fails at the phase that broke; the events before it have been emitted.
pub fn run(
    context: &Context,
    options: &SessionOptions,
    std: StdStreams,
    connect: impl FnOnce() -> Result<Stream, Failure>,
) -> Result<ExitCode, Failure> {
    let mode = Mode::of(options, std.stdin);
    if mode != Mode::Prompt {
        // A prompt has handlers of its own, which restore the terminal.
        let _ = signals::reset_connections_on_sighup();
    }
    let mut files = files::Files::open(options, std, &context.report)?;
    let began = Instant::now();
    let stream = connect()?;
    let connect_time = began.elapsed();
    files.keep_output();
    let _span = tracing::debug_span!("connection", conn = CONN, peer = %stream.info.peer).entered();
    let (info, handle) = (stream.info.clone(), stream.handle.clone());
    let stream = context.report.observe(CONN, stream, SentContent::Shown);
    context.report.emit(&Event::Connected(Endpoints::new(CONN, &info)));

    tracing::debug!(mode = mode.name(), "session begins");
    let result = match mode {
        Mode::Pipe => Ok(pipe::run(stream, options, files, context)),
        Mode::Script => MessageSession::open(stream, options, files, context).map(script::run),
        Mode::Prompt => MessageSession::open(stream, options, files, context)
            .and_then(|session| prompt::run(session, std)),
    };
    let mut result = result.unwrap_or_else(SessionResult::not_started);
    handle.observe_close();
    result.check_truncation(&handle, &info);
    context.report.emit(&result.closed_event(&info));
    if options.stats {
        context.report.emit(&result.stats_event(&info, connect_time));
    }
    result.outcome.map_err(|failure| failure.of_conn(CONN))
}

#[derive(PartialEq)]
enum Mode {
    Script,
    Prompt,
    Pipe,
}

impl Mode {
    fn of(options: &SessionOptions, stdin: BorrowedFd<'_>) -> Mode {
        let prompts = match options.prompt {
            PromptMode::Auto => stdin.is_terminal(),
            PromptMode::Always => true,
            PromptMode::Never => false,
        };
        if !options.script.is_empty() {
            Mode::Script
        } else if prompts && has_input(options.duplex.input, stdin) {
            Mode::Prompt
        } else {
            Mode::Pipe
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Mode::Script => "script",
            Mode::Prompt => "prompt",
            Mode::Pipe => "pipe",
        }
    }
}

/// Whether there can be messages for a prompt.
fn has_input(mode: InputMode, stdin: BorrowedFd<'_>) -> bool {
    match mode {
        InputMode::Any => true,
        InputMode::Ignored => false,
        InputMode::NotNull => !is_null_device(stdin),
    }
}

#[cfg(test)]
mod tests;
