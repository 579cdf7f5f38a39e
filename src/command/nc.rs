//! `nc`: runs a netcat command line, translated into that of another command.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use socket2::Type;

use super::{Cli, Command, decorated_command};
use crate::check::target::parse_all;
use crate::check::{AddressCoverage, CheckOptions, scan};
use crate::client;
use crate::datagram;
use crate::datagram::bind::{local_address, udp_socket};
use crate::datagram::client::targets::{PeerAddresses, Targets};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::exec::ExecFlags;
use crate::net::retry::RetryPolicy;
use crate::net::stdio::StdStreams;
use crate::net::unix::{self, UnixAddress};
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::Event;
use crate::report::netcat::NetcatWords;
use crate::service::exec::Exec;
use crate::usage::netcat::{Datagrams, NetcatLine, NetcatMode, translate};
use crate::usage::{self, netcat_table};

/// How long a program may run on after its connection is closed.
const GRACE: Duration = Duration::from_secs(3);

/// Arguments of nc.
#[derive(Debug, clap::Args)]
#[command(override_usage = "sockit nc [FLAGS] [HOST] [PORT]", after_help = netcat_table::help())]
pub struct Args {
    /// Flags and operands of nc.openbsd, and those that only ncat or nc.traditional has
    ///
    /// Exit codes are 0 and 1. Where netcat would exit before a late answer, the answer is waited for.
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

impl Args {
    /// Runs the command that does the same. Returns 0 or 1, and 130 or 143 after a signal.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let outcome = self.translate(report).and_then(|line| run(line, report));
        let code = outcome.unwrap_or_else(|failure| {
            if !is_signal(failure.code) {
                report.failure(None, &failure);
            }
            failure.code
        });
        Ok(if code == ExitCode::Done || is_signal(code) { code } else { ExitCode::Negative })
    }

    fn translate(self, report: &Report) -> Result<NetcatLine, Failure> {
        let words: Result<Vec<String>, _> =
            self.args.into_iter().map(OsString::into_string).collect();
        let not_text = |word: OsString| Failure::usage(Phase::Socket, word.display(), "not UTF-8");
        let line = words.map_err(not_text).and_then(|words| translate(&words));
        line.inspect_err(|_| report.use_netcat_words(NetcatWords::default()))
    }
}

fn is_signal(code: ExitCode) -> bool {
    matches!(code, ExitCode::Interrupted | ExitCode::Terminated)
}

fn run(line: NetcatLine, report: &Report) -> Result<ExitCode, Failure> {
    let NetcatLine { words, mode, names } = line;
    report.use_netcat_words(names);
    if let NetcatMode::Help = mode {
        let help = decorated_command().try_get_matches_from(["sockit", "nc", "--help"]);
        return Ok(usage::print_stdout(|| help.err().map_or(Ok(()), |help| help.print())));
    }
    let cli = Cli::try_parse_from(&words);
    let cli = cli.map_err(|e| Failure::usage(Phase::Socket, "", usage::cause(&e.to_string())))?;
    match (cli.command, mode) {
        (command, NetcatMode::Program(program)) => run_program(command, &program, report),
        (command, NetcatMode::Datagrams(options)) => exchange(command, options, report),
        (Command::Check(args), NetcatMode::Scan(timeout)) => {
            let targets = parse_all(&args.targets)?;
            let options = args.check.options(targets, AddressCoverage::FirstOpen)?;
            scan(&Context::new(report, None)?, CheckOptions { timeout, ..options })
        }
        (command, _) => command.run(report),
    }
}

/// Connects, and runs a program on the connection.
fn run_program(
    command: Command,
    program: &ExecFlags,
    report: &Report,
) -> Result<ExitCode, Failure> {
    let exec = Exec::new(program.program()?, GRACE);
    let context = Context::new(report, None)?;
    let log = |event| report.on_socket_event(event);
    match command {
        Command::TcpClient(args) => {
            let dialer = args.dialer(report)?;
            client::serve(&context, exec, || dialer.connect(&context.shutdown, &log))
        }
        Command::UnixClient(args) => {
            let (path, limit) = (UnixAddress::parse(&args.path), args.connect_timeout.0);
            client::serve(&context, exec, || unix::dial(&path, limit, &context.shutdown, &log))
        }
        other => other.run(report),
    }
}

/// Exchanges stdin and stdout as datagrams.
fn exchange(command: Command, options: Datagrams, report: &Report) -> Result<ExitCode, Failure> {
    let (std, context) = (StdStreams::of_process(), Context::new(report, None)?);
    let log = |event| report.on_socket_event(event);
    let bound = |local: String| report.emit(&Event::Listening { local, awaited: "datagrams" });
    let job = options.job(std.stdin, report)?;
    let first_sender = |socket| {
        Targets::new(PeerAddresses::Sender(Some(socket)), RetryPolicy::default(), &context, &log)
    };
    let send = |targets| datagram::client::run(targets, job, &context, std.stdout);
    match command {
        Command::UdpClient(args) => {
            let endpoint = args.target.endpoint()?;
            send(Targets::udp(&endpoint, args.socket.options(), &context, &log)?)
        }
        Command::UnixClient(args) => {
            let path = UnixAddress::parse(&args.path);
            // Without a name the peer cannot reply.
            let local = options.local.unwrap_or_else(|| format!("@nc.{}", std::process::id()));
            let own = UnixAddress::parse(local.as_ref());
            bound(local);
            let addresses = PeerAddresses::Unix { peer: &path, local: Some(&own) };
            send(Targets::new(addresses, RetryPolicy::default(), &context, &log))
        }
        Command::UdpServer(args) => {
            let socket = udp_socket("nc", args.listen.bind(&context.shutdown, &log), None)?;
            bound(local_address(&socket)?.to_string());
            send(first_sender(socket))
        }
        Command::UnixServer(args) => {
            let path = UnixAddress::parse(&args.path);
            let unix::BoundSocket { socket, socket_file: _file } =
                unix::bind(&path, Type::DGRAM, args.mode, &log)?;
            bound(path.to_string());
            send(first_sender(socket))
        }
        other => other.run(report),
    }
}
