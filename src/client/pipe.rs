//! A session without messages: bytes are copied unchanged in both directions.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::files::Files;
use super::options::SessionOptions;
use super::result::{CONN, SessionResult};
use crate::error::ExitCode;
use crate::net::stream::Stream;
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::{Event, Side};
use crate::report::progress::Progress;
use crate::report::sparkline::RateHistory;
use crate::transfer::Meter;
use crate::transfer::duplex::{
    Duplex, DuplexObserver, Input, LocalEnd, LocalFile, NO_END_OF_INPUT, OnLocalEof,
};

/// Copies in both directions until both have ended, or one has failed.
pub fn run(
    stream: Stream,
    options: &SessionOptions,
    mut files: Files,
    context: &Context,
) -> SessionResult {
    let [up, down] = files.transfers(options.rate);
    let meters = [up.meter.clone(), down.meter.clone()];
    let observer = Observer::new(options, &files, &context.report, meters);
    let local = local_end(options, files);
    context.report.log_delay(options.duplex.delay);
    let (options, shutdown) = (options.duplex, &context.shutdown);
    let duplex = Duplex { local, up, down, options, observer: &observer, shutdown };
    let ended = duplex.run(stream);
    observer.finish();
    let [sent, received] = &observer.meters;
    SessionResult {
        bytes_in: received.total(),
        bytes_out: sent.total(),
        by: ended.by,
        outcome: ended.outcome.map(|()| ExitCode::Done),
        sparkline: observer.sparkline(),
    }
}

/// Stdin and stdout, and the files in their place.
fn local_end(options: &SessionOptions, files: Files) -> LocalEnd {
    let mut local = LocalEnd::standard(files.std, &options.duplex);
    if let Some(file) = files.input {
        local.reader = Input::of(options.duplex.input, file, options.count);
    }
    if let Some(path) = &options.input {
        local.input = LocalFile::named(path.display());
        local.has_terminal_input = false;
    }
    if let Some(path) = &options.output {
        local.output = LocalFile::named(path.display());
    }
    match files.output {
        Some(file) if options.duplex.on_local_eof != OnLocalEof::SendOnly => {
            LocalEnd { writer: Box::new(file), ..local }
        }
        _ => local,
    }
}

/// Emits half-closes and draws progress.
struct Observer<'a> {
    report: &'a Report,
    progress: Option<Progress>,
    /// Bytes of the input, if known: what the progress bar is drawn up to.
    input_size: Option<u64>,
    rates: Option<Mutex<RateHistory>>,
    meters: [Meter; 2],
    began: Instant,
}

impl<'a> Observer<'a> {
    fn new(
        options: &SessionOptions,
        files: &Files,
        report: &'a Report,
        meters: [Meter; 2],
    ) -> Self {
        let has_files = files.input.is_some() || files.output.is_some();
        let shows_progress = (options.progress || has_files) && report.can_draw();
        let size = files.input.as_ref().and_then(|file| file.metadata().ok()).map(|meta| {
            let left = meta.len().saturating_sub(options.offset.unwrap_or(0));
            left.min(options.count.unwrap_or(u64::MAX))
        });
        let input_size = size.filter(|size| *size > 0);
        Observer {
            report,
            progress: shows_progress.then(|| Progress::new(input_size)),
            input_size,
            rates: (options.stats && report.can_draw()).then(Mutex::default),
            meters,
            began: Instant::now(),
        }
    }

    fn finish(&self) {
        self.tick();
        if let Some(progress) = &self.progress {
            progress.end();
        }
        let seconds = self.began.elapsed().as_secs_f64();
        tracing::debug!(seconds, "session has ended");
    }

    fn sparkline(&self) -> Option<String> {
        let rates = self.rates.as_ref()?;
        rates.lock().unwrap_or_else(PoisonError::into_inner).sparkline()
    }
}

impl DuplexObserver for Observer<'_> {
    fn on_local_eof(&self) {
        self.report.emit(&Event::HalfClosed { conn: CONN, by: Side::Local, peer: None });
    }

    fn on_peer_eof(&self) {
        self.report.emit(&Event::HalfClosed { conn: CONN, by: Side::Peer, peer: None });
    }

    fn peer_silent_without_input(&self) {
        self.report.warn(None, NO_END_OF_INPUT);
    }

    fn tick(&self) {
        let [sent, received] = self.meters.each_ref().map(Meter::total);
        let total = sent + received;
        if let Some(progress) = &self.progress {
            progress.set_position(if self.input_size.is_some() { sent } else { total });
        }
        if let Some(rates) = &self.rates {
            let mut rates = rates.lock().unwrap_or_else(PoisonError::into_inner);
            rates.record(self.began.elapsed(), total);
        }
    }

    fn needs_ticks(&self) -> bool {
        self.progress.is_some() || self.rates.is_some()
    }
}
