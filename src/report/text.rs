//! Events as lines for people.

use super::escape::{escape, escape_keep_backslash};
use super::event::{
    Closed, Endpoints, ErrorEvent, Event, ResponseHead, Role, Side, Stats, Timings,
};
use super::lookup::LookupReport;

/// Whether lines carry colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// No escape sequences at all.
    Plain,
    /// Errors red, warnings yellow.
    Coloured,
}

impl Palette {
    fn paint(self, sgr: &str, text: &str) -> String {
        match self {
            Palette::Plain => text.to_string(),
            Palette::Coloured => format!("\x1b[{sgr}m{text}\x1b[0m"),
        }
    }
}

/// The event as text: one line mostly, without its final line end. Whatever a peer may have
/// chosen is escaped here and nowhere else.
pub fn line(event: &Event, palette: Palette) -> String {
    match event {
        Event::Listening { local, what } => format!("Waiting for {what} on {}...", escape(local)),
        Event::Certificate { sha256 } => format!("Certificate's SHA-256: {sha256}"),
        Event::Accepted(ends) => format!("Accept new connection from {}...", escape(&ends.peer)),
        Event::Connected(ends) => connected(ends),
        Event::HalfClosed { by, caller, .. } => half_closed(*by, caller.as_deref()),
        Event::Closed(ending) => closed(ending),
        Event::Datagram { peer, bytes, .. } => {
            format!("Got data from {} ({bytes} bytes)", escape(peer))
        }
        Event::Totals(totals) => totals.line(),
        Event::Ping(ping) => ping.lines(),
        Event::Warning { message, .. } => {
            format!("sockit: {} {}", palette.paint("33", "warning:"), escape(message))
        }
        Event::Stats(figures) => stats(figures),
        Event::Answer(head) => heading(head),
        Event::Timings(times) => timings(times),
        Event::Error(trouble) => error(trouble, palette),
        Event::Resolved(answer) => rows(answer),
        Event::Step { message } | Event::Log { message } => escape(message).into_owned(),
    }
}

fn heading(head: &ResponseHead) -> String {
    let first = format!("{} {} {}", head.version, head.status, escape(&head.reason));
    let fields = head.fields.iter().map(|(name, value)| format!("{name}: {}\n", escape(value)));
    format!("{}\n{}", first.trim_end(), fields.collect::<String>())
}

fn timings(t: &Timings) -> String {
    let first = t.first_byte.map_or("none".to_string(), |ms| format!("{ms:.3} ms"));
    format!(
        "dns {:.3} ms, connect {:.3} ms, tls {:.3} ms, first byte {first}, total {:.3} ms, {} bytes",
        t.dns, t.connect, t.tls, t.total, t.bytes
    )
}

fn rows(answer: &LookupReport) -> String {
    let rows = answer.rows().into_iter().map(|row| row.join("\t"));
    rows.collect::<Vec<_>>().join("\n")
}

fn half_closed(by: Side, caller: Option<&str>) -> String {
    match (by, caller.map(escape)) {
        (Side::Us, None) => "Half-closed: we send no more.".to_string(),
        (Side::Us, Some(caller)) => format!("Half-closed: we send no more to {caller}."),
        (Side::Peer, None) => "Half-closed: the peer sends no more.".to_string(),
        (Side::Peer, Some(caller)) => format!("Half-closed: {caller} sends no more."),
    }
}

fn connected(ends: &Endpoints) -> String {
    format!("Connected from {}\nConnected to {}", escape(&ends.local), escape(&ends.peer))
}

fn closed(c: &Closed) -> String {
    let whom = match c.role {
        Role::Server => format!("Connection from {} closed.", escape(&c.peer)),
        Role::Client => format!("Connection to {} closed.", escape(&c.peer)),
    };
    let carried = format!("{} bytes in, {} bytes out, {:.3} s", c.bytes_in, c.bytes_out, c.seconds);
    let status = c.exit_status.map(|s| format!(", exit status {s}")).unwrap_or_default();
    let saved = c.saved.as_ref().map(|path| format!(", saved as {}", escape(path)));
    let saved = saved.unwrap_or_default();
    format!("{whom} {carried}, ended by {}{status}{saved}", c.ended_by.word())
}

fn stats(s: &Stats) -> String {
    let rate = |rate: f64| bytesize::ByteSize(rate as u64).display().iec().to_string();
    let picture = s.picture.as_ref().map(|line| format!("\n{line}")).unwrap_or_default();
    format!(
        "received {} bytes ({}/s), sent {} bytes ({}/s), in {:.3} s; connected in {:.1} ms; \
         ended by {}{picture}",
        s.bytes_in,
        rate(s.rate_in),
        s.bytes_out,
        rate(s.rate_out),
        s.seconds,
        s.connect_milliseconds,
        s.ended_by.word()
    )
}

fn error(trouble: &ErrorEvent, palette: Palette) -> String {
    let name = palette.paint("31", "sockit:");
    let step = match trouble.target.as_str() {
        "" => trouble.phase.to_string(),
        target => format!("{} {}", trouble.phase, escape_keep_backslash(target)),
    };
    let hint = trouble.hint.as_ref().map(|hint| format!("\nhint: {}", escape_keep_backslash(hint)));
    format!("{name} {step}: {}{}", escape_keep_backslash(&trouble.cause), hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Phase};

    #[test]
    fn an_error_is_one_line_and_at_most_one_hint() {
        let failure =
            Failure::new(Phase::Bind, "127.0.0.1:80", "Permission denied\n").with_hint("as root");
        let line = line(&Event::failure(None, &failure), Palette::Plain);
        assert_eq!(line, "sockit: bind 127.0.0.1:80: Permission denied\\n\nhint: as root");
    }

    #[test]
    fn colour_is_only_where_it_was_asked_for() {
        let event = Event::Warning { conn: None, message: "m".into() };
        assert_eq!(line(&event, Palette::Plain), "sockit: warning: m");
        assert!(line(&event, Palette::Coloured).contains("\x1b[33m"));
    }
}
