//! Flags of `resolve`: the source of answers, the record type, limits.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::connect::FamilyFlags;
use super::values::{self, Limit};
use crate::error::{Failure, Phase};
use crate::lookup::{LookupOptions, VerifyOptions};
use crate::report::Report;
use crate::report::event::lookup::LookupSource;
use crate::resolver::dns::{self, RecordType};

/// Flags of a lookup.
#[derive(Debug, clap::Args)]
pub struct LookupFlags {
    /// Print every entry of getaddrinfo(3), or the full records of a name server
    #[arg(long, conflicts_with = "verify")]
    pub all: bool,
    /// Verify addresses with forward-confirmed reverse DNS
    #[arg(long)]
    pub verify: bool,
    /// With --verify: exit with 1 if an address has no name
    #[arg(long, requires = "verify")]
    pub strict: bool,
    /// Query only this name server; the default port is 53
    #[arg(long, value_name = "ADDR[:PORT]", value_hint = clap::ValueHint::Hostname)]
    pub server: Option<String>,
    /// Record type to query, by name or as TYPEnnn (RFC 3597)
    #[arg(long = "type", value_name = "TYPE", ignore_case = true, conflicts_with = "verify",
          value_parser = TypeParser)]
    pub record_type: Option<RecordType>,
    /// Query name servers over TCP only
    #[arg(long)]
    pub tcp: bool,
    /// Data source; the default is dns with --server, --type or --tcp, and system otherwise
    #[arg(long, value_name = "SOURCE", value_enum)]
    pub via: Option<LookupSource>,
    /// Read further questions from FILE, one per line (- is stdin)
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Maximum number of concurrent lookups
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// Timeout per question; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::limit)]
    pub timeout: Limit,
    #[command(flatten)]
    pub(crate) families: FamilyFlags,
}

impl ValueEnum for LookupSource {
    fn value_variants<'a>() -> &'a [Self] {
        &[LookupSource::System, LookupSource::Dns, LookupSource::Both]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            LookupSource::System => {
                "The C library: hosts file, nsswitch and DNS, as for other programs"
            }
            LookupSource::Dns => "Name servers only",
            LookupSource::Both => "Both; print where they differ",
        };
        Some(PossibleValue::new(self.to_string()).help(help))
    }
}

/// Parses a record type; those with names are its possible values.
#[derive(Clone)]
struct TypeParser;

impl TypedValueParser for TypeParser {
    type Value = RecordType;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<RecordType, clap::Error> {
        if let Some(record_type) = value.to_str().and_then(RecordType::from_word) {
            return Ok(record_type);
        }
        let named = PossibleValuesParser::new(RecordType::WORDS);
        named.try_map(|_| Err("not a record type")).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue>>> {
        Some(Box::new(RecordType::WORDS.into_iter().map(PossibleValue::new)))
    }
}

impl LookupFlags {
    /// The options of a lookup with these flags.
    ///
    /// Fails with code 2 on flags that do not go together and on a malformed server, and as the
    /// lookup of the server's name does.
    pub fn options(&self, report: &Report) -> Result<LookupOptions, Failure> {
        let check_all_names = report.is_json() || report.is_verbose();
        let verify = VerifyOptions { strict: self.strict, check_all_names };
        Ok(LookupOptions {
            family: self.families.family(),
            source: self.source()?,
            server: self.server()?,
            record_type: self.record_type,
            tcp: self.tcp,
            all: self.all,
            verify: self.verify.then_some(verify),
            timeout: self.timeout.0,
            max_jobs: usize::from(self.jobs),
        })
    }

    /// Returns the data source, after the checks that clap has no attribute for.
    fn source(&self) -> Result<LookupSource, Failure> {
        let is_query = self.server.is_some() || self.record_type.is_some() || self.tcp;
        let conflict = |why| Err(Failure::usage(Phase::Resolve, "--via", why));
        match self.via {
            None if is_query => Ok(LookupSource::Dns),
            None => Ok(LookupSource::System),
            Some(LookupSource::System) if is_query => {
                conflict("system cannot be used with --server, --type or --tcp")
            }
            Some(LookupSource::Both) if self.all || self.verify || self.record_type.is_some() => {
                conflict("both cannot be used with --all, --verify or --type")
            }
            Some(source) => Ok(source),
        }
    }

    fn server(&self) -> Result<Option<SocketAddr>, Failure> {
        let deadline = self.timeout.0.and_then(|limit| Instant::now().checked_add(limit));
        self.server.as_deref().map(|word| dns::server(word, deadline)).transpose()
    }
}
