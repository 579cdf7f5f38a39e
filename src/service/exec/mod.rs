//! `exec`: runs a program per connection, on its standard input and output.
//!
//! ```text
//!   peer ──receive──► child's stdin     the peer's half-close is the child's end of input
//!   peer ◄───send──── child's stdout    the child's end of output is the local half-close
//! ```
//!
//! The child has pipes, not the socket: bytes are counted, limits apply, TLS works, and a child that
//! is killed cannot reset data in flight. In every order of events the child and its process group
//! have exited at most a grace period after the connection.

mod child_io;
mod one_shot;
mod ucspi_env;

pub use one_shot::{OneShot, RunLimits};

use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::connection::half_closed;
use super::{Connection, Service, ServiceOutcome};
use crate::error::{Failure, Phase};
use crate::net::stream::{ConnectionHandle, EndedBy, Writer};
use crate::poll::{earliest, poll_until};
use crate::process::child::{Child, Leftover};
use crate::process::program::Program;
use crate::transfer::TransferError;
use child_io::{ExecExchange, InputEnd, OutputEnd, ended_by};

/// The stack of the thread that reads from the peer: TLS needs most of it.
const STACK_SIZE: usize = 256 << 10;
/// How long a peer may take to close once it has the complete output.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a wait for the peer's end is repeated where poll(2) does not report it.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The poll flag for the peer's end of stream, where there is one.
#[cfg(target_os = "linux")]
const PEER_EOF: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const PEER_EOF: PollFlags = PollFlags::empty();

/// The exec service: a program for each connection.
#[derive(Debug)]
pub struct Exec {
    program: Program,
    grace: Duration,
    host: String,
}

impl Exec {
    /// Runs `program` for each connection; it has `grace` to exit once its connection is closed.
    pub fn new(program: Program, grace: Duration) -> Exec {
        Exec { program, grace, host: ucspi_env::hostname() }
    }
}

fn transfer_failed(connection: &Connection, error: TransferError) -> Failure {
    match error {
        TransferError::Read(e) => connection.receive_failed(e),
        TransferError::Write(e) => connection.send_failed(e),
    }
}

impl Service for Exec {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let environment = ucspi_env::for_connection(connection.info(), &self.host);
        let child = self.program.start(&environment).map_err(|e| {
            connection.stream.handle.abort();
            Failure::new(Phase::File, &self.program, e)
        })?;
        tracing::debug!(program = %self.program, "exec: the program runs");
        connection.activity.set_stream();
        self.run(connection, child)
    }

    fn close(&self) {
        self.program.kill_all();
    }
}

impl Exec {
    /// Copies both directions until the connection is closed and the child has exited.
    ///
    /// Fails when there is no thread for the second direction, or the connection fails.
    fn run(
        &self,
        connection: &mut Connection,
        mut child: Child,
    ) -> Result<ServiceOutcome, Failure> {
        let stream = &mut connection.stream;
        let (handle, hook) = (&stream.handle, &connection.on_half_close);
        let (reader, writer) = (&mut stream.reader, stream.writer.as_mut());
        let (mut input, output) = (child.input.take(), child.output.take());
        let exchange = &ExecExchange::new(handle, &connection.activity);
        let receive = move || {
            let received = exchange.receive(reader.as_mut(), &mut input);
            if matches!(received, InputEnd::Eof) {
                handle.probe_peer();
                half_closed(hook, handle, EndedBy::Peer);
            }
            received
        };
        let (outcome, failure) = thread::scope(|scope| {
            let builder = thread::Builder::new().stack_size(STACK_SIZE);
            let reading = builder.spawn_scoped(scope, receive);
            let reading = reading.map_err(|e| Failure::local_resource(&stream.info.peer, e))?;
            let sent = output.map_or(OutputEnd::Complete, |output| exchange.send(writer, output));
            let state = exchange.end_output(&sent);
            let by = ended_by(state, &sent, handle);
            let exit_status = Some(self.close_connection(exchange, writer, child));
            if !reading.is_finished() {
                handle.shutdown();
            }
            let received = reading.join().unwrap_or(InputEnd::Abandoned);
            let outcome = ServiceOutcome { by, exit_status, saved: None };
            Ok((outcome, child_io::failure(state, sent, received)))
        })?;
        connection.bytes_in = exchange.received.total();
        connection.bytes_out = exchange.sent.total();
        failure.map_or(Ok(outcome), |error| Err(transfer_failed(connection, error)))
    }

    /// Closes the connection, then ends the child; returns its exit status.
    fn close_connection(
        &self,
        exchange: &ExecExchange<'_>,
        writer: &mut dyn Writer,
        child: Child,
    ) -> i32 {
        let leftover = if exchange.is_answered() {
            // A peer that is gone has read the output or never will.
            let _ = writer.half_close();
            wait_for_close_or_exit(&child, exchange.handle);
            Leftover::Keep
        } else {
            exchange.handle.abort();
            Leftover::Kill
        };
        child.terminate(self.grace, leftover)
    }
}

/// Waits until the peer has closed, at most [`CLOSE_TIMEOUT`] after the child has exited.
fn wait_for_close_or_exit(child: &Child, handle: &ConnectionHandle) {
    let mut deadline = None;
    let closed = PEER_EOF | PollFlags::HUP | PollFlags::ERR;
    loop {
        let next_check = PEER_EOF.is_empty().then(|| Instant::now() + CHECK_INTERVAL);
        let mut fds = [PollFd::new(handle.socket(), PEER_EOF)];
        let has_exited = match deadline {
            None => child.wait(&mut fds, next_check).unwrap_or(true),
            Some(_) => poll_until(&mut fds, earliest(deadline, next_check)).is_err(),
        };
        if fds[0].revents().intersects(closed) || deadline.is_some_and(|at| at <= Instant::now()) {
            return;
        }
        if has_exited && deadline.is_none() {
            deadline = Some(Instant::now() + CLOSE_TIMEOUT);
        }
    }
}
