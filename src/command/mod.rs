//! What the user asks for: one file per subcommand, and the only `match` over them.

pub mod completions;
pub mod conversation;
pub mod datagrams;
pub mod help;
pub mod hosting;
#[cfg(feature = "http")]
pub mod http_get;
pub mod man;
pub mod resolve;
pub mod tcp_client;
pub mod tcp_server;
pub mod tour;
pub mod udp_client;
pub mod udp_echo;
pub mod udp_server;
pub mod unix_client;
pub mod unix_server;
pub mod usage;

use clap::{ArgAction, Parser, Subcommand};

use crate::failure::Code;
use crate::flags::output::Output;
use crate::report::Report;
pub use usage::parse;

/// A socket toolkit: right endings, honest exit codes
#[derive(Debug, Parser)]
#[command(name = "sockit", version, propagate_version = true, max_term_width = 100)]
#[command(disable_help_subcommand = true, disable_help_flag = true, disable_version_flag = true)]
pub struct Cli {
    /// How the run talks
    #[command(flatten)]
    pub output: Output,
    /// Print help: -h the usual, --help all of it
    #[arg(short, long, global = true, action = ArgAction::Help, help_heading = "Talk (on stderr)")]
    pub help: Option<bool>,
    /// Print version
    #[arg(short = 'V', long, global = true, action = ArgAction::Version, help_heading = "Talk (on stderr)")]
    pub version: Option<bool>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what a shell needs to complete commands, flags and files
    Completions(completions::Args),
    /// Get an http or https URL, whole or told
    #[cfg(feature = "http")]
    HttpGet(Box<http_get::Args>),
    /// Print the manual, a page per command
    Man(man::Args),
    /// Look up names, addresses and services, and verify them
    Resolve(Box<resolve::Args>),
    /// Talk to a TCP server: pipe, prompt or script
    TcpClient(Box<tcp_client::Args>),
    /// Serve TCP: greet, echo, answer, pipe
    TcpServer(Box<tcp_server::Args>),
    /// See the five tutorials at work, live on loopback
    Tour(tour::Args),
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
            Command::Completions(args) => args.run(report),
            #[cfg(feature = "http")]
            Command::HttpGet(args) => args.run(report),
            Command::Man(args) => args.run(report),
            Command::Resolve(args) => args.run(report),
            Command::TcpClient(args) => args.run(report),
            Command::TcpServer(args) => args.run(report),
            Command::Tour(args) => args.run(report),
            Command::UnixClient(args) => args.run(report),
            Command::UnixServer(args) => args.run(report),
            Command::UdpClient(args) => args.run(report),
            Command::UdpEcho(args) => args.run(report),
            Command::UdpServer(args) => args.run(report),
        }
    }
}
