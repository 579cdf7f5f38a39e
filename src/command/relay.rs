//! `relay`: accepts connections and relays each to a target.

use std::time::Duration;

use super::sandbox;
use crate::datagram::bind::{local_address, udp_socket};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::connect::ConnectFlags;
use crate::flags::listen::PrintPortFlag;
use crate::flags::relay_address::{RelayAddress, bind};
use crate::flags::relay_faults::{RecordFlags, RelayFaultFlags};
use crate::flags::relay_tls::RelayTlsFlags;
use crate::flags::run_as::RunAsFlags;
use crate::flags::server_hex::ServerHexFlag;
use crate::flags::server_limits::ServerLimitFlags;
use crate::net::dial::Dialer;
use crate::net::layer;
use crate::net::stdout::Stdout;
use crate::relay;
use crate::relay::fault::FaultSpec;
use crate::relay::stream::{RelayOptions, RelayService};
use crate::relay::udp::UdpRelayOptions;
use crate::report::Report;
use crate::report::context::Context;
use crate::server::limits::ServerLimits;
use crate::server::{self, ServerOptions};

/// The idle timeout of a UDP flow, which has no other end.
const UDP_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Arguments of relay.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen: [HOST:]PORT (default host 127.0.0.1; :PORT = all interfaces) or unix:PATH
    #[arg(value_name = "LISTEN")]
    pub listen: String,
    /// Where to connect to: HOST:PORT or unix:PATH
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Relay UDP datagrams; a flow per client ends by --idle-timeout (60s if not given)
    ///
    /// Flags for connections are rejected: TLS, --proxy, --stats, --hex, --grace, --backlog and
    /// --stack-size. --once, --max-accepts and --max-conns count flows.
    #[arg(long, conflicts_with_all = ["listen_tls", "tls", "proxy", "stats", "hex", "grace", "backlog",
          "stack_size", "nodelay", "keepalive"])]
    pub udp: bool,
    /// Print statistics of each connection
    #[arg(long)]
    pub stats: bool,
    #[command(flatten)]
    pub(crate) print_port: PrintPortFlag,
    #[command(flatten)]
    pub(crate) hex: ServerHexFlag,
    #[command(flatten)]
    pub(crate) record: RecordFlags,
    #[command(flatten)]
    pub(crate) faults: RelayFaultFlags,
    #[command(flatten)]
    pub(crate) connect: ConnectFlags,
    #[command(flatten)]
    pub(crate) limits: ServerLimitFlags,
    #[command(flatten)]
    pub(crate) tls: RelayTlsFlags,
    #[command(flatten)]
    pub(crate) run_as: RunAsFlags,
}

impl Args {
    /// Relays until the limits or a signal end the run.
    ///
    /// Fails with 2 when LISTEN and TARGET are the same address, and as [`server::run`] does.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let context = Context::new(report, self.limits.timeout.0)?;
        let (listen, target) = self.addresses()?;
        self.record.check_stdout(&self.print_port)?;
        let limits = self.limits.limits(&context.shutdown)?;
        if self.udp {
            let idle_timeout =
                self.limits.idle_timeout.map_or(Some(UDP_IDLE_TIMEOUT), |limit| limit.0);
            let limits = ServerLimits { idle_timeout, ..limits };
            return self.relay_datagrams(&context, (listen, target), limits);
        }
        let tls = self.tls.serving(&listen)?;
        self.tls.server().warn_readable_key(report);
        let options = self.options(&target, report)?;
        let listener = listen.listener(&self.connect, self.limits.backlog, &context)?;
        // Before the change of user and the sandbox, which may not open them.
        let options =
            RelayOptions { recorder: self.record.recorder(Stdout::standard(), report)?, ..options };
        let hex_dump = self.hex.open(report)?;
        self.run_as.switch_user()?;
        self.print_port.print(&listener.local, Stdout::standard())?;
        if let Some(tls) = &tls {
            tls.log_certificate(report);
        }
        sandbox::enter(sandbox::relay(&listen, &target, &self.connect), report);
        let layer = tls.map(|tls| tls.layer);
        let client_stack = layer::stack_size(layer.as_ref());
        let service = Box::new(RelayService::new(&context, options, client_stack));
        let options = ServerOptions { listener, limits, service, layer, hex_dump };
        server::run(&context, options)
    }

    /// Fails with exit code 2 on malformed addresses, and when both are the same.
    fn addresses(&self) -> Result<(RelayAddress, RelayAddress), Failure> {
        let listen = RelayAddress::parse_listen(&self.listen)?;
        let target = RelayAddress::parse_target(&self.target)?;
        if listen.is_same_as(&target) {
            let why = "the target is the address that the relay listens on";
            return Err(Failure::usage(Phase::Connect, &self.target, why));
        }
        if matches!(listen, RelayAddress::Unix(_)) {
            self.limits.reject_ip_rules("the permissions of the directory limit access")?;
        }
        Ok((listen, target))
    }

    fn options(&self, target: &RelayAddress, report: &Report) -> Result<RelayOptions, Failure> {
        let scheme = if self.tls.tls { "https" } else { "tcp" };
        let dialer = target.dialer(&self.connect, scheme)?;
        Ok(RelayOptions {
            dialer: Dialer { layer: self.tls.layer(&dialer.endpoint.host)?, ..dialer },
            idle_timeout: self.limits.idle_timeout.and_then(|limit| limit.0),
            faults: self.faults.plan(FaultSpec::check_for_streams, report)?,
            recorder: None,
            stats: self.stats,
        })
    }

    fn relay_datagrams(
        &self,
        context: &Context,
        addresses: (RelayAddress, RelayAddress),
        limits: ServerLimits,
    ) -> Result<ExitCode, Failure> {
        let (RelayAddress::Inet(listen), RelayAddress::Inet(target)) = addresses else {
            let why = "--udp needs HOST:PORT on both sides";
            return Err(Failure::usage(Phase::Connect, "--udp", why));
        };
        let log = |event| context.report.on_socket_event(event);
        let bind = bind(&listen, &self.connect, &context.shutdown, &log);
        let faults = self.faults.plan(FaultSpec::check_for_datagrams, &context.report)?;
        let socket = udp_socket("relay", bind, None)?;
        let recorder = self.record.recorder(Stdout::standard(), &context.report)?;
        self.run_as.switch_user()?;
        self.print_port.print(&local_address(&socket)?, Stdout::standard())?;
        sandbox::enter(sandbox::network(), &context.report);
        let dialer = self.connect.dial(target);
        let options = UdpRelayOptions { socket, dialer, faults, recorder, limits };
        relay::udp::run(context, options)
    }
}
