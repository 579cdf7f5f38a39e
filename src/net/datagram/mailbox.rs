//! A bound datagram socket: waits for datagrams, sends them, and tells whose errors came back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::{Domain, Socket};

use super::super::address::Address;
use super::envelope::{Outgoing, Refused};
use super::post::{Post, Sender, is_unsupported};
use super::{Batch, plain};
use crate::stop::{Stop, Wake};

/// The kernel's own default holds 25 datagrams of 8 KiB, fewer than one burst.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The pause before a receiver that could not be woken is woken again.
const SHORTAGE: Duration = Duration::from_millis(10);

/// A datagram socket and how it is best spoken to.
#[derive(Debug)]
pub struct Mailbox {
    post: Arc<Post>,
    local: Address,
}

impl Mailbox {
    /// Sends from other threads by the same socket.
    pub fn sender(&self) -> Sender {
        Sender(self.post.clone())
    }

    /// A server's: every datagram's own destination known, merged ones taken, a wide receive buffer
    /// unless `narrow` (the user has chosen its size).
    ///
    /// A pipe that what comes is written to may be given as `outlet`: once its reader has gone,
    /// receiving brings nothing ([`Mailbox::is_unheard`]).
    ///
    /// Fails when the socket is not bound. What the system cannot do is done without.
    pub fn serving(
        socket: Socket,
        narrow: bool,
        stop: &Stop,
        outlet: Option<BorrowedFd<'static>>,
    ) -> io::Result<Mailbox> {
        let mailbox = Mailbox::calling(socket, narrow, stop)?;
        mailbox.prepare();
        mailbox.be_woken(outlet);
        Ok(mailbox)
    }

    /// A client's: connected or not, asked by [`Mailbox::receive_now`] only.
    pub fn calling(socket: Socket, narrow: bool, stop: &Stop) -> io::Result<Mailbox> {
        let local = Address::from(&socket.local_addr()?);
        if !narrow {
            widen(&socket);
        }
        Ok(Mailbox { post: Arc::new(Post::new(socket, stop)), local })
    }

    #[cfg(target_os = "linux")]
    fn prepare(&self) {
        use super::linux;
        let Some(local) = self.local.inet() else { return };
        let fd = self.post.socket.as_fd();
        let v6 = self.post.socket.domain().is_ok_and(|domain| domain == Domain::IPV6);
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

    /// Has the kernel report ICMP errors ([`Mailbox::refusals`]) though the socket is not connected.
    pub fn receive_errors(&self) {
        #[cfg(target_os = "linux")]
        {
            let v6 = self.local.inet().is_some_and(|local| local.is_ipv6());
            // Without it a refusal looks like silence.
            let _ = super::linux::hear_refusals(self.post.socket.as_fd(), v6);
        }
    }

    /// A receive that waits inside recvmmsg(2) is woken by shutting the socket down for reading,
    /// which is not said to work for sockets that are not connected (shutdown(2), `ENOTCONN`), and
    /// on Linux does.
    fn be_woken(&self, outlet: Option<BorrowedFd<'static>>) {
        let post = self.post.clone();
        let waker = std::thread::Builder::new().name("waker".into()).stack_size(64 << 10);
        let spawned = waker.spawn(move || {
            post.wait_for_the_end(outlet);
            while !shut(&post.socket) && Arc::strong_count(&post) > 1 {
                std::thread::sleep(SHORTAGE);
            }
        });
        if spawned.is_err() {
            self.post.fall_back();
        }
    }

    /// Whether the reader of the outlet has gone.
    pub fn is_unheard(&self) -> bool {
        self.post.is_unheard()
    }

    /// The bound address.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// The socket, for `poll(2)` and options.
    pub fn socket(&self) -> &Socket {
        &self.post.socket
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
        #[cfg(target_os = "linux")]
        if !self.post.is_single() {
            let done = super::linux::receive(self.post.socket.as_fd(), batch, true);
            return self.outcome(done, batch);
        }
        self.receive_until(batch, None)
    }

    /// As [`Mailbox::receive`], with 0 also when `until` has come.
    pub fn receive_until(
        &mut self,
        batch: &mut Batch,
        until: Option<Instant>,
    ) -> io::Result<usize> {
        batch.clear();
        match self.post.stop.wait(self.post.socket.as_fd(), PollFlags::IN, until)? {
            Wake::Late => Ok(0),
            Wake::Ready(_) | Wake::Stopped(_) => self.receive_now(batch),
        }
    }

    /// As [`Mailbox::receive`], without waiting.
    pub fn receive_now(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let done = self.take(batch);
        self.outcome(done, batch)
    }

    fn take(&self, batch: &mut Batch) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if !self.post.is_single() {
            return super::linux::receive(self.post.socket.as_fd(), batch, false);
        }
        plain::receive(&self.post.socket, batch)
    }

    fn outcome(&mut self, done: io::Result<usize>, batch: &mut Batch) -> io::Result<usize> {
        let failed = match done {
            Ok(_) if self.post.stop.reason().is_some() || self.is_unheard() => {
                return Ok(batch.drop_hollow());
            }
            Ok(n) => return Ok(n),
            Err(e) => e,
        };
        batch.clear();
        match failed.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(0),
            _ if is_unsupported(&failed) && !self.post.is_single() => {
                self.post.fall_back();
                Ok(0)
            }
            _ if self.post.is_refusal(&failed) => Ok(0),
            _ => Err(failed),
        }
    }

    /// As [`Sender::send`].
    pub fn send(
        &mut self,
        letters: &[Outgoing<'_>],
        lost: &mut dyn FnMut(&Outgoing<'_>, &io::Error),
    ) {
        self.post.send(letters, lost);
    }

    /// What came back since the last time this was asked: datagrams of ours that nobody wanted.
    pub fn refusals(&mut self) -> VecDeque<Refused> {
        self.post.refusals()
    }
}

/// Whether whoever waits for datagrams has been woken; a kernel that lacks memory for a moment has
/// not done it.
fn shut(socket: &Socket) -> bool {
    match socket.shutdown(std::net::Shutdown::Read) {
        Err(e) => e.kind() == ErrorKind::NotConnected,
        Ok(()) => true,
    }
}

fn widen(socket: &Socket) {
    #[cfg(target_os = "linux")]
    if super::linux::widen(socket.as_fd(), RECEIVE_BUFFER as i32).is_ok() {
        return;
    }
    // Past its limit the kernel gives what the limit allows, which is better than the default.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
}
