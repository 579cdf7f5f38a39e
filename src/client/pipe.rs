//! Bytes both ways, untouched.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::files::Files;
use super::{CONN, SessionResult};
use crate::error::{ExitCode, Phase};
use crate::flags::session::SessionFlags;
use crate::net::stdio::{FdStream, Source};
use crate::net::stream::{Stream, Writer};
use crate::report::Report;
use crate::report::event::{Event, Side};
use crate::report::progress::Progress;
use crate::report::sparkline::RateHistory;
use crate::shutdown::Shutdown;
use crate::transfer::duplex::{
    Duplex, DuplexObserver, DuplexOptions, LocalEnd, NO_END_OF_INPUT, OnLocalEof,
};
use crate::transfer::throttle::Throttle;
use crate::transfer::{Meter, TransferOptions, crlf};

/// Runs the conversation until both sides have ended, or one cannot go on.
pub fn run(
    stream: Stream,
    talk: &SessionFlags,
    mut files: Files,
    report: &Report,
    stop: &Shutdown,
) -> SessionResult {
    let (sent_tap, received_tap) = files.taps();
    let pace = || talk.rate.map(Throttle::new);
    let up = TransferOptions {
        pace: pace(),
        filter: talk.crlf.then(crlf::Crlf::default),
        tap: sent_tap,
        ..TransferOptions::default()
    };
    let down = TransferOptions { pace: pace(), tap: received_tap, ..TransferOptions::default() };
    let (sent, received) = (up.meter.clone(), down.meter.clone());
    let observer = Observer::new(talk, &files, report, &sent, &received);
    let options = DuplexOptions {
        on_end: talk.on_end(),
        idle: talk.idle_timeout.0,
        delay: talk.delay,
        shared_input: false,
        linger: talk.linger.0,
        exit_on_eof: talk.session.exit_on_eof,
        finishes: false,
    };
    let duplex = Duplex { local: local_end(talk, files), up, down, options };
    let over = duplex.run(stream, &observer, stop);
    observer.end();
    SessionResult {
        bytes_in: received.total(),
        bytes_out: sent.total(),
        by: over.by,
        outcome: over.outcome.map(|()| ExitCode::Done),
        picture: observer.picture(),
    }
}

fn local_end(talk: &SessionFlags, files: Files) -> LocalEnd {
    let endless = talk.input_file().is_none() && std::io::stdin().is_terminal();
    let input = match talk.input_file() {
        Some(path) => (Phase::File, path.display().to_string()),
        None => (Phase::Stdin, "-".to_string()),
    };
    let output = match talk.output_file() {
        Some(path) => (Phase::File, path.display().to_string()),
        None => (Phase::Stdout, "-".to_string()),
    };
    let mode = talk.input_mode();
    let reader = match files.input {
        Some(file) => mode.input(file, |file| Box::new(Source::new(file, talk.count))),
        None => mode.input(rustix::stdio::stdin(), |stdin| Box::new(Source::new(stdin, None))),
    };
    let writer: Box<dyn Writer> = match files.output {
        _ if talk.on_end() == OnLocalEof::SendOnly => Box::new(Discard),
        Some(file) => Box::new(file),
        None => Box::new(FdStream::stdout()),
    };
    LocalEnd { reader, writer, input, output, endless }
}

/// Where `--send-only` puts what comes.
struct Discard;

impl Write for Discard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Writer for Discard {
    fn finish(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells half-closes and draws progress.
struct Observer<'a> {
    report: &'a Report,
    progress: Option<Progress>,
    course: Option<Mutex<RateHistory>>,
    meters: [Meter; 2],
    began: Instant,
}

impl<'a> Observer<'a> {
    fn new(
        talk: &SessionFlags,
        files: &Files,
        report: &'a Report,
        sent: &Meter,
        received: &Meter,
    ) -> Self {
        let moves_files = files.input.is_some() || files.output.is_some();
        let shown = (talk.progress || moves_files) && report.can_draw();
        let size = files.input.as_ref().and_then(|file| file.metadata().ok()).map(|meta| {
            let left = meta.len().saturating_sub(talk.offset.unwrap_or(0));
            left.min(talk.count.unwrap_or(u64::MAX))
        });
        Observer {
            report,
            progress: shown.then(|| Progress::new(size.filter(|size| *size > 0))),
            course: (talk.stats && report.can_draw()).then(Mutex::default),
            meters: [sent.clone(), received.clone()],
            began: Instant::now(),
        }
    }

    fn end(&self) {
        self.tick();
        if let Some(progress) = &self.progress {
            progress.end();
        }
        tracing::debug!(elapsed = ?self.began.elapsed(), "conversation over");
    }
}

impl Observer<'_> {
    fn picture(&self) -> Option<String> {
        let course = self.course.as_ref()?;
        course.lock().unwrap_or_else(PoisonError::into_inner).sparkline()
    }
}

impl DuplexObserver for Observer<'_> {
    fn on_local_eof(&self) {
        self.report.emit(&Event::HalfClosed { conn: CONN, by: Side::Us, peer: None });
    }

    fn on_peer_eof(&self) {
        self.report.emit(&Event::HalfClosed { conn: CONN, by: Side::Peer, peer: None });
    }

    fn peer_silent_without_input(&self) {
        self.report.warn(None, NO_END_OF_INPUT);
    }

    fn tick(&self) {
        let total = self.meters.iter().map(Meter::total).sum();
        if let Some(progress) = &self.progress {
            progress.set_position(total);
        }
        if let Some(course) = &self.course {
            let mut course = course.lock().unwrap_or_else(PoisonError::into_inner);
            course.record(self.began.elapsed(), total);
        }
    }

    fn needs_ticks(&self) -> bool {
        self.progress.is_some() || self.course.is_some()
    }
}
