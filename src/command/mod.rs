//! What the user asks for: one file per subcommand, and the only `match` over them.

pub mod completions;
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

use clap::{ArgAction, Parser, Subcommand};

use crate::error::ExitCode;
use crate::flags::output::LogFlags;
use crate::process::sandbox;
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;
pub use crate::usage::parse;

/// A socket toolkit: right endings, honest exit codes
#[derive(Debug, Parser)]
#[command(name = "sockit", version, propagate_version = true, max_term_width = 100)]
#[command(disable_help_subcommand = true, disable_help_flag = true, disable_version_flag = true)]
pub struct Cli {
    /// How the run talks
    #[command(flatten)]
    pub output: LogFlags,
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
    /// Get an http or https URL, whole or told
    #[cfg(feature = "http")]
    HttpGet(Box<http_get::Args>),
    /// Look up names, addresses and services, and verify them
    Resolve(Box<resolve::Args>),
    /// See the five tutorials at work, live on loopback
    Tour(Box<tour::Args>),
    /// Print what a shell needs to complete commands, flags and files
    Completions(Box<completions::Args>),
    /// Print the manual, a page per command
    Man(Box<man::Args>),
}

/// Gives up what the run needs no more of, and tells so under `-v`.
fn confine(needs: &SandboxPolicy, report: &Report) {
    let confined = sandbox::confine(needs);
    report.step(|| confined.to_string());
}

impl Command {
    /// Whether the run starts programs, to which privileges may matter; it then decides itself.
    pub fn starts_programs(&self) -> bool {
        match self {
            Command::TcpServer(args) => args.service.starts_programs(),
            Command::UnixServer(args) => args.service.starts_programs(),
            Command::UdpServer(args) => args.service.starts_programs(),
            Command::Tour(_) => true,
            _ => false,
        }
    }

    /// Runs the command to its end.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        match self {
            Command::TcpClient(args) => args.run(report),
            Command::TcpServer(args) => args.run(report),
            Command::UnixClient(args) => args.run(report),
            Command::UnixServer(args) => args.run(report),
            Command::UdpClient(args) => args.run(report),
            Command::UdpEcho(args) => args.run(report),
            Command::UdpServer(args) => args.run(report),
            #[cfg(feature = "http")]
            Command::HttpGet(args) => args.run(report),
            Command::Resolve(args) => args.run(report),
            Command::Tour(args) => args.run(report),
            Command::Completions(args) => args.run(report),
            Command::Man(args) => args.run(report),
        }
    }
}
