//! The command line: one file per subcommand, and the only `match` over them.

pub mod check;
pub mod completions;
#[cfg(feature = "http")]
pub mod http_get;
pub mod man;
pub mod nc;
pub mod relay;
pub mod resolve;
mod sandbox;
pub mod tcp_client;
pub mod tcp_server;
pub mod tour;
pub mod udp_client;
pub mod udp_echo;
pub mod udp_server;
pub mod unix_client;
pub mod unix_server;

use std::ffi::OsString;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use crate::error::{ExitCode, Failure};
use crate::flags::output::LogFlags;
use crate::report::Report;
use crate::usage::{self, Parsed, help};

/// netcat-style toolkit for TCP, UDP, Unix sockets, TLS, HTTP downloads and DNS lookups
#[derive(Debug, Parser)]
#[command(name = "sockit", version, propagate_version = true, max_term_width = 100)]
#[command(disable_help_subcommand = true, disable_help_flag = true, disable_version_flag = true)]
pub struct Cli {
    /// Logging flags
    #[command(flatten)]
    pub output: LogFlags,
    /// Print help (-h: the common flags, --help: all)
    #[arg(short, long, global = true, action = ArgAction::Help, help_heading = "Logging")]
    pub help: Option<bool>,
    /// Print version
    #[arg(short = 'V', long, global = true, action = ArgAction::Version, help_heading = "Logging")]
    pub version: Option<bool>,
    /// The subcommand
    #[command(subcommand)]
    pub command: Command,
}

/// Parses a command line; prints help or the error and returns the exit code of [`usage::parse`].
pub fn parse(args: Vec<OsString>) -> Result<Parsed<Cli>, ExitCode> {
    usage::parse(usage::netcat_argv::separate_args(args))
}

/// sockit with all its commands, examples and tables.
fn decorated_command() -> clap::Command {
    help::decorate(Cli::command())
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect to a TCP server: pipe, prompt or script
    TcpClient(Box<tcp_client::Args>),
    /// Serve TCP connections: echo, replies, files, programs, chat
    TcpServer(Box<tcp_server::Args>),
    /// Connect to a Unix socket: pipe, prompt or script
    UnixClient(Box<unix_client::Args>),
    /// Serve connections on a Unix socket
    UnixServer(Box<unix_server::Args>),
    /// Relay connections to a target, with each half-close and reset passed on
    Relay(Box<relay::Args>),
    /// Send UDP datagrams and print the replies, or measure loss and delay
    UdpClient(Box<udp_client::Args>),
    /// Send every UDP datagram back to its sender
    UdpEcho(Box<udp_echo::Args>),
    /// Receive UDP datagrams: print, echo or reply
    UdpServer(Box<udp_server::Args>),
    /// Run a netcat command line, without losing data
    Nc(Box<nc::Args>),
    /// Download an HTTP(S) URL and verify that it is complete
    #[cfg(feature = "http")]
    HttpGet(Box<http_get::Args>),
    /// Check whether ports are open, now or within a time, and then start a program
    Check(Box<check::Args>),
    /// Look up names, addresses and services, and verify them
    Resolve(Box<resolve::Args>),
    /// Run the tutorials on loopback and check their results
    Tour(Box<tour::Args>),
    /// Print the completion script of a shell
    Completions(Box<completions::Args>),
    /// Print the manual, one page per command
    Man(Box<man::Args>),
}

impl Command {
    /// Whether the run may start programs, which could need privileges (`no_new_privs` is not set).
    pub fn starts_programs(&self) -> bool {
        match self {
            Command::TcpServer(args) => args.service.starts_programs(),
            Command::UnixServer(args) => args.service.starts_programs(),
            Command::UdpServer(args) => args.service.starts_programs(),
            Command::Check(args) => !args.command.is_empty(),
            Command::Tour(_) => true,
            _ => false,
        }
    }

    /// Runs the command and returns its exit code.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        match self {
            Command::TcpClient(args) => args.run(report),
            Command::TcpServer(args) => args.run(report),
            Command::UnixClient(args) => args.run(report),
            Command::UnixServer(args) => args.run(report),
            Command::Relay(args) => args.run(report),
            Command::UdpClient(args) => args.run(report),
            Command::UdpEcho(args) => args.run(report),
            Command::UdpServer(args) => args.run(report),
            Command::Nc(args) => args.run(report),
            #[cfg(feature = "http")]
            Command::HttpGet(args) => args.run(report),
            Command::Check(args) => args.run(report),
            Command::Resolve(args) => args.run(report),
            Command::Tour(args) => args.run(report),
            Command::Completions(args) => args.run(decorated_command()),
            Command::Man(args) => args.run(decorated_command()),
        }
    }
}
