//! `broadcast`: our stdin to every connected client.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::TcpKeepalive;

use super::queue::Queue;
use super::room::Room;
use super::{attend, input};
use crate::error::Failure;
use crate::net::stdio::reader_closed;
use crate::net::stream::EndedBy;
use crate::service::{Connection, Service, ServiceOutcome};

/// Keepalive probes that find out whether a client that sends no more is still there.
const PROBES: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(20)).with_interval(Duration::from_secs(10));
/// How often a connection whose client sends no more is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Our stdin, for all clients. It is read from the first connection on, so that nothing is lost
/// before there is anyone to send it to.
#[derive(Default)]
pub struct Broadcast {
    room: Arc<Room>,
    begun: OnceLock<()>,
    ended: Arc<AtomicBool>,
}

impl Service for Broadcast {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        attend(&self.room, guest, |guest, queue| {
            self.begun.get_or_init(|| self.begin());
            // In this order: the end of stdin closes the queues of all who are in the room.
            if self.ended.load(Ordering::SeqCst) {
                queue.close(Duration::ZERO);
            }
            stay(guest, queue)
        })
    }
}

impl Broadcast {
    fn begin(&self) {
        let (room, ended) = (self.room.clone(), self.ended.clone());
        input::start(move || {
            input::send_pieces(&room);
            ended.store(true, Ordering::SeqCst);
            room.close();
        });
    }
}

/// Drops what the client sends. One that sends no more still receives, until our stdin ends or
/// the client is gone.
fn stay(guest: &mut Connection, queue: &Queue) -> Result<EndedBy, Failure> {
    let mut unseen = [0; 4096];
    loop {
        match guest.skip(&mut unseen) {
            Ok(0) => break,
            Ok(_) => {}
            Err(late) if late.timed_out() && queue.has_moved() => {}
            Err(late) if late.timed_out() => return Err(late),
            // It has everything, and may leave without an end of its own (TLS close_notify).
            Err(_) if queue.wait(Duration::ZERO) && guest.stream.hangup.unacked_bytes() == 0 => {
                return Ok(EndedBy::Peer);
            }
            Err(failure) => return Err(failure),
        }
    }
    let hangup = guest.stream.hangup.clone();
    let _ = hangup.socket().set_tcp_keepalive(&PROBES);
    guest.activity.while_waiting(|| {
        let is_over = || hangup.closed_locally() || reader_closed(hangup.socket().as_fd());
        while !queue.wait(LOOK) && !is_over() {}
    });
    Ok(guest.ended_by())
}
