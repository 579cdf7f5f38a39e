//! `unix-client`: connects to a Unix socket and talks as tcp-client does.

use std::ffi::OsString;

use crate::client;
use crate::datagram;
use crate::datagram::client::source::DatagramSource;
use crate::datagram::client::targets::Targets;
use crate::datagram::client::{Replies, SendJob};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::retry::RetryFlags;
use crate::flags::script::Step;
use crate::flags::session::SessionFlags;
use crate::flags::values::{self, Limit};
use crate::net::unix::{UnixAddress, dial};
use crate::report::Report;
use crate::report::context::Context;
use crate::report::hexdump::Dump;

/// What the user asks of unix-client.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Path of the socket; a leading @ is the abstract namespace
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: OsString,
    /// Send datagrams: one per --send, per piece of --input, or per line of stdin
    #[arg(long, conflicts_with_all = ["no_half_close", "half_close", "hang_up", "recv_only",
          "exit_on_eof", "linger", "offset", "count", "output", "rate", "crlf", "stats",
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
    /// What to say
    #[command(flatten)]
    pub talk: SessionFlags,
    /// Limit for the connection to stand; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::limit,
          help_heading = "Connecting")]
    pub connect_timeout: Limit,
    /// What if nobody answers
    #[command(flatten)]
    pub retrying: RetryFlags,
}

impl Args {
    /// Connects and talks to the end.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let name = UnixAddress::read(&self.path);
        if self.datagram {
            return self.send_datagrams(&name, report);
        }
        let limit = self.connect_timeout.0;
        let retry = self.retrying.retry();
        let connect = |stop: &crate::shutdown::Shutdown| {
            retry.call(stop, &|step| report.on_connect_event(step), || {
                report.step(|| format!("Connecting to {name}..."));
                dial(&name, limit, stop)
            })
        };
        Ok(client::run(&self.talk, report, connect)?)
    }

    fn send_datagrams(&self, address: &UnixAddress, report: &Report) -> anyhow::Result<ExitCode> {
        let context = Context::new(report, self.talk.timeout.and_then(|limit| limit.0))?;
        let job = self.send_job(report)?;
        let log = |event| report.on_connect_event(event);
        let targets = Targets::unix(address, self.retrying.retry(), &context, &log);
        Ok(datagram::client::run(targets, job, &context)?)
    }

    fn send_job(&self, report: &Report) -> Result<SendJob, Failure> {
        let texts: Option<Vec<Vec<u8>>> = self.talk.script.steps.iter().map(text).collect();
        let conflict = || Failure::usage(Phase::Receive, "--expect", "conflicts with --datagram");
        let texts = texts.ok_or_else(conflict)?;
        let input = self.talk.input.as_deref();
        let source = DatagramSource::open(input, self.size, texts)?;
        let dump = self.talk.hex.as_deref().map(|path| Dump::open(path, report)).transpose()?;
        let wait = Replies::Print(self.wait.0);
        let replies = if self.talk.send_only { Replies::Discard } else { wait };
        Ok(SendJob { source, delay: self.talk.delay, replies, raw: input.is_some(), dump })
    }
}

/// The text that a step sends, if it only sends.
fn text(step: &Step) -> Option<Vec<u8>> {
    match step {
        Step::Send(text) => Some(text.clone()),
        Step::Expect(_) => None,
    }
}
