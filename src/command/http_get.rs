//! `http-get`: downloads URLs.

use super::sandbox;
use crate::error::{ExitCode, Failure};
use crate::fetch;
use crate::flags::http::HttpFlags;
use crate::http::HttpUrl;
use crate::net::stdout::Stdout;
use crate::report::Report;
use crate::report::context::Context;
use crate::resolver;

/// The arguments of http-get.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// URL to download; http:// may be omitted
    #[arg(value_name = "URL", required = true, value_hint = clap::ValueHint::Url)]
    pub urls: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: HttpFlags,
}

impl Args {
    /// Downloads each URL in turn; the first failure decides the exit code.
    pub fn run(self, report: &Report) -> Result<ExitCode, Failure> {
        let urls = self.parse_urls()?;
        let destinations = self.flags.output.destinations(&urls)?;
        let policy = sandbox::http_get(&destinations, &self.flags.connect);
        let timeout = self.flags.response.timeout.0;
        self.flags.tls.warn_readable_key(report);
        let options = self.flags.options()?;
        sandbox::enter(policy, report);
        let context = Context::new(report, timeout)?;
        let downloads = urls.into_iter().zip(destinations).collect();
        fetch::run(&context, &options, downloads, Stdout::standard())
    }

    fn parse_urls(&self) -> Result<Vec<HttpUrl>, Failure> {
        let lookup = |name: &str| resolver::port(name, "tcp");
        self.urls.iter().map(|url| HttpUrl::parse(url, &lookup)).collect()
    }
}
