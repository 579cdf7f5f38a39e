//! `http-get`: one GET, whole or told.
//!
//! A URL becomes a [`Link`], a link an exchange, a redirect another exchange; the body goes to
//! stdout or through `FILE.part` to a file. A number that can be trusted comes back.

use super::confine;
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::connect::ConnectFlags;
use crate::flags::run;
use crate::flags::tls::ClientTls;
use crate::http::ParserOptions;
use crate::http::url::HttpUrl;
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;
use crate::resolver;

use crate::fetch::output::Destination;
use crate::flags::http::{OutputFlags, RequestFlags, ResponseFlags};

/// What the user asks of http-get.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to get; http:// may be left out
    #[arg(value_name = "URL", required = true, value_hint = clap::ValueHint::Url)]
    pub urls: Vec<String>,
    /// Where the answer goes
    #[command(flatten)]
    pub saving: OutputFlags,
    /// What is asked
    #[command(flatten)]
    pub asking: RequestFlags,
    /// What is taken for an answer
    #[command(flatten)]
    pub judging: ResponseFlags,
    /// How to connect
    #[command(flatten)]
    pub dialling: ConnectFlags,
    /// Whom to believe
    #[command(flatten)]
    pub trust: ClientTls,
}

impl Args {
    /// Gets each URL in turn; the first trouble decides the number, the others are told.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        self.check_unix()?;
        let links = self.links()?;
        let places = self.places(&links)?;
        if let Some(needs) = self.needs(&places) {
            confine(&needs, report);
        }
        if let Some(why) = self.trust.warning() {
            report.warn(None, why);
        }
        let stop = run::stop(self.judging.timeout.0)?;
        let mut first = Ok(ExitCode::Done);
        for (link, place) in links.into_iter().zip(places) {
            let got = crate::fetch::Fetch::new(&self, link, report, &stop).get(place);
            match (&first, got) {
                (Ok(ExitCode::Done), got) => first = got,
                (_, Err(failure)) => report.failure(None, &failure),
                (_, Ok(_)) => {}
            }
            if stop.reason().is_some() {
                break;
            }
        }
        Ok(first?)
    }

    /// Refuses a proxy beside `--unix`, which leads past every proxy: exit code 2.
    fn check_unix(&self) -> Result<(), Failure> {
        let has_proxy = self.dialling.proxy.as_ref().is_some_and(|word| !word.is_empty());
        if self.asking.unix.is_some() && has_proxy {
            return Err(Failure::usage(Phase::Proxy, "--proxy", "has no use beside --unix"));
        }
        Ok(())
    }

    fn links(&self) -> Result<Vec<HttpUrl>, Failure> {
        let lookup = |name: &str| resolver::port(name, "tcp");
        self.urls.iter().map(|url| HttpUrl::read(url, &lookup)).collect()
    }

    /// Where each body goes.
    fn places(&self, links: &[HttpUrl]) -> Result<Vec<Destination>, Failure> {
        let bad = |whom: &dyn std::fmt::Display, why: &str| {
            Failure::usage(Phase::File, whom.to_string(), why.to_string())
        };
        if self.saving.output.len() > links.len() {
            return Err(bad(&"--output", "more files than URLs"));
        }
        let mut places = Vec::new();
        for (k, link) in links.iter().enumerate() {
            let place = match self.saving.output.get(k) {
                Some(path) if path.as_os_str() == "-" => Destination::Stdout,
                Some(path) => Destination::File(path.clone()),
                None if self.saving.remote_name => {
                    let none = || {
                        bad(link, "the URL names no file").with_hint("-o FILE says where it goes")
                    };
                    Destination::File(link.file_name().ok_or_else(none)?.into())
                }
                None => Destination::Stdout,
            };
            if self.saving.resume && place == Destination::Stdout {
                return Err(bad(&"--continue", "only a file (-o, -O) can be continued"));
            }
            places.push(place);
        }
        Ok(places)
    }

    /// What the run needs from here on; `None` where that is not certain: what is written to is
    /// no plain file, or TLS is to leave its keys in a file of the user's.
    fn needs(&self, places: &[Destination]) -> Option<SandboxPolicy> {
        if std::env::var_os("SSLKEYLOGFILE").is_some() {
            return None;
        }
        let mut writes = Vec::new();
        for place in places {
            if let Destination::File(path) = place {
                let folder = crate::fetch::partial_file::target_dir(path)?;
                if !writes.contains(&folder) {
                    writes.push(folder);
                }
            }
        }
        let binds = self.dialling.source.is_some();
        Some(SandboxPolicy {
            reads: true,
            writes,
            connects: true,
            binds,
            ..SandboxPolicy::default()
        })
    }

    /// What the parser of the answer accepts, and its limits.
    pub fn rules(&self) -> ParserOptions {
        ParserOptions {
            head_request: self.asking.head,
            max_header: self.judging.max_header,
            max_decoded: self
                .judging
                .max_decoded
                .map(|most| if most == 0 { u64::MAX } else { most }),
            decode: !self.judging.no_decode,
            leniency: self.judging.leniency(),
            http09: self.judging.http09,
        }
    }
}
