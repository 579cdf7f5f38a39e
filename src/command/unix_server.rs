//! `unix-server`: listens on a Unix socket and serves each caller as tcp-server does.

use std::ffi::OsString;

use socket2::{Socket, Type};

use crate::datagram;
use crate::datagram::RecvBuffer;
use crate::datagram::server::options::DatagramServerOptions;
use crate::error::{ExitCode, Failure, Phase, message_without_errno};
use crate::flags::run;
use crate::flags::run_as::RunAsFlags;
use crate::flags::server_limits::ServerLimitFlags;
use crate::flags::service::ServiceFlags;
use crate::net::listen::Listener;
use crate::net::unix::{self, SocketFileCleanup, SocketFileGuard, UnixAddress, listen};
use crate::process::inherited_fds::{SocketKind, passed_socket};
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;
use crate::report::context::Context;
use crate::server;
use crate::server::Plan;
use crate::shutdown::Shutdown;

/// What the user asks of unix-server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Path of the socket; a leading @ is the abstract namespace
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
    /// Which service
    #[command(flatten)]
    pub choice: ServiceFlags,
    /// For whom
    #[command(flatten)]
    pub serving: ServerLimitFlags,
    /// As whom
    #[command(flatten)]
    pub identity: RunAsFlags,
}

impl Args {
    /// Serves until asked to end.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let stop = run::stop(self.serving.timeout.0)?;
        if self.datagram {
            return self.serve_datagrams(report, &stop);
        }
        self.refuse_rules()?;
        let mut limits = self.serving.limits(&stop)?;
        let service = self.choice.service(&mut limits, report)?;
        let listener = self.listener()?;
        let trace = listener.socket_file.as_ref().map(SocketFileGuard::trace);
        self.identity.switch_user()?;
        self.confine(self.choice.sandbox_policy(), report);
        let plan = Plan { listener, limits, service, layer: None, layer_stack: 0 };
        let outcome = server::serve(plan, report, &stop);
        warn_if_socket_left(trace, report);
        Ok(outcome?)
    }

    /// Rules that could never hold are a mistake worth telling, above all where the user relies on
    /// them.
    fn refuse_rules(&self) -> Result<(), Failure> {
        let ServerLimitFlags { allow, deny, max_conns_per_ip, .. } = &self.serving;
        let flag = match (allow.is_empty(), deny.is_empty(), max_conns_per_ip) {
            (false, _, _) => "--allow",
            (_, false, _) => "--deny",
            (_, _, Some(_)) => "--max-conns-per-ip",
            _ => return Ok(()),
        };
        let why = "callers of a Unix socket have no address";
        Err(Failure::usage(Phase::Listen, flag, why)
            .with_hint("--mode and the directory say who may call"))
    }

    /// Gives up all but `needs`, and the right to remove our socket.
    fn confine(&self, needs: Option<SandboxPolicy>, report: &Report) {
        let Some(needs) = needs else { return };
        let removes = match UnixAddress::read(&self.path) {
            UnixAddress::Path(path) => Some(unix::directory_of(&path).to_path_buf()),
            UnixAddress::Abstract(_) => None,
        };
        // Who sends datagrams may have an abstract name, to which the answers go.
        super::confine(
            &SandboxPolicy { removes, sends_to_abstract: self.datagram, ..needs },
            report,
        );
    }

    /// The socket that a service manager passed to us, or one at the path.
    fn listener(&self) -> Result<Listener, Failure> {
        match passed_socket(SocketKind { name: "unix-server", inet: false, stream: true })? {
            Some(socket) => Listener::passed(socket),
            None => listen(&UnixAddress::read(&self.path), self.mode, self.serving.backlog),
        }
    }

    fn serve_datagrams(&self, report: &Report, stop: &Shutdown) -> anyhow::Result<ExitCode> {
        let limits = self.serving.limits(stop)?;
        let handler = self.choice.datagram_handler()?;
        let (socket, socket_file) = self.datagram_socket()?;
        let trace = socket_file.as_ref().map(SocketFileGuard::trace);
        self.identity.switch_user()?;
        self.confine(self.choice.sandbox_policy(), report);
        let options = DatagramServerOptions {
            handler,
            recv_buffer: RecvBuffer::Keep,
            // The name of a Unix socket cannot be forged.
            max_rate: 0,
            max_datagrams: limits.accepts.map(u64::from),
            accept_timeout: limits.quiet,
            delay: self.choice.wording.delay.unwrap_or_default(),
            grace: limits.grace,
        };
        let context = Context { report: report.clone(), shutdown: stop.clone() };
        let outcome = datagram::server::serve(socket, options, &context);
        drop(socket_file);
        warn_if_socket_left(trace, report);
        Ok(outcome?)
    }

    /// As [`Args::listener`], for datagrams.
    fn datagram_socket(&self) -> Result<(Socket, Option<SocketFileGuard>), Failure> {
        match passed_socket(SocketKind { name: "unix-server", inet: false, stream: false })? {
            Some(socket) => Ok((socket, None)),
            None => unix::bind(&UnixAddress::read(&self.path), Type::DGRAM, self.mode),
        }
    }
}

/// A socket file that could not be removed at the end would be found by whoever comes next.
fn warn_if_socket_left(trace: Option<SocketFileCleanup>, report: &Report) {
    if let Some(trace) = trace
        && let Err(e) = trace.remove()
    {
        let path = trace.path().display();
        report.warn(None, format!("the socket {path} stays: {}", message_without_errno(&e)));
    }
}

fn mode(word: &str) -> Result<u32, String> {
    match u32::from_str_radix(word, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("'{word}' is not a mode such as 0600 or 660")),
    }
}
