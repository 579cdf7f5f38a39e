//! `tcp-server`: listens on TCP and serves each caller on its own thread.

use super::hosting::choice::Choice;
use super::hosting::{self, Plan};
use crate::failure::Code;
use crate::flags::bind::Binding;
use crate::flags::identity::Identity;
use crate::flags::run;
use crate::flags::serve::Serving;
use crate::flags::socket::Streams;
use crate::flags::tls::{self, ServerTls};
use crate::net::address::Address;
use crate::pump::stdout;
use crate::report::Report;
use crate::report::event::Event;

/// What the user asks of tcp-server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which service
    #[command(flatten)]
    pub choice: Choice,
    /// Where
    #[command(flatten)]
    pub binding: Binding,
    /// Options on each connection
    #[command(flatten)]
    pub streams: Streams,
    /// For whom
    #[command(flatten)]
    pub serving: Serving,
    /// Behind what
    #[command(flatten)]
    pub tls: ServerTls,
    /// As whom
    #[command(flatten)]
    pub identity: Identity,
}

impl Args {
    /// Serves until asked to end.
    pub fn run(self, report: &Report) -> anyhow::Result<Code> {
        let stop = run::stop(self.serving.timeout.0)?;
        let mut limits = self.serving.limits(&stop)?;
        let tls = self.tls.serving(&self.binding.host)?;
        if let Some(why) = self.tls.warning() {
            report.warn(None, why);
        }
        let service = self.choice.service(&mut limits, report)?;
        let listener = self.binding.listener(&self.streams, self.serving.backlog, &stop)?;
        self.identity.assume()?;
        if self.binding.print_port {
            print_port(&listener.local)?;
        }
        let (layer, layer_stack) = match tls {
            Some(tls) => {
                tell_certificate(&tls, report);
                (Some(tls.layer), tls.stack)
            }
            None => (None, 0),
        };
        if let Some(needs) = self.choice.needs() {
            super::confine(&needs, report);
        }
        let plan = Plan { listener, limits, service, layer, layer_stack };
        Ok(hosting::serve(plan, report, &stop)?)
    }
}

/// What callers need to know a certificate by that nobody has signed.
fn tell_certificate(tls: &tls::Serving, report: &Report) {
    match tls.throw_away {
        true => report.tell(&Event::Certificate { sha256: tls.sha256.clone() }),
        false => report.step(|| format!("TLS: our certificate's SHA-256 is {}", tls.sha256)),
    }
}

/// `--print-port`: the bound port alone on stdout's first line, for scripts.
pub(super) fn print_port(local: &Address) -> Result<(), crate::failure::Failure> {
    let port = local.inet().map_or(0, |address| address.port());
    stdout::write_all(format!("{port}\n").as_bytes())
}
