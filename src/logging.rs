//! Tracing to stderr, for whoever debugs sockit itself. Off unless asked for.

use std::io::{self, Write};
use std::sync::Mutex;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::report::event::Event;
use crate::report::json;
use crate::report::line_writer::LineWriter;

/// Starts the log when `-vv` (debug) or `-vvv` (trace) or `SOCKIT_LOG` or `RUST_LOG` ask for it;
/// the variables hold `target=level` lists and win over the flags.
///
/// A list that cannot be read asks for nothing. Without any of them nothing is built at all.
/// With `json` each line is an event like any other talk.
pub fn start(verbose: u8, json: bool) {
    let Some(targets) = from_environment().or_else(|| from_flags(verbose)) else { return };
    let lines = Mutex::new(LogWriter { talk: LineWriter::stderr(), json });
    let lines = tracing_subscriber::fmt::layer().with_writer(lines).with_ansi(false);
    let lines = match json {
        // An event has its time already.
        true => lines.without_time().with_filter(targets).boxed(),
        false => lines.with_filter(targets).boxed(),
    };
    // A second call finds the log already started, which is as good.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines));
}

/// The log as talk: a pipe that nobody reads costs lines and never the run.
struct LogWriter {
    talk: LineWriter,
    json: bool,
}

impl Write for LogWriter {
    /// Takes one event, which comes as one piece with its line end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event).trim_end_matches('\n').to_string();
        let _ = match self.json {
            true => self.talk.line(&json::line(&Event::Log { message: text })),
            false => self.talk.line(&text),
        };
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn from_environment() -> Option<Targets> {
    let list = std::env::var("SOCKIT_LOG").or_else(|_| std::env::var("RUST_LOG")).ok()?;
    list.parse().ok()
}

fn from_flags(verbose: u8) -> Option<Targets> {
    let level = match verbose {
        0 | 1 => return None,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Some(Targets::new().with_target("sockit", level))
}
