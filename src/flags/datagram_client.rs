//! The flags of a client of datagrams.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::datagram::client::ping;
use crate::datagram::client::source::Source;
use crate::datagram::client::{Replies, SendJob};
use crate::error::{Failure, Phase};
use crate::flags::connect;
use crate::flags::connect::FamilyFlags;
use crate::flags::retry::RetryFlags;
use crate::flags::socket::SocketFlags;
use crate::flags::values::{self, Limit};
use crate::report::Report;
use crate::report::hexdump::HexDump;

/// What is sent, and how long answers are awaited.
#[derive(Debug, Args)]
#[command(next_help_heading = "Asking")]
pub struct DatagramClientFlags {
    /// Send TEXT as one datagram; repeatable, with C escapes (\n) [default: each line of stdin]
    #[arg(long, value_name = "TEXT", value_parser = values::text(), allow_hyphen_values = true)]
    pub send: Vec<Vec<u8>>,
    /// Send FILE in pieces of --size bytes (- is stdin, byte for byte)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "send")]
    pub input: Option<PathBuf>,
    /// Bytes of a datagram, with --input [1400] or --count [64]
    #[arg(long, value_name = "N", value_parser = values::buffer_size)]
    pub size: Option<usize>,
    /// Ping: send N numbered datagrams and tell loss, duplicates, reorder and round trips
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000),
          conflicts_with_all = ["send", "input"])]
    pub count: Option<u32>,
    /// Time between the datagrams of a ping
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::duration,
          requires = "count", conflicts_with_all = ["send", "input"])]
    pub interval: Duration,
    /// Wait this long for answers to the last datagram; 0 = without limit
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::limit)]
    pub wait: Limit,
    /// Exit when all is sent; drop replies
    #[arg(long, conflicts_with_all = ["count", "wait"])]
    pub send_only: bool,
    /// Write a hex dump of both directions to FILE (- is stderr)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub hex: Option<PathBuf>,
    /// Limit for the whole run; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub timeout: Limit,
}

/// Pieces of a file that every path carries unbroken.
const PIECE: usize = 1400;

impl DatagramClientFlags {
    /// The ping these flags ask for, if they do.
    ///
    /// Fails with code 2 on a size that no ping has.
    pub fn ping(&self) -> Result<Option<ping::PingOptions>, Failure> {
        let Some(count) = self.count else { return Ok(None) };
        let size = self.size.unwrap_or(ping::SIZE);
        ping::check(size)?;
        let (interval, wait) = (self.interval, self.wait.0);
        Ok(Some(ping::PingOptions { count, interval, wait, size }))
    }

    /// The letters these flags ask for.
    ///
    /// Fails with code 2 on a datagram that is too long, 26 on a file that cannot be read.
    pub fn letters(&self, report: &Report) -> Result<SendJob, Failure> {
        if self.size.is_some() && self.input.is_none() {
            let why = "means nothing without --input or --count";
            return Err(Failure::usage(Phase::Send, "--size", why));
        }
        let source = match (&self.input, self.send.as_slice()) {
            (Some(path), _) => Source::pieces(path, self.size.unwrap_or(PIECE))?,
            (None, []) => Source::lines(),
            (None, texts) => Source::known(texts)?,
        };
        let dump = self.hex.as_deref().map(|path| HexDump::open(path, report)).transpose()?;
        let delay = Duration::ZERO;
        let replies = if self.send_only { Replies::Dropped } else { Replies::Awaited(self.wait.0) };
        Ok(SendJob { source, delay, replies, raw: self.input.is_some(), dump })
    }
}

/// How the socket is opened.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connecting")]
pub struct DatagramSocketFlags {
    /// Only this family
    #[command(flatten)]
    pub families: FamilyFlags,
    /// Come from this address (and port)
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = connect::source)]
    pub source: Option<SocketAddr>,
    /// What if nobody is there
    #[command(flatten)]
    pub retrying: RetryFlags,
    /// Allow the address of a whole network, and take answers from anybody
    #[arg(long)]
    pub broadcast: bool,
    /// Networks that a datagram to a multicast group may cross [1]
    #[arg(long, value_name = "N")]
    pub multicast_ttl: Option<u8>,
    /// Options on the socket
    #[command(flatten)]
    pub socket: SocketFlags,
}
