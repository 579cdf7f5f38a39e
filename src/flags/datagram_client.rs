//! Flags of a UDP client.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::datagram::client::ping;
use crate::datagram::client::source::DatagramSource;
use crate::datagram::client::{Replies, SendJob, TargetOptions};
use crate::error::{Failure, Phase};
use crate::flags::connect::{self, FamilyFlags};
use crate::flags::retry::RetryFlags;
use crate::flags::socket::SocketFlags;
use crate::flags::values::{self, Limit};
use crate::report::Report;
use crate::report::hexdump::HexDump;

/// What is sent, and how long to wait for replies.
#[derive(Debug, Args)]
#[command(next_help_heading = "Datagrams")]
pub struct DatagramClientFlags {
    /// Send TEXT as one datagram; repeatable, with C escapes (\n) [default: each line of stdin]
    #[arg(long, value_name = "TEXT", value_parser = values::text(), allow_hyphen_values = true)]
    pub send: Vec<Vec<u8>>,
    /// Send FILE in pieces of --size bytes (- is stdin, byte for byte)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "send")]
    pub input: Option<PathBuf>,
    /// Payload bytes of each datagram, with --input [default: 1400] or --count [default: 64]
    #[arg(long, value_name = "N", value_parser = values::buffer_size)]
    pub size: Option<usize>,
    /// Ping: send N numbered datagrams and print loss, duplicates, reordering and round-trip times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000),
          conflicts_with_all = ["send", "input"])]
    pub count: Option<u32>,
    /// Time between the datagrams of a ping
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::duration,
          requires = "count", conflicts_with_all = ["send", "input"])]
    pub interval: Duration,
    /// Wait this long for replies after the last datagram; 0 = no limit
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::limit)]
    pub wait: Limit,
    /// Exit after sending; discard replies
    #[arg(long, conflicts_with_all = ["count", "wait"])]
    pub send_only: bool,
    /// Write a hex dump of both directions to FILE (- is stderr)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub hex: Option<PathBuf>,
    /// Timeout of the complete run; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub timeout: Limit,
}

/// Bytes of a file in one datagram, which fit the MTU of every usual path.
const DEFAULT_PIECE: usize = 1400;

impl DatagramClientFlags {
    /// The ping these flags ask for, if any.
    ///
    /// Fails with code 2 on a size that no ping has.
    pub fn ping_options(&self) -> Result<Option<ping::PingOptions>, Failure> {
        let Some(count) = self.count else { return Ok(None) };
        let size = self.size.unwrap_or(ping::DEFAULT_SIZE);
        ping::check_size(size)?;
        let (interval, reply_timeout) = (self.interval, self.wait.0);
        Ok(Some(ping::PingOptions { count, interval, reply_timeout, size }))
    }

    /// The datagrams these flags ask for.
    ///
    /// Fails with code 2 on a datagram that is too long, and with 26 on a file that cannot be read.
    pub fn send_job(
        &self,
        report: &Report,
        stdin: BorrowedFd<'static>,
    ) -> Result<SendJob, Failure> {
        if self.size.is_some() && self.input.is_none() {
            return Err(Failure::usage(Phase::Send, "--size", "needs --input or --count"));
        }
        let size = self.size.unwrap_or(DEFAULT_PIECE);
        let source = DatagramSource::open(self.input.as_deref(), size, self.send.clone(), stdin)?;
        let dump = self.hex.as_deref().map(|path| HexDump::open(path, report)).transpose()?;
        let replies = if self.send_only { Replies::Discard } else { Replies::Print(self.wait.0) };
        let (delay, input_timeout) = (Duration::ZERO, None);
        Ok(SendJob { source, delay, input_timeout, replies, raw: self.input.is_some(), dump })
    }
}

/// How the socket of a UDP client is opened.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct DatagramSocketFlags {
    #[command(flatten)]
    pub(crate) family: FamilyFlags,
    /// Local address (and port) to send from
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = connect::source)]
    pub source: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) retry: RetryFlags,
    /// Allow a broadcast address, and accept replies from any sender
    #[arg(long)]
    pub broadcast: bool,
    /// Hop limit of multicast datagrams [default: 1]
    #[arg(long, value_name = "N")]
    pub multicast_ttl: Option<u8>,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

impl DatagramSocketFlags {
    /// The options these flags ask for.
    pub fn options(&self) -> TargetOptions {
        TargetOptions {
            family: self.family.family(),
            source: self.source,
            retry: self.retry.retry(),
            broadcast: self.broadcast,
            multicast_hops: self.multicast_ttl,
            socket: self.socket.options(),
        }
    }
}
