//! A relayed connection as TCP segments (RFC 9293).

use etherparse::{TcpHeader, TcpOptionElement};

use super::endpoints::PacketEndpoints;
use crate::relay::direction::Direction;

/// Bytes of a segment at most.
const MAX_SEGMENT: usize = 16 << 10;
/// The advertised window, in units of 2^[`WINDOW_SCALE`] bytes: more than is ever in flight.
const WINDOW: u16 = u16::MAX;
const WINDOW_SCALE: u8 = 10;

/// The state of a connection: what each side sends next.
pub struct Conversation {
    endpoints: PacketEndpoints,
    client: Sender,
    target: Sender,
    is_reset: bool,
}

/// One side.
struct Sender {
    /// Its next sequence number.
    next: u32,
    has_finished: bool,
}

/// Which flags a segment has besides ACK.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    None,
    Push,
    Syn,
    Fin,
    Reset,
}

impl Conversation {
    /// A connection that is not open yet. `number` makes the initial sequence numbers, so that two
    /// connections with the same ports differ.
    pub fn new(endpoints: PacketEndpoints, number: u32) -> Conversation {
        let isn = number.wrapping_mul(0x9e37_79b9);
        Conversation::with_isn(endpoints, isn, isn.rotate_left(16))
    }

    /// As [`Conversation::new`], with the initial sequence numbers of client and target.
    pub fn with_isn(endpoints: PacketEndpoints, client: u32, target: u32) -> Conversation {
        let [client, target] = [client, target].map(|next| Sender { next, has_finished: false });
        Conversation { endpoints, client, target, is_reset: false }
    }

    /// The three segments that open the connection.
    pub fn open(&mut self) -> Vec<Vec<u8>> {
        vec![
            self.request(),
            self.segment(Direction::ToClient, Flag::Syn, &[]),
            self.segment(Direction::ToTarget, Flag::None, &[]),
        ]
    }

    /// A request to connect, and its refusal.
    pub fn refuse(&mut self) -> Vec<Vec<u8>> {
        vec![self.request(), self.segment(Direction::ToClient, Flag::Reset, &[])]
    }

    /// Bytes, and their acknowledgement.
    pub fn data(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Vec<u8>> {
        if !self.can_send(direction) {
            return Vec::new();
        }
        let segments = bytes.chunks(MAX_SEGMENT);
        let mut packets: Vec<_> =
            segments.map(|payload| self.segment(direction, Flag::Push, payload)).collect();
        packets.push(self.segment(direction.opposite(), Flag::None, &[]));
        packets
    }

    /// A FIN by the sender of `direction`, and its acknowledgement.
    pub fn finish(&mut self, direction: Direction) -> Vec<Vec<u8>> {
        if !self.can_send(direction) {
            return Vec::new();
        }
        let fin = self.segment(direction, Flag::Fin, &[]);
        self.sender(direction).has_finished = true;
        vec![fin, self.segment(direction.opposite(), Flag::None, &[])]
    }

    /// A RST by the sender of `direction`.
    pub fn reset(&mut self, direction: Direction) -> Vec<Vec<u8>> {
        if self.is_reset || self.client.has_finished && self.target.has_finished {
            return Vec::new();
        }
        self.is_reset = true;
        vec![self.segment(direction, Flag::Reset, &[])]
    }

    fn can_send(&mut self, direction: Direction) -> bool {
        !self.is_reset && !self.sender(direction).has_finished
    }

    fn sender(&mut self, direction: Direction) -> &mut Sender {
        match direction {
            Direction::ToTarget => &mut self.client,
            Direction::ToClient => &mut self.target,
        }
    }

    /// The first segment, which acknowledges nothing.
    fn request(&mut self) -> Vec<u8> {
        let mut header = header(self.client.next, Flag::Syn);
        (header.ack, header.acknowledgment_number) = (false, 0);
        self.client.next = self.client.next.wrapping_add(1);
        self.endpoints.segment(Direction::ToTarget, header, &[])
    }

    fn segment(&mut self, direction: Direction, flag: Flag, payload: &[u8]) -> Vec<u8> {
        let acknowledged = self.sender(direction.opposite()).next;
        let sender = self.sender(direction);
        let mut header = header(sender.next, flag);
        header.acknowledgment_number = acknowledged;
        let length = payload.len() as u32 + u32::from(matches!(flag, Flag::Syn | Flag::Fin));
        sender.next = sender.next.wrapping_add(length);
        self.endpoints.segment(direction, header, payload)
    }
}

fn header(sequence: u32, flag: Flag) -> TcpHeader {
    let mut header = TcpHeader::new(0, 0, sequence, WINDOW);
    header.ack = true;
    match flag {
        Flag::None => {}
        Flag::Push => header.psh = true,
        Flag::Fin => header.fin = true,
        Flag::Reset => header.rst = true,
        Flag::Syn => {
            header.syn = true;
            let size = TcpOptionElement::MaximumSegmentSize(MAX_SEGMENT as u16);
            // Two options always fit.
            let _ = header.set_options(&[size, TcpOptionElement::WindowScale(WINDOW_SCALE)]);
        }
    }
    header
}
