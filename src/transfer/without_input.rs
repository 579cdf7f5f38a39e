//! A session without input: when its end of stream is sent, and when a silent peer is worth a
//! warning.

use std::time::Instant;

use super::duplex::{DuplexObserver, DuplexOptions, SILENCE_LIMIT};
use super::session::{DirectionState, Session, SessionState};
use crate::net::stream::EndedBy;
use crate::shutdown::Shutdown;

impl Session {
    /// Without input our end of stream follows the peer's, the silence that `--linger` allows, or
    /// the server's own end.
    pub(super) fn end_without_input(
        &mut self,
        state: &mut SessionState,
        terms: &DuplexOptions,
        witness: &dyn DuplexObserver,
        stop: &Shutdown,
    ) {
        let drains = terms.finishes && stop.reason().is_some() && self.is_quiet(state);
        let is_due =
            drains || matches!(state.down, DirectionState::Done) || self.has_lingered(state, terms);
        let Some(mut writer) = self.idle_writer.take_if(|_| is_due) else { return };
        state.first.get_or_insert(EndedBy::Us);
        witness.on_local_eof();
        if let Err(e) = writer.finish() {
            state.up = DirectionState::Unfinished(e);
            state.broke_at.get_or_insert_with(Instant::now);
        }
    }

    /// Warns once about a peer that may be waiting for our end of stream.
    pub(super) fn warn_if_silent(&self, state: &mut SessionState, witness: &dyn DuplexObserver) {
        if self.may_warn(state) && state.moved_at.elapsed() >= SILENCE_LIMIT {
            state.warned = true;
            witness.peer_silent_without_input();
        }
    }

    /// Whether the peer may still be waiting for an end of stream that we do not send.
    pub(super) fn may_warn(&self, state: &SessionState) -> bool {
        !state.warned && matches!(state.down, DirectionState::Running)
    }
}
