//! Datagrams of a netcat: stdin and stdout without a connection.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::values::{quit, seconds, take, take_value};
use crate::datagram::client::source::DatagramSource;
use crate::datagram::client::{Replies, SendJob};
use crate::error::Failure;
use crate::report::Report;
use crate::report::hexdump::HexDump;
use crate::transfer::crlf::Crlf;
use crate::usage::foreign_args::ForeignArgs;
use crate::usage::meaning::Setting;

/// How stdin and stdout are datagrams.
#[derive(Debug)]
pub struct Datagrams {
    /// The path of the local Unix socket.
    pub local: Option<String>,
    /// The file of the hex dump.
    pub hex: Option<String>,
    /// Whether stdin is read.
    pub reads_stdin: bool,
    /// Whether received datagrams are discarded.
    pub send_only: bool,
    /// Whether LF is sent as CR LF.
    pub crlf: bool,
    /// How long nothing may be sent or received, also while stdin is open.
    pub idle: Option<Duration>,
    /// How long nothing may be received after the end of stdin.
    pub wait: Option<Duration>,
}

impl Datagrams {
    /// The job of a datagram client.
    ///
    /// Fails with 23 when the hex dump cannot be opened.
    pub fn job(&self, stdin: BorrowedFd<'static>, report: &Report) -> Result<SendJob, Failure> {
        let stdin = DatagramSource::StdinReads(stdin, self.crlf.then(Crlf::default));
        let none = DatagramSource::Texts(VecDeque::new());
        let source = if self.reads_stdin { stdin } else { none };
        let wait = Replies::PrintUntilSilent(self.wait);
        let replies = if self.send_only { Replies::Discard } else { wait };
        let path = self.hex.as_ref();
        let dump = path.map(|path| HexDump::open(path.as_ref(), report)).transpose()?;
        let (delay, input_timeout) = (Duration::ZERO, self.idle);
        Ok(SendJob { source, delay, input_timeout, replies, raw: true, dump })
    }

    /// Takes the flags of datagrams out of `args`.
    ///
    /// Without a connection there is no end to wait for: the time that was given is the limit.
    pub fn from_args(args: &mut ForeignArgs) -> Result<Datagrams, Failure> {
        let idle_timeout = take_value(&mut args.flags, "--idle-timeout");
        let idle = seconds("-w", args.get(Setting::Wait).or(idle_timeout.as_deref()))?;
        let wait = quit(args)?.or(idle);
        take_value(&mut args.flags, "--connect-timeout");
        take(&mut args.flags, "--no-half-close");
        let sends_only = take(&mut args.flags, "--send-only");
        Ok(Datagrams {
            local: args.get(Setting::Source).map(str::to_string),
            hex: take_value(&mut args.flags, "--hex"),
            reads_stdin: !take(&mut args.flags, "--recv-only"),
            send_only: sends_only || wait == Some(Duration::ZERO) && !args.has(Setting::Listen),
            crlf: take(&mut args.flags, "--crlf"),
            idle: idle.filter(|time| !time.is_zero()),
            wait: wait.filter(|time| !time.is_zero()),
        })
    }
}
