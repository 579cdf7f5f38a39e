//! The datagram client: sends datagrams and prints the replies, until each has one or a timeout.

mod client_socket;
mod job;
pub mod ping;
mod ping_stats;
mod send_window;
mod session;
pub mod source;
mod stdin_lines;
pub mod targets;
mod udp_target;

use crate::error::{ExitCode, Failure};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::context::Context;
pub use job::{Replies, SendJob};
use session::ClientSession;
use targets::Targets;
pub use udp_target::TargetOptions;

/// Sends the datagrams of `job` and prints the replies. No reply is not a failure.
///
/// Fails with 7 on an ICMP error (18 after a reply), and at [`Phase::Send`], [`Phase::Stdin`] or
/// [`Phase::Stdout`].
///
/// [`Phase::Send`]: crate::error::Phase::Send
/// [`Phase::Stdin`]: crate::error::Phase::Stdin
/// [`Phase::Stdout`]: crate::error::Phase::Stdout
pub fn run(
    targets: Targets<'_>,
    job: SendJob,
    context: &Context,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let mut session = ClientSession::open(targets, job, context, stdout)?;
    let outcome = session.run();
    session.log_totals();
    match outcome {
        Err(failure) if !is_broken_pipe(&failure) => Err(failure),
        _ => Ok(ExitCode::Done),
    }
}
