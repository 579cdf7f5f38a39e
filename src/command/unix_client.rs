//! `unix-client`: connects to a Unix socket and runs a session as tcp-client does, or sends datagrams.

use std::ffi::OsString;

use crate::client::{self, ScriptStep, SessionOptions};
use crate::datagram;
use crate::datagram::client::source::DatagramSource;
use crate::datagram::client::targets::{PeerAddresses, Targets};
use crate::datagram::client::{Replies, SendJob};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::retry::RetryFlags;
use crate::flags::session::SessionFlags;
use crate::flags::values::{self, Limit};
use crate::net::stdio::StdStreams;
use crate::net::stdout::Stdout;
use crate::net::unix::{UnixAddress, dial};
use crate::report::Report;
use crate::report::context::Context;
use crate::report::hexdump::HexDump;

/// Arguments of unix-client.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Path of the socket; @NAME is in the abstract namespace
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: OsString,
    /// Send datagrams: one per --send, per piece of --input, or per line of stdin
    #[arg(long, conflicts_with_all = ["no_half_close", "half_close", "hang_up", "recv_only",
          "exit_on_eof", "input_timeout", "linger", "line_delay", "offset", "count", "output", "rate", "crlf", "stats",
          "progress", "prompt", "eol", "keep_empty", "raw_output", "idle_timeout"])]
    pub datagram: bool,
    /// Wait this long for replies after the last datagram; 0 = no limit
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::limit,
          requires = "datagram")]
    pub wait: Limit,
    /// Payload bytes of each datagram, with --datagram --input
    #[arg(long, value_name = "N", default_value = "1400", value_parser = values::buffer_size,
          requires_all = ["datagram", "input"])]
    pub size: usize,
    #[command(flatten)]
    pub(crate) session: SessionFlags,
    /// Timeout for connecting; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::limit,
          help_heading = "Connection")]
    pub connect_timeout: Limit,
    #[command(flatten)]
    pub(crate) retry: RetryFlags,
}

impl Args {
    /// Connects and runs the session, or sends the datagrams.
    ///
    /// Fails as [`client::run`] and [`datagram::client::run`] do.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let address = UnixAddress::parse(&self.path);
        if self.datagram {
            return self.send_datagrams(&address, report);
        }
        let context = Context::new(report, self.session.run_timeout())?;
        let options = SessionOptions::from(&self.session);
        let log = |event| report.on_socket_event(event);
        let connect = || {
            self.retry.retry().call(&context.shutdown, &log, || {
                dial(&address, self.connect_timeout.0, &context.shutdown, &log)
            })
        };
        client::run(&context, &options, StdStreams::of_process(), connect)
    }

    fn send_datagrams(&self, address: &UnixAddress, report: &Report) -> Result<ExitCode, Failure> {
        let context = Context::new(report, self.session.timeout.and_then(|limit| limit.0))?;
        let job = self.send_job(report)?;
        let log = |event| report.on_socket_event(event);
        let addresses = PeerAddresses::Unix { peer: address, local: None };
        let targets = Targets::new(addresses, self.retry.retry(), &context, &log);
        datagram::client::run(targets, job, &context, Stdout::standard())
    }

    fn send_job(&self, report: &Report) -> Result<SendJob, Failure> {
        let texts: Option<Vec<Vec<u8>>> = self.session.script.steps.iter().map(text).collect();
        let conflict = || Failure::usage(Phase::Receive, "--expect", "conflicts with --datagram");
        let texts = texts.ok_or_else(conflict)?;
        let input = self.session.input.as_deref();
        let source = DatagramSource::open(input, self.size, texts, rustix::stdio::stdin())?;
        let dump =
            self.session.hex.as_deref().map(|path| HexDump::open(path, report)).transpose()?;
        let wait = Replies::Print(self.wait.0);
        let replies = if self.session.pipe.send_only { Replies::Discard } else { wait };
        let (delay, input_timeout) = (self.session.delay, None);
        Ok(SendJob { source, delay, input_timeout, replies, raw: input.is_some(), dump })
    }
}

/// The text that a step sends, if it only sends.
fn text(step: &ScriptStep) -> Option<Vec<u8>> {
    match step {
        ScriptStep::Send(text) => Some(text.clone()),
        ScriptStep::Expect(_) => None,
    }
}
