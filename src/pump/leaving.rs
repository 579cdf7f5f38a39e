//! When a conversation may be left: whether anything is owed, and whether anybody is there.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::duplex::{OnEnd, Over, Terms};
use super::referee::{Referee, State};
use super::verdict::{badly, well};
use crate::failure::Stage;
use crate::net::stdio::is_abandoned;
use crate::net::stream::Ending;
use crate::net::table::peer_is_gone;
use crate::stop::poll_until;

impl Referee {
    /// After both ends: what the kernel still holds of ours is delivered while we wait, or refused.
    pub(super) fn both_done(&self, state: &State) -> Option<Over> {
        // In this order: a Unix socket's bytes vanish with its peer, which has told an error before.
        let undelivered = self.hangup.undelivered();
        if let Ok(Some(e)) = self.hangup.socket().take_error()
            && self.sent.total() > 0
        {
            // After the peer's goodbye a reset is what our own gets from one who has closed by
            // then, and everything before it has arrived.
            let only_goodbye = self.says_goodbye && !self.hangup.unacknowledged(self.sent.total());
            return Some(match only_goodbye {
                true => well(state.first.unwrap_or(Ending::Peer)),
                false => self.send_broke(&e),
            });
        }
        if undelivered == 0 {
            return Some(well(state.first.unwrap_or(Ending::Peer)));
        }
        // Half-closed both ways, a Unix socket looks the same whether its peer reads on or not.
        let gone = self.facts.peer.inet().is_some() && state.may_look() && self.peer_has_left();
        gone.then(|| match self.hangup.undelivered() {
            0 => well(state.first.unwrap_or(Ending::Peer)),
            n => badly(Ending::Reset, self.undelivered(n)),
        })
    }

    /// After the end of our input: whether this kind of conversation is over.
    pub(super) fn may_leave(&self, terms: &Terms) -> bool {
        match terms.on_end {
            OnEnd::HangUp => self.hangup.undelivered() == 0,
            OnEnd::SendOnly => self.hangup.is_settled(),
            OnEnd::HalfClose | OnEnd::KeepOpen => false,
        }
    }

    /// After the peer's end: whether nobody is left to send to, and nothing is waiting to be sent.
    pub(super) fn is_alone(&self) -> bool {
        if self.endless {
            return true;
        }
        self.hangup.undelivered() == 0 && !self.has_more_to_say() && self.peer_has_left()
    }

    /// Whether our flow is about to send something, or to end: it has bytes in hand, or its source
    /// has. It will learn by itself that nobody is there.
    fn has_more_to_say(&self) -> bool {
        let source = match (&self.source, &self.input.0) {
            (Some(source), _) => source.as_fd(),
            (None, Stage::Stdin) => rustix::stdio::stdin(),
            (None, _) => return self.sent.holds(),
        };
        let mut fds = [PollFd::from_borrowed_fd(source, PollFlags::IN)];
        let ready = poll_until(&mut fds, Some(Instant::now()));
        self.sent.holds() || ready.is_ok_and(|ready| ready > 0)
    }

    /// Whether our input holds something that has not been taken yet.
    pub(super) fn input_waits(&self) -> bool {
        let waiting = rustix::io::ioctl_fionread(rustix::stdio::stdin()).unwrap_or(0);
        self.input.0 == Stage::Stdin && waiting > 0
    }

    fn peer_has_left(&self) -> bool {
        match (self.facts.local.inet(), self.facts.peer.inet()) {
            (Some(local), Some(peer)) => peer_is_gone(local, peer) == Some(true),
            // A Unix socket whose peer is closed hangs up (poll(2), POLLHUP); one half-close does not.
            _ => is_abandoned(self.hangup.socket().as_fd()),
        }
    }
}
