//! What the user asks for: one file per subcommand, and the only `match` over them.

pub mod conversation;
pub mod datagrams;
pub mod hosting;
pub mod resolve;
pub mod tcp_client;
pub mod tcp_server;
pub mod udp_client;
pub mod udp_echo;
pub mod udp_server;
pub mod unix_client;
pub mod unix_server;
pub mod usage;

use clap::{Parser, Subcommand};

use crate::failure::Code;
use crate::flags::output::Output;
use crate::report::Report;

/// A socket toolkit: right endings, honest exit codes
#[derive(Debug, Parser)]
#[command(name = "sockit", version, propagate_version = true, max_term_width = 100)]
#[command(after_long_help = usage::exit_codes(), disable_help_subcommand = true)]
pub struct Cli {
    /// How the run talks
    #[command(flatten)]
    pub output: Output,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look up names, addresses and services, and verify them
    Resolve(Box<resolve::Args>),
    /// Talk to a TCP server: pipe, prompt or script
    TcpClient(Box<tcp_client::Args>),
    /// Serve TCP: greet, echo, answer, pipe
    TcpServer(Box<tcp_server::Args>),
    /// Talk to a Unix socket
    UnixClient(Box<unix_client::Args>),
    /// Serve on a Unix socket
    UnixServer(Box<unix_server::Args>),
    /// Send UDP datagrams and print the answers, or ping
    UdpClient(Box<udp_client::Args>),
    /// Send every UDP datagram back
    UdpEcho(Box<udp_echo::Args>),
    /// Serve UDP: print, echo, answer
    UdpServer(Box<udp_server::Args>),
}

impl Command {
    /// Runs the command to its end.
    pub fn run(self, report: &Report) -> anyhow::Result<Code> {
        match self {
            Command::Resolve(args) => args.run(report),
            Command::TcpClient(args) => args.run(report),
            Command::TcpServer(args) => args.run(report),
            Command::UnixClient(args) => args.run(report),
            Command::UnixServer(args) => args.run(report),
            Command::UdpClient(args) => args.run(report),
            Command::UdpEcho(args) => args.run(report),
            Command::UdpServer(args) => args.run(report),
        }
    }
}
