//! `tcp-server`: listens on TCP and serves each caller on its own thread.

use crate::error::ExitCode;
use crate::flags::listen::ListenFlags;
use crate::flags::run;
use crate::flags::run_as::RunAsFlags;
use crate::flags::server_limits::ServerLimitFlags;
use crate::flags::service::ServiceFlags;
use crate::flags::socket::TcpFlags;
use crate::flags::tls::{self, ServerTls};
use crate::net::address::Address;
use crate::net::stdout;
use crate::report::Report;
use crate::report::event::Event;
use crate::server;
use crate::server::Plan;

/// What the user asks of tcp-server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which service
    #[command(flatten)]
    pub choice: ServiceFlags,
    /// Where
    #[command(flatten)]
    pub binding: ListenFlags,
    /// Options on each connection
    #[command(flatten)]
    pub streams: TcpFlags,
    /// For whom
    #[command(flatten)]
    pub serving: ServerLimitFlags,
    /// Behind what
    #[command(flatten)]
    pub tls: ServerTls,
    /// As whom
    #[command(flatten)]
    pub identity: RunAsFlags,
}

impl Args {
    /// Serves until asked to end.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let stop = run::stop(self.serving.timeout.0)?;
        let mut limits = self.serving.limits(&stop)?;
        let tls = self.tls.serving(&self.binding.host)?;
        if let Some(why) = self.tls.warning() {
            report.warn(None, why);
        }
        let service = self.choice.service(&mut limits, report)?;
        let listener = self.binding.listener(&self.streams, self.serving.backlog, &stop)?;
        self.identity.switch_user()?;
        if self.binding.print_port {
            print_port(&listener.local)?;
        }
        let (layer, layer_stack) = match tls {
            Some(tls) => {
                log_certificate(&tls, report);
                (Some(tls.layer), tls.stack)
            }
            None => (None, 0),
        };
        if let Some(needs) = self.choice.sandbox_policy() {
            super::confine(&needs, report);
        }
        let plan = Plan { listener, limits, service, layer, layer_stack };
        Ok(server::serve(plan, report, &stop)?)
    }
}

/// What callers need to know a certificate by that nobody has signed.
fn log_certificate(tls: &tls::TlsServer, report: &Report) {
    match tls.throw_away {
        true => report.emit(&Event::Certificate { sha256: tls.sha256.clone() }),
        false => report.step(|| format!("TLS: our certificate's SHA-256 is {}", tls.sha256)),
    }
}

/// `--print-port`: the bound port alone on stdout's first line, for scripts.
pub(super) fn print_port(local: &Address) -> Result<(), crate::error::Failure> {
    let port = local.inet().map_or(0, |address| address.port());
    stdout::write_all(format!("{port}\n").as_bytes())
}
