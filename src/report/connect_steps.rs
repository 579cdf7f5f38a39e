//! Steps of connecting and listening in the log.

use std::fmt;

use super::escape::escape;
use super::event::Level;
use super::{Report, lock};
use crate::net::socket_event::SocketEvent;

impl Report {
    /// Logs a step of connecting or listening, or a warning. On a terminal the line of a step that
    /// takes long is begun first.
    pub fn on_socket_event(&self, event: SocketEvent) {
        match (event, self.0.netcat.get()) {
            (SocketEvent::Warning(why), _) => self.warn(None, why),
            (event, Some(words)) => {
                words.connect_line(&event).into_iter().for_each(|line| self.print_line(line));
            }
            (SocketEvent::Numeric, _) => {}
            (event, _) if event.is_beginning() => self.begin_step(&event),
            (event, _) => self.step_at(level(&event), || event.to_string()),
        }
    }

    /// The same for connection `conn` of a server, with the address of its client in front; no line
    /// is begun.
    pub fn on_socket_event_of(&self, conn: u64, client: &impl fmt::Display, event: SocketEvent) {
        match event {
            SocketEvent::Warning(why) => self.warn(Some(conn), why),
            SocketEvent::Numeric => {}
            event if event.is_beginning() => {}
            event => self.step_at(level(&event), || format!("{client}: {event}")),
        }
    }

    /// Writes the beginning of a line to a terminal that shows nothing else meanwhile, such as a trace.
    fn begin_step(&self, event: &SocketEvent) {
        let is_traced = tracing::enabled!(tracing::Level::DEBUG);
        let is_alone = self.is_verbose() && self.can_draw() && !is_traced;
        if is_alone && lock(&self.0.line_printer).is_none() {
            lock(&self.0.log).begin(&escape(&event.to_string()));
        }
    }
}

/// The level of a step of connecting.
fn level(event: &SocketEvent) -> Level {
    match event {
        SocketEvent::HandshakeMessage(_) => Level::Traffic,
        _ => Level::Step,
    }
}
