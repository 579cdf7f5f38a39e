//! Events as lines of text.

use std::time::Duration;

use super::escape::{escape, escape_keep_backslash};
use super::event::{
    Closed, Endpoints, ErrorEvent, Event, FaultEvent, ResponseHead, Role, Side, Stats, Timings,
    Transfer,
};
use super::excerpt::{Excerpt, byte_count, group_digits};
use super::lookup::LookupReport;

/// Whether lines have color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// No escape sequences at all.
    Plain,
    /// Errors red, warnings yellow.
    Color,
}

impl Palette {
    fn paint(self, sgr: &str, text: &str) -> String {
        match self {
            Palette::Plain => text.to_string(),
            Palette::Color => format!("\x1b[{sgr}m{text}\x1b[0m"),
        }
    }
}

/// The event as text: mostly one line, without its final line end. Text from a peer is escaped
/// here and nowhere else.
pub fn line(event: &Event, palette: Palette) -> String {
    match event {
        Event::Listening { local, awaited } => {
            format!("Waiting for {awaited} on {}...", escape(local))
        }
        Event::Certificate { sha256 } => format!("Certificate's SHA-256: {sha256}"),
        Event::Accepted(ends) => accepted(ends),
        Event::Connected(ends) => connected(ends),
        Event::HalfClosed { by, peer, .. } => half_closed(*by, peer.as_deref()),
        Event::Closed(event) => closed(event),
        Event::Fault(event) => fault(event),
        Event::Seed { seed } => format!("Seed of the faults: {seed} (--seed {seed} repeats them)"),
        Event::Datagram { peer, bytes, data, .. } => {
            format!("Got data from {} ({bytes} bytes){}", escape(peer), quoted(data.as_ref()))
        }
        Event::Sent(transfer) => sent(transfer),
        Event::Received(transfer) => received(transfer),
        Event::EndOfStream { peer, by, .. } => match by {
            Side::Local => format!("Sent end of stream to {}", escape(peer)),
            _ => format!("Received end of stream from {}", escape(peer)),
        },
        Event::Request { lines, .. } => request_head(lines),
        Event::Totals(totals) => totals.line(),
        Event::Ping(ping) => ping.lines(),
        Event::Warning { message, .. } => {
            format!("sockit: {} {}", palette.paint("33", "warning:"), escape(message))
        }
        Event::Stats(event) => stats(event),
        Event::Answer(head) => response_head(head),
        Event::Timings(times) => timings(times),
        Event::Error(event) => error(event, palette),
        Event::Resolved(answer) => rows(answer),
        Event::Checked(report) => report.line(),
        Event::Step { message, .. } | Event::Log { message } => escape(message).into_owned(),
    }
}

fn received(transfer: &Transfer) -> String {
    let (bytes, peer) = (byte_count(transfer.bytes), escape(&transfer.peer));
    format!("Received {bytes} from {peer}{}{}", calls(transfer), quoted(transfer.data.as_ref()))
}

fn request_head(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("> {}", escape(line)));
    lines.collect::<Vec<_>>().join("\n")
}

fn response_head(head: &ResponseHead) -> String {
    let first = format!("{} {} {}", head.version, head.status, escape(&head.reason));
    let fields = head.fields.iter().map(|(name, value)| format!("{name}: {}\n", escape(value)));
    let text = format!("{}\n{}", first.trim_end(), fields.collect::<String>());
    if head.is_marked {
        text.lines().map(|line| format!("< {line}")).collect::<Vec<_>>().join("\n")
    } else {
        text
    }
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

fn half_closed(by: Side, peer: Option<&str>) -> String {
    match (by, peer.map(escape)) {
        (Side::Local, None) => "Half-closed: we send no more.".to_string(),
        (Side::Local, Some(peer)) => format!("Half-closed: we send no more to {peer}."),
        (Side::Peer | Side::Client | Side::Target, None) => {
            "Half-closed: the peer sends no more.".to_string()
        }
        (Side::Peer | Side::Client | Side::Target, Some(peer)) => {
            format!("Half-closed: {peer} sends no more.")
        }
    }
}

fn fault(event: &FaultEvent) -> String {
    let direction = event.direction.map(|direction| format!(", {}", direction.replace('_', " ")));
    let offset = event.offset.map(|offset| format!(", at byte {offset}")).unwrap_or_default();
    let bit = event.bit.map(|bit| format!(", bit {bit}")).unwrap_or_default();
    let (spec, direction) = (escape(&event.spec), direction.unwrap_or_default());
    format!("Fault {spec} on connection {}{direction}{offset}{bit}", event.conn)
}

fn sent(transfer: &Transfer) -> String {
    let peer = escape(&transfer.peer);
    let bytes = byte_count(transfer.bytes);
    match (transfer.offset, transfer.of) {
        (Some(offset), _) => {
            format!("Sending the file from byte {}, {bytes} (sendfile)", group_digits(offset))
        }
        (_, Some(of)) => {
            let bytes = group_digits(transfer.bytes);
            let data = quoted(transfer.data.as_ref());
            format!("Sent {bytes} of {} to {peer}{data}", byte_count(of))
        }
        _ => {
            let data = quoted(transfer.data.as_ref());
            format!("Sent {bytes} to {peer}{}{data}", calls(transfer))
        }
    }
}

/// How many calls, for those of a second.
fn calls(transfer: &Transfer) -> String {
    let calls = transfer.calls.map(|calls| format!(" in {} calls", group_digits(calls)));
    calls.unwrap_or_default()
}

/// The beginning of the bytes, after a colon.
pub fn quoted(data: Option<&Excerpt>) -> String {
    data.map(|data| format!(": {}", data.quoted())).unwrap_or_default()
}

fn accepted(ends: &Endpoints) -> String {
    let resources = ends.resources.as_ref().map(|these| format!(" ({these})")).unwrap_or_default();
    format!("Accept new connection from {}...{resources}", escape(&ends.peer))
}

/// A duration as a number and its unit, `10 s` or `250 ms`.
pub fn duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds @ 1.0.. => format!("{seconds} s"),
        seconds => format!("{} ms", seconds * 1e3),
    }
}

fn connected(ends: &Endpoints) -> String {
    let client = ends.client.as_ref().map(|client| format!("{}: ", escape(client)));
    let (client, local, peer) = (client.unwrap_or_default(), &ends.local, &ends.peer);
    format!("{client}Connected from {}\n{client}Connected to {}", escape(local), escape(peer))
}

fn closed(c: &Closed) -> String {
    let connection = match c.role {
        Role::Server => format!("Connection from {} closed.", escape(&c.peer)),
        Role::Client => format!("Connection to {} closed.", escape(&c.peer)),
    };
    let (received, sent) = match c.relayed {
        Some(_) => ("to target", "to client"),
        None => ("in", "out"),
    };
    let bytes = format!("{} bytes {received}, {} bytes {sent}", c.bytes_in, c.bytes_out);
    let carried = format!("{bytes}, {:.3} s", c.seconds);
    let status = c.exit_status.map(|s| format!(", exit status {s}")).unwrap_or_default();
    let saved = c.saved.as_ref().map(|path| format!(", saved as {}", escape(path)));
    let saved = saved.unwrap_or_default();
    format!("{connection} {carried}, ended by {}{status}{saved}", c.ended_by.name())
}

fn stats(s: &Stats) -> String {
    let rate = |rate: f64| bytesize::ByteSize(rate as u64).display().iec().to_string();
    let sparkline = s.sparkline.as_ref().map(|line| format!("\n{line}")).unwrap_or_default();
    format!(
        "received {} bytes ({}/s), sent {} bytes ({}/s), in {:.3} s; connected in {:.1} ms; \
         ended by {}{sparkline}",
        s.bytes_in,
        rate(s.rate_in),
        s.bytes_out,
        rate(s.rate_out),
        s.seconds,
        s.connect_milliseconds,
        s.ended_by.name()
    )
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
