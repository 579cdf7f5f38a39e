//! A bound datagram socket: waits for datagrams, sends them, and tells whose errors came back.

use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Socket};

use super::super::address::Address;
use super::envelope::{Outgoing, Refused};
use super::{Batch, plain, resend};
use crate::stop::{Stop, poll_until};

/// The kernel's own default holds 25 datagrams of 8 KiB, fewer than one burst.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Errors kept until somebody asks; older ones are forgotten first.
const MOST_REFUSALS: usize = 64;

/// A datagram socket and how it is best spoken to.
#[derive(Debug)]
pub struct Mailbox {
    socket: Arc<Socket>,
    local: Address,
    stop: Stop,
    way: Way,
    refusals: Vec<Refused>,
}

/// Which system calls move datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// recvmmsg(2), which waits by itself, and sendmmsg(2).
    #[cfg(target_os = "linux")]
    Batches,
    /// poll(2), then one at a time.
    Singly,
}

/// Sends single answers from other threads than the mailbox's own.
#[derive(Debug, Clone)]
pub struct Sender {
    socket: Arc<Socket>,
    way: Way,
}

/// How long a full send buffer is waited for.
const ROOM_WAIT: Duration = Duration::from_secs(1);

impl Sender {
    /// Sends one letter.
    ///
    /// Fails as sendmsg(2) does, with `WouldBlock` when the buffer stays full for a second.
    pub fn send(&self, letter: &Outgoing<'_>) -> io::Result<()> {
        match self.put(letter) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(self.socket.as_ref(), PollFlags::OUT)];
                poll_until(&mut fds, Some(Instant::now() + ROOM_WAIT))?;
                self.put(letter)
            }
            done => done,
        }
    }

    fn put(&self, letter: &Outgoing<'_>) -> io::Result<()> {
        let letters = std::slice::from_ref(letter);
        match self.way {
            #[cfg(target_os = "linux")]
            Way::Batches => super::linux::send(self.socket.as_fd(), letters),
            Way::Singly => plain::send(&self.socket, letters),
        }
        .map(drop)
    }
}

impl Mailbox {
    /// Sends from other threads by the same socket.
    pub fn sender(&self) -> Sender {
        Sender { socket: self.socket.clone(), way: self.way }
    }

    /// A server's: every datagram's own destination known, merged ones taken, a wide receive buffer
    /// unless `narrow` (the user has chosen its size).
    ///
    /// Fails when the socket is not bound. What the system cannot do is done without.
    pub fn serving(socket: Socket, narrow: bool, stop: &Stop) -> io::Result<Mailbox> {
        let mailbox = Mailbox::new(socket, narrow, stop)?;
        mailbox.prepare();
        Ok(mailbox.woken_by_stop())
    }

    /// A client's: connected or not, asked by [`Mailbox::receive_now`] only.
    pub fn calling(socket: Socket, narrow: bool, stop: &Stop) -> io::Result<Mailbox> {
        Mailbox::new(socket, narrow, stop)
    }

    fn new(socket: Socket, narrow: bool, stop: &Stop) -> io::Result<Mailbox> {
        let local = Address::from(&socket.local_addr()?);
        if !narrow {
            widen(&socket);
        }
        #[cfg(target_os = "linux")]
        let way = Way::Batches;
        #[cfg(not(target_os = "linux"))]
        let way = Way::Singly;
        let (socket, stop) = (Arc::new(socket), stop.clone());
        Ok(Mailbox { socket, local, stop, way, refusals: Vec::new() })
    }

    #[cfg(target_os = "linux")]
    fn prepare(&self) {
        use super::linux;
        let Some(local) = self.local.inet() else { return };
        let fd = self.socket.as_fd();
        let v6 = self.socket.domain().is_ok_and(|domain| domain == Domain::IPV6);
        let told = |what: &str, done: io::Result<()>| {
            let _ = done.inspect_err(|e| tracing::debug!("{what}: {e}"));
        };
        if local.ip().is_unspecified() {
            told("IP_PKTINFO", linux::tell_origin(fd, v6));
        }
        told("IP_RECVERR", linux::hear_refusals(fd, v6));
        told("UDP_GRO", linux::merge(fd));
    }

    #[cfg(not(target_os = "linux"))]
    fn prepare(&self) {}

    /// A receive that waits inside recvmmsg(2) is woken by shutting the socket down for reading,
    /// which is not said to work for sockets that are not connected (shutdown(2), `ENOTCONN`), and
    /// on Linux does.
    fn woken_by_stop(mut self) -> Mailbox {
        let (stop, socket) = (self.stop.clone(), self.socket.clone());
        let waker = std::thread::Builder::new().name("waker".into()).stack_size(64 << 10);
        let spawned = waker.spawn(move || {
            while stop.reason().is_none() {
                let _ = stop.wait_any(&mut [], None);
            }
            let _ = socket.shutdown(std::net::Shutdown::Read);
        });
        if spawned.is_err() {
            self.way = Way::Singly;
        }
        self
    }

    /// The bound address.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// The socket, for `poll(2)` and options.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Room that suits this socket.
    pub fn batch(&self) -> Batch {
        match self.local {
            Address::Inet(_) => Batch::udp(),
            _ => Batch::unix(),
        }
    }

    /// Waits for datagrams and fills `batch`; 0 when the run is to end, or when only errors about
    /// datagrams of ours came ([`Mailbox::refusals`]).
    ///
    /// A failure is passing, whatever it is: the next receive may well succeed.
    pub fn receive(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let done = match self.way {
            #[cfg(target_os = "linux")]
            Way::Batches => super::linux::receive(self.socket.as_fd(), batch, true),
            Way::Singly => self
                .stop
                .wait(self.socket.as_fd(), PollFlags::IN, None)
                .and_then(|_| plain::receive(&self.socket, batch)),
        };
        self.outcome(done, batch)
    }

    /// As [`Mailbox::receive`], without waiting.
    pub fn receive_now(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let done = match self.way {
            #[cfg(target_os = "linux")]
            Way::Batches => super::linux::receive(self.socket.as_fd(), batch, false),
            Way::Singly => plain::receive(&self.socket, batch),
        };
        self.outcome(done, batch)
    }

    fn outcome(&mut self, done: io::Result<usize>, batch: &mut Batch) -> io::Result<usize> {
        let failed = match done {
            Ok(_) if self.stop.reason().is_some() => return Ok(batch.drop_hollow()),
            Ok(n) => return Ok(n),
            Err(e) => e,
        };
        batch.clear();
        match failed.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(0),
            _ if is_unsupported(&failed) && self.fall_back() => Ok(0),
            _ if self.is_refusal(&failed) => Ok(0),
            _ => Err(failed),
        }
    }

    /// Sends every letter, and tells `lost` of those that could not be sent and why.
    ///
    /// Full buffers are waited out for a moment each, and an error that belongs to an earlier
    /// datagram costs a later one nothing.
    pub fn send(
        &mut self,
        letters: &[Outgoing<'_>],
        lost: &mut dyn FnMut(&Outgoing<'_>, &io::Error),
    ) {
        let mut left = letters;
        while let Some(first) = left.first() {
            let sent = match self.put(left) {
                Ok(n) => n.max(1),
                Err(e) => {
                    if let Err(e) = resend::try_again(self, first, e) {
                        lost(first, &e);
                    }
                    1
                }
            };
            left = &left[sent..];
        }
    }

    /// One system call's worth from the front of `letters`.
    pub(super) fn put(&mut self, letters: &[Outgoing<'_>]) -> io::Result<usize> {
        let done = match self.way {
            #[cfg(target_os = "linux")]
            Way::Batches => super::linux::send(self.socket.as_fd(), letters),
            Way::Singly => plain::send(&self.socket, letters),
        };
        match done {
            Err(e) if is_unsupported(&e) && self.fall_back() => plain::send(&self.socket, letters),
            done => done,
        }
    }

    /// Waits until there is room to send, at most until `until`, or until the run is to end.
    pub(super) fn wait_for_room(&self, until: std::time::Instant) {
        let _ = self.stop.wait(self.socket.as_fd(), PollFlags::OUT, Some(until));
    }

    /// What came back since the last time this was asked: datagrams of ours that nobody wanted.
    pub fn refusals(&mut self) -> Vec<Refused> {
        mem::take(&mut self.refusals)
    }

    /// Whether `error` only tells that an earlier datagram of ours was refused; then it is kept for
    /// [`Mailbox::refusals`].
    pub(super) fn is_refusal(&mut self, error: &io::Error) -> bool {
        let before = self.refusals.len();
        self.collect_refusals();
        let Some(errno) = error.raw_os_error().filter(|errno| is_from_afar(*errno)) else {
            return self.refusals.len() > before;
        };
        if self.refusals.len() == before {
            // Only a connected socket has such errors without a queue of them.
            let Ok(peer) = self.socket.peer_addr() else { return false };
            self.keep(Refused { peer: Address::from(&peer), errno });
        }
        true
    }

    #[cfg(target_os = "linux")]
    fn collect_refusals(&mut self) {
        for _ in 0..MOST_REFUSALS {
            let Some(refused) = super::linux::refused(self.socket.as_fd()) else { return };
            self.keep(refused);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn collect_refusals(&mut self) {}

    fn keep(&mut self, refused: Refused) {
        if self.refusals.len() >= MOST_REFUSALS {
            self.refusals.remove(0);
        }
        self.refusals.push(refused);
    }

    /// Does without batches from now on; false when that is so already.
    fn fall_back(&mut self) -> bool {
        mem::replace(&mut self.way, Way::Singly) != Way::Singly
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOSYS)
}

/// Errors that ICMP brings (icmp(7); RFC 1122 §4.1.3.3).
fn is_from_afar(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENOPROTOOPT
            | libc::EPROTO
    )
}

fn widen(socket: &Socket) {
    #[cfg(target_os = "linux")]
    if super::linux::widen(socket.as_fd(), RECEIVE_BUFFER as i32).is_ok() {
        return;
    }
    // Past its limit the kernel gives what the limit allows, which is better than the default.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
}
