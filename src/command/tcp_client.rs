//! `tcp-client`: connects by TCP and talks: pipe, prompt or script.

use std::sync::Arc;

use crate::client;
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::connect::{ConnectFlags, TargetArgs};
use crate::flags::session::SessionFlags;
use crate::flags::tls::ClientTls;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::layer::Layer;
use crate::report::Report;

/// What the user asks of tcp-client.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom
    #[command(flatten)]
    pub target: TargetArgs,
    /// What to say
    #[command(flatten)]
    pub talk: SessionFlags,
    /// How to connect
    #[command(flatten)]
    pub dialling: ConnectFlags,
    /// Speak TLS
    #[arg(long, help_heading = "TLS")]
    pub tls: bool,
    /// Whom to believe
    #[command(flatten)]
    pub trust: ClientTls,
}

impl Args {
    /// Connects and talks to the end.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let endpoint = self.target.endpoint()?;
        let scheme = if self.tls { "https" } else { "tcp" };
        let route = self.dialling.route(scheme, &endpoint)?;
        let layer = self.layer(&endpoint)?;
        if let Some(why) = self.trust.warning() {
            report.warn(None, why);
        }
        let dial = Dialer { route, layer, ..self.dialling.dial(endpoint) };
        let tell = |step| report.on_connect_event(step);
        Ok(client::run(&self.talk, report, |stop| dial.connect(stop, &tell))?)
    }

    fn layer(&self, endpoint: &Endpoint) -> Result<Option<Arc<dyn Layer>>, Failure> {
        match (self.tls, self.trust.first_given_flag()) {
            (true, _) => self.trust.layer(&endpoint.host).map(Some),
            (false, None) => Ok(None),
            (false, Some(flag)) => Err(Failure::usage(Phase::Tls, flag, "needs --tls beside it")),
        }
    }
}
