//! `relay`: accepts connections and relays each to a target.

use std::time::Duration;

use crate::datagram::bind::{local_address, udp_socket};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::connect::ConnectFlags;
use crate::flags::listen::print_port;
use crate::flags::relay_address::{ListenAddress, TargetAddress, bind};
use crate::flags::relay_faults::{RecordFlags, RelayFaultFlags};
use crate::flags::relay_tls::RelayTlsFlags;
use crate::flags::run_as::RunAsFlags;
use crate::flags::server_hex::ServerHexFlag;
use crate::flags::server_limits::ServerLimitFlags;
use crate::net::dial::Dialer;
use crate::net::unix::UnixAddress;
use crate::process::output_file;
use crate::process::sandbox::SandboxPolicy;
use crate::relay;
use crate::relay::datagram::DatagramRelayOptions;
use crate::relay::service::{RelayOptions, RelayService};
use crate::report::Report;
use crate::report::context::Context;
use crate::server;
use crate::server::ServerOptions;
use crate::server::limits::ServerLimits;

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
    /// Print the port on stdout, as the first line
    #[arg(long)]
    pub print_port: bool,
    /// Hex dump
    #[command(flatten)]
    pub hex: ServerHexFlag,
    /// Recording
    #[command(flatten)]
    pub record: RecordFlags,
    /// Faults
    #[command(flatten)]
    pub faults: RelayFaultFlags,
    /// Connecting to the target
    #[command(flatten)]
    pub connect: ConnectFlags,
    /// Limits
    #[command(flatten)]
    pub limits: ServerLimitFlags,
    /// TLS
    #[command(flatten)]
    pub tls: RelayTlsFlags,
    /// Privileges
    #[command(flatten)]
    pub run_as: RunAsFlags,
}

impl Args {
    /// Relays until the limits or a signal end the run.
    ///
    /// Fails with 2 when LISTEN and TARGET are the same address, and as [`server::run`] does.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let context = Context::new(report, self.limits.timeout.0)?;
        let (listen, target) = self.addresses()?;
        let limits = self.limits.limits(&context.shutdown)?;
        if self.udp {
            return self.relay_datagrams(&context, (listen, target), limits);
        }
        let tls = self.tls.serving(&listen)?;
        if let Some(why) = self.tls.server().warning() {
            report.warn(None, why);
        }
        let options = self.options(&target, report)?;
        let listener = listen.listener(&self.connect, self.limits.backlog, &context)?;
        // Before the change of user and the sandbox, which may not open them.
        let options = RelayOptions { recorder: self.record.recorder(report)?, ..options };
        let hex = self.hex.open(report)?;
        self.run_as.switch_user()?;
        if self.print_port {
            print_port(&listener.local)?;
        }
        if let Some(tls) = &tls {
            tls.log_certificate(report);
        }
        let binds = self.connect.source.is_some();
        super::confine(&SandboxPolicy { binds, ..policy(&listen, &target) }, report);
        let (layer, layer_stack) = tls.map_or((None, 0), |tls| (Some(tls.layer), tls.stack));
        let service = Box::new(RelayService::new(&context, options));
        let options = ServerOptions { listener, limits, service, layer, layer_stack, hex };
        Ok(server::run(&context, options)?)
    }

    /// Fails with exit code 2 on malformed addresses, and when both are the same.
    fn addresses(&self) -> Result<(ListenAddress, TargetAddress), Failure> {
        let listen = ListenAddress::parse(&self.listen)?;
        let target = TargetAddress::parse(&self.target)?;
        if listen.is_same_as(&target) {
            let why = "the target is the address that the relay listens on";
            return Err(Failure::usage(Phase::Connect, &self.target, why));
        }
        if matches!(listen, ListenAddress::Unix(_)) {
            self.limits.reject_ip_rules()?;
        }
        Ok((listen, target))
    }

    fn options(&self, target: &TargetAddress, report: &Report) -> Result<RelayOptions, Failure> {
        let scheme = if self.tls.tls { "https" } else { "tcp" };
        let dialer = target.dialer(&self.connect, scheme)?;
        Ok(RelayOptions {
            dialer: Dialer { layer: self.tls.layer(&dialer.endpoint.host)?, ..dialer },
            idle_timeout: self.limits.idle_timeout.and_then(|limit| limit.0),
            faults: self.faults.stream_plan(report)?,
            recorder: None,
            stats: self.stats,
            layer_stack: self.tls.stack(),
        })
    }

    fn relay_datagrams(
        &self,
        context: &Context,
        addresses: (ListenAddress, TargetAddress),
        limits: ServerLimits,
    ) -> anyhow::Result<ExitCode> {
        let (ListenAddress::Inet(listen), TargetAddress::Inet(target)) = addresses else {
            let why = "--udp needs HOST:PORT on both sides";
            return Err(Failure::usage(Phase::Connect, "--udp", why).into());
        };
        let log = |event| context.report.on_connect_event(event);
        let bind = bind(&listen, &self.connect, &context.shutdown, &log);
        let faults = self.faults.datagram_plan(&context.report)?;
        let socket = udp_socket("relay", bind, None)?;
        let recorder = self.record.recorder(&context.report)?;
        self.run_as.switch_user()?;
        if self.print_port {
            print_port(&local_address(&socket)?)?;
        }
        let idle = self.limits.idle_timeout.map_or(Some(UDP_IDLE_TIMEOUT), |limit| limit.0);
        let limits = ServerLimits { idle_timeout: idle, ..limits };
        let policy = SandboxPolicy { reads: true, connects: true, ..SandboxPolicy::default() };
        super::confine(&policy, &context.report);
        let dialer = self.connect.dial(target);
        let options = DatagramRelayOptions { socket, dialer, faults, recorder, limits };
        Ok(relay::datagram::run(context, options)?)
    }
}

/// What the relay needs after set-up: name services and trusted roots are read at any time.
fn policy(listen: &ListenAddress, target: &TargetAddress) -> SandboxPolicy {
    let removes = match listen {
        ListenAddress::Unix(UnixAddress::Path(path)) => {
            Some(output_file::directory_of(path).to_path_buf())
        }
        _ => None,
    };
    let sends_to_abstract = matches!(target, TargetAddress::Unix(UnixAddress::Abstract(_)));
    let default = SandboxPolicy::default();
    SandboxPolicy { reads: true, connects: true, removes, sends_to_abstract, ..default }
}
