//! `unix-client`: connects to a Unix socket and talks as tcp-client does.

use std::ffi::OsString;

use crate::client;
use crate::datagram::client::source::Source;
use crate::datagram::client::targets::Targets;
use crate::datagram::listen;
use crate::datagram::listen::{Replies, SendJob};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::retry::RetryFlags;
use crate::flags::run;
use crate::flags::script::Step;
use crate::flags::session::SessionFlags;
use crate::flags::values::{self, Limit};
use crate::net::unix::{UnixAddress, dial};
use crate::report::Report;
use crate::report::hexdump::HexDump;

/// What the user asks of unix-client.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Path of the socket; a leading @ is the abstract namespace
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: OsString,
    /// Send datagrams: each --send, each piece of --input, or each line of stdin
    #[arg(long, conflicts_with_all = ["no_half_close", "half_close", "hang_up", "recv_only",
          "exit_on_eof", "linger", "offset", "count", "output", "rate", "crlf", "stats",
          "progress", "prompt", "eol", "keep_empty", "raw_output", "idle_timeout"])]
    pub datagram: bool,
    /// Wait this long for answers to the last datagram; 0 = without limit
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::limit,
          requires = "datagram")]
    pub wait: Limit,
    /// Bytes of a datagram, with --datagram --input
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

    fn send_datagrams(&self, name: &UnixAddress, report: &Report) -> anyhow::Result<ExitCode> {
        let stop = run::stop(self.talk.timeout.and_then(|limit| limit.0))?;
        let letters = self.datagram_source(report)?;
        let tell = |step| report.on_connect_event(step);
        let lines = Targets::unix(name, self.retrying.retry(), &stop, &tell);
        Ok(listen::talk(lines, letters, report, &stop)?)
    }

    fn datagram_source(&self, report: &Report) -> Result<SendJob, Failure> {
        let texts: Option<Vec<Vec<u8>>> = self.talk.script.steps.iter().map(text).collect();
        let no_stream = || Failure::usage(Phase::Receive, "--expect", "means nothing to datagrams");
        let texts = texts.ok_or_else(no_stream)?;
        let source = match (&self.talk.input, texts.as_slice()) {
            (Some(path), _) => Source::pieces(path, self.size)?,
            (None, []) => Source::lines(),
            (None, texts) => Source::known(texts)?,
        };
        let raw = self.talk.input.is_some();
        let dump = self.talk.hex.as_deref().map(|path| HexDump::open(path, report)).transpose()?;
        let wait = Replies::Awaited(self.wait.0);
        let replies = if self.talk.send_only { Replies::Dropped } else { wait };
        Ok(SendJob { source, delay: self.talk.delay, replies, raw, dump })
    }
}

/// What a step of a script says, if it only says something.
fn text(step: &Step) -> Option<Vec<u8>> {
    match step {
        Step::Send(text) => Some(text.clone()),
        Step::Expect(_) => None,
    }
}
