//! The options of a lookup.

use std::net::SocketAddr;
use std::time::Duration;

use crate::report::event::lookup::LookupSource;
use crate::resolver::Family;
use crate::resolver::dns::RecordType;

/// The options of a run, which apply to every question.
#[derive(Debug)]
pub struct LookupOptions {
    /// The wanted address families.
    pub family: Family,
    /// Where answers are taken from.
    pub source: LookupSource,
    /// The name server to query; `None` for those of resolv.conf.
    pub server: Option<SocketAddr>,
    /// The record type to query instead of addresses or names.
    pub record_type: Option<RecordType>,
    /// Query name servers over TCP only.
    pub tcp: bool,
    /// Return every entry of getaddrinfo(3), or full records.
    pub all: bool,
    /// Verify addresses by forward-confirmed reverse DNS.
    pub verify: Option<VerifyOptions>,
    /// The time limit per question.
    pub timeout: Option<Duration>,
    /// The maximum number of concurrent lookups.
    pub max_jobs: usize,
}

/// The options of a verification.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions {
    /// An address without a name is a negative answer.
    pub strict: bool,
    /// Every name is looked up, even if one has already confirmed the address.
    pub check_all_names: bool,
}

/// The limits of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// The maximum number of concurrent lookups.
    pub max_jobs: usize,
    /// The time limit per question; `None` is no limit.
    pub timeout: Option<Duration>,
    /// How long after the limit a lookup may still return its own error.
    pub grace: Duration,
}

impl LookupOptions {
    /// Returns the limits of a batch of these lookups, at most `max_jobs` of them concurrently. Name
    /// server queries keep their deadline and return a more precise error; the C library has no
    /// deadline.
    pub fn batch_limits(&self, max_jobs: usize) -> BatchLimits {
        let grace = match self.source {
            LookupSource::System => Duration::from_millis(20),
            LookupSource::Both => Duration::from_millis(200),
            LookupSource::Dns => Duration::from_secs(1),
        };
        BatchLimits { max_jobs, timeout: self.timeout, grace }
    }
}
