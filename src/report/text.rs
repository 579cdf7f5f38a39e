//! Events as lines of text.

use std::io::IsTerminal;
use std::time::Duration;

use super::escape::{escape, escape_keep_backslash};
use super::event::{ErrorEvent, Event, Side};
use super::excerpt::quoted;

/// When lines have color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR; anywhere with CLICOLOR_FORCE.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether lines have color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// No escape sequences at all.
    Plain,
    /// Errors red, warnings yellow.
    Color,
}

impl Palette {
    /// The palette of lines on stderr.
    pub fn new(color: ColorWhen) -> Palette {
        let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_colored = match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto if value("NO_COLOR").is_some() => false,
            ColorWhen::Auto => match value("CLICOLOR_FORCE") {
                Some(force) => force != "0",
                None => {
                    std::io::stderr().is_terminal() && value("TERM").is_none_or(|t| t != "dumb")
                }
            },
        };
        if is_colored { Palette::Color } else { Palette::Plain }
    }

    fn paint(self, sgr: &str, text: &str) -> String {
        match self {
            Palette::Plain => text.to_string(),
            Palette::Color => format!("\x1b[{sgr}m{text}\x1b[0m"),
        }
    }
}

/// The event as text: mostly one line, without its final line end. Text from a peer is escaped here and
/// in the text functions of the events; `netcat` and `connect_steps` escape it in their own lines.
pub fn line(event: &Event, palette: Palette) -> String {
    match event {
        Event::Listening { local, awaited } => {
            format!("Waiting for {awaited} on {}...", escape(local))
        }
        Event::Certificate { sha256 } => format!("Certificate's SHA-256: {sha256}"),
        Event::Accepted(ends) => ends.accepted(),
        Event::Connected(ends) => ends.connected(),
        Event::HalfClosed { by, peer, .. } => by.half_closed(peer.as_deref()),
        Event::Closed(closed) => closed.text(),
        Event::Fault(fault) => fault.text(),
        Event::Seed { seed } => format!("Seed of the faults: {seed} (--seed {seed} repeats them)"),
        Event::Datagram { peer, bytes, data, .. } => {
            format!("Got data from {} ({bytes} bytes){}", escape(peer), quoted(data.as_ref()))
        }
        Event::Sent(transfer) => transfer.sent(),
        Event::Received(transfer) => transfer.received(),
        Event::EndOfStream { peer, by: Side::Local, .. } => {
            format!("Sent end of stream to {}", escape(peer))
        }
        Event::EndOfStream { peer, .. } => format!("Received end of stream from {}", escape(peer)),
        Event::Request { lines, .. } => request(lines),
        Event::Totals(totals) => totals.line(),
        Event::Ping(ping) => ping.lines(),
        Event::Warning { message, .. } => {
            format!("sockit: {} {}", palette.paint("33", "warning:"), escape(message))
        }
        Event::Stats(stats) => stats.text(),
        Event::Answer(head) => head.text(),
        Event::Timings(times) => times.text(),
        Event::Error(event) => error(event, palette),
        Event::Resolved(answer) => {
            let rows = answer.rows().into_iter().map(|row| row.join("\t"));
            rows.collect::<Vec<_>>().join("\n")
        }
        Event::Checked(report) => report.line(),
        Event::Step { message, .. } | Event::Log { message } => escape(message).into_owned(),
    }
}

fn request(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("> {}", escape(line)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A duration as a number and its unit, `10 s` or `250 ms`.
pub fn duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds @ 1.0.. => format!("{seconds} s"),
        seconds => format!("{} ms", seconds * 1e3),
    }
}

fn error(event: &ErrorEvent, palette: Palette) -> String {
    let name = palette.paint("31", "sockit:");
    let step = match event.target.as_str() {
        "" => event.phase.to_string(),
        target => format!("{} {}", event.phase, escape_keep_backslash(target)),
    };
    let reason = event.reason.as_ref().map(|reason| format!("\nreason: {reason}"));
    let reason = reason.unwrap_or_default();
    let hint = event.hint.as_ref().map(|hint| format!("\nhint: {}", escape_keep_backslash(hint)));
    let cause = escape_keep_backslash(&event.cause);
    format!("{name} {step}: {cause}{reason}{}", hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Phase};

    #[test]
    fn error_is_one_line_and_at_most_one_hint() {
        let failure =
            Failure::new(Phase::Bind, "127.0.0.1:80", "Permission denied\n").with_hint("as root");
        let line = line(&Event::failure(None, &failure), Palette::Plain);
        assert_eq!(line, "sockit: bind 127.0.0.1:80: Permission denied\\n\nhint: as root");
    }

    #[test]
    fn color_depends_on_palette() {
        let event = Event::Warning { conn: None, message: "m".into() };
        assert_eq!(line(&event, Palette::Plain), "sockit: warning: m");
        assert!(line(&event, Palette::Color).contains("\x1b[33m"));
    }
}
