//! When a datagram does not go out at the first try: which errors pass, and which are not its own.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::message::{LocalSource, Transmit};
use super::sender::SharedSocket;

/// How long one datagram may hold up the others while buffers are full.
const PATIENCE: Duration = Duration::from_millis(50);
/// The first pause for a device queue that is full (`ENOBUFS`); each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
/// How many errors of other datagrams one datagram takes in its stride.
const MAX_UNRELATED_ERRORS: u32 = 8;

/// Tries `letter` again after `error`, by every way that `error` leaves open.
///
/// Fails with the last error when the letter is lost, or when part of it is.
pub(super) fn retry_send(
    post: &SharedSocket,
    letter: &Transmit<'_>,
    error: io::Error,
) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let (mut error, mut pause, mut strangers) = (error, FIRST_PAUSE, 0);
    let mut letter = letter.clone();
    loop {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) if until <= Instant::now() => {
                return Err(error);
            }
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) => post.wait_writable(until),
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                // poll(2) sees the socket's buffer, not the device's queue.
                thread::sleep(pause);
                pause *= 2;
            }
            _ if strangers < MAX_UNRELATED_ERRORS && post.is_refusal(&error) => strangers += 1,
            _ if letter.count() > 1 => return one_by_one(post, &letter),
            Some(libc::EINVAL | libc::EADDRNOTAVAIL | libc::ENETUNREACH)
                if letter.origin != LocalSource::default() =>
            {
                // The address we were asked on is no longer ours, or never was one to send from, as
                // that of a whole network.
                letter.origin = LocalSource::default();
            }
            _ => return Err(error),
        }
        match post.send_batch(std::slice::from_ref(&letter)) {
            Ok(_) => return Ok(()),
            Err(e) => error = e,
        }
    }
}

/// Where the kernel does not take several as one (no `UDP_SEGMENT`, or a device too narrow for it).
fn one_by_one(post: &SharedSocket, letter: &Transmit<'_>) -> io::Result<()> {
    let mut outcome = Ok(());
    for datagram in letter.bytes.chunks(letter.segment) {
        let single = Transmit { bytes: datagram.into(), segment: 0, ..*letter };
        let done = match post.send_batch(std::slice::from_ref(&single)) {
            Err(e) => retry_send(post, &single, e),
            Ok(_) => Ok(()),
        };
        outcome = outcome.and(done);
    }
    outcome
}
