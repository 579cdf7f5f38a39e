//! `unix-server`: listens on a Unix socket and runs a service for each connection or datagram.

use std::ffi::OsString;

use socket2::Type;

use super::sandbox;
use crate::datagram::server::options::DatagramServerOptions;
use crate::datagram::{self, RecvBuffer};
use crate::error::{ExitCode, Failure, message_without_errno};
use crate::flags::run_as::RunAsFlags;
use crate::flags::server_hex::ServerHexFlag;
use crate::flags::server_limits::ServerLimitFlags;
use crate::flags::service::ServiceFlags;
use crate::net::listen::Listener;
use crate::net::socket_file::{SocketFileCleanup, SocketFileGuard};
use crate::net::stdio::StdStreams;
use crate::net::stdout::Stdout;
use crate::net::unix::{self, BoundSocket, UnixAddress, listen};
use crate::process::systemd::{SocketKind, passed_socket};
use crate::report::Report;
use crate::report::context::Context;
use crate::server::{self, ServerOptions};

/// Arguments of unix-server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Path of the socket; @NAME is in the abstract namespace
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: OsString,
    /// Permissions of the socket file, in octal
    #[arg(long, value_name = "MODE", default_value = "0600", value_parser = mode)]
    pub mode: u32,
    /// Serve datagrams instead of connections; the service pipe prints them
    ///
    /// Flags for connections are rejected: --greeting, --until, --messages, --framing,
    /// --max-message, --max-conns and --max-conns-per-ip, --allow, --deny, --backlog,
    /// --idle-timeout and --stack-size. --max-accepts counts datagrams.
    #[arg(long, conflicts_with_all = ["max_conns", "max_conns_per_ip", "idle_timeout", "allow",
          "deny", "backlog", "stack_size"])]
    pub datagram: bool,
    #[command(flatten)]
    pub(crate) service: ServiceFlags,
    #[command(flatten)]
    pub(crate) limits: ServerLimitFlags,
    #[command(flatten)]
    pub(crate) run_as: RunAsFlags,
    #[command(flatten)]
    pub(crate) hex: ServerHexFlag,
}

impl Args {
    /// Serves until the limits or a signal end the run.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let context = Context::new(report, self.limits.timeout.0)?;
        if self.datagram {
            return self.serve_datagrams(&context);
        }
        self.limits.reject_ip_rules("--mode and the permissions of the directory limit access")?;
        let mut limits = self.limits.limits(&context.shutdown)?;
        let hex_dump = self.hex.open(report)?;
        let service = self.service.service(&mut limits, StdStreams::of_process(), report)?;
        let listener = self.listener(report)?;
        let cleanup = listener.socket_file.as_ref().map(SocketFileGuard::trace);
        self.run_as.switch_user()?;
        sandbox::enter(sandbox::unix_server(&self.service, &self.path), report);
        let options = ServerOptions { listener, limits, service, layer: None, hex_dump };
        let outcome = server::run(&context, options);
        warn_if_socket_left(cleanup, report);
        outcome
    }

    /// The socket that a service manager has passed, or one at the path.
    fn listener(&self, report: &Report) -> Result<Listener, Failure> {
        let log = |event| report.on_socket_event(event);
        match passed_socket(SocketKind { name: "unix-server", inet: false, stream: true })? {
            Some(socket) => Listener::passed(socket),
            None => listen(&UnixAddress::parse(&self.path), self.mode, self.limits.backlog, &log),
        }
    }

    fn serve_datagrams(&self, context: &Context) -> Result<ExitCode, Failure> {
        let limits = self.limits.limits(&context.shutdown)?;
        let handler = self.service.datagram_handler()?;
        let hex = self.hex.open(&context.report)?;
        let BoundSocket { socket, socket_file } = self.datagram_socket(&context.report)?;
        let trace = socket_file.as_ref().map(SocketFileGuard::trace);
        self.run_as.switch_user()?;
        let policy = sandbox::unix_datagram_server(&self.service, &self.path);
        sandbox::enter(policy, &context.report);
        let options = DatagramServerOptions {
            handler,
            recv_buffer: RecvBuffer::Keep,
            // The name of a Unix socket cannot be forged.
            max_rate: 0,
            max_datagrams: limits.max_accepts.map(u64::from),
            accept_timeout: limits.accept_timeout,
            delay: self.service.messages.delay.unwrap_or_default(),
            grace: limits.grace,
            hex,
        };
        let outcome = datagram::server::serve(socket, options, context, Stdout::standard());
        drop(socket_file);
        warn_if_socket_left(trace, &context.report);
        outcome
    }

    /// As [`Args::listener`], for datagrams.
    fn datagram_socket(&self, report: &Report) -> Result<BoundSocket, Failure> {
        let log = |event| report.on_socket_event(event);
        match passed_socket(SocketKind { name: "unix-server", inet: false, stream: false })? {
            Some(socket) => Ok(BoundSocket { socket, socket_file: None }),
            None => unix::bind(&UnixAddress::parse(&self.path), Type::DGRAM, self.mode, &log),
        }
    }
}

/// Warns of a socket file that could not be removed at the end.
fn warn_if_socket_left(cleanup: Option<SocketFileCleanup>, report: &Report) {
    if let Some(cleanup) = cleanup
        && let Err(e) = cleanup.remove()
    {
        let path = cleanup.path().display();
        report
            .warn(None, format!("cannot remove the socket {path}: {}", message_without_errno(&e)));
    }
}

fn mode(word: &str) -> Result<u32, String> {
    match u32::from_str_radix(word, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("'{word}' is not a mode such as 0600 or 660")),
    }
}
