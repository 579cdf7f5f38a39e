//! The forward lookups of a verification: the addresses of each name of an address.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::answer::{Note, format_addresses, same_address};
use super::no_answer::{LookupResult, NoAnswer};
use super::query::Query;
use crate::error::{ExitCode, Failure};
use crate::report::event::lookup::{ForwardLookup, ForwardOutcome, LookupSource};
use crate::resolver;
use crate::resolver::{Family, getaddrinfo, hosts_file};

/// The time limit of a further name, once one has confirmed the address.
const EXTRA_NAME_TIMEOUT: Duration = Duration::from_secs(1);

/// The forward lookup of one name.
pub struct ForwardCheck {
    /// What is known of it.
    pub lookup: ForwardLookup,
    /// The failure, if the resolver failed.
    pub failure: Option<Failure>,
}

/// Whether one of the names has the address.
pub fn is_confirmed(checks: &[ForwardCheck]) -> bool {
    checks.iter().any(|one| one.lookup.outcome == ForwardOutcome::Confirmed)
}

/// Looks up each name. They share the time that is left, so that a server that does not reply for
/// one name leaves time for the others.
pub fn check_names(query: &Query<'_>, names: &[String], address: SocketAddr) -> Vec<ForwardCheck> {
    let mut checks: Vec<ForwardCheck> = Vec::new();
    for (nth, name) in names.iter().enumerate() {
        let is_extra = is_confirmed(&checks);
        if is_extra && !query.options.verify.is_some_and(|verify| verify.check_all_names) {
            break;
        }
        let now = Instant::now();
        let share = query.deadline.map(|deadline| {
            let remaining = deadline.saturating_duration_since(now) / (names.len() - nth) as u32;
            now + if is_extra { remaining.min(EXTRA_NAME_TIMEOUT) } else { remaining }
        });
        let one = check_name(&query.with_deadline(share), name, address);
        query.note(Note::Step(step(&one.lookup)));
        checks.push(one);
    }
    checks
}

fn check_name(query: &Query<'_>, name: &str, address: SocketAddr) -> ForwardCheck {
    let lookup = |outcome, addresses: &[SocketAddr], cause: Option<String>| ForwardLookup {
        address: getaddrinfo::format_ip(&address),
        name: name.to_string(),
        outcome,
        addresses: format_addresses(addresses),
        cause,
    };
    if matches!(getaddrinfo::numeric(name, Family::Any), Ok(Some(_))) {
        let cause = Some("a name that is itself an address proves nothing".into());
        return ForwardCheck { lookup: lookup(ForwardOutcome::Refused, &[], cause), failure: None };
    }
    match forward(query, name, address) {
        Ok(found) => {
            let outcome = if contains(&found, &address) {
                ForwardOutcome::Confirmed
            } else {
                ForwardOutcome::Elsewhere
            };
            ForwardCheck { lookup: lookup(outcome, &found, None), failure: None }
        }
        Err(NoAnswer { failure, .. }) => {
            let outcome = outcome_of(&failure);
            let lookup = lookup(outcome, &[], Some(failure.cause()));
            let failure = (outcome != ForwardOutcome::Unresolved).then_some(failure);
            ForwardCheck { lookup, failure }
        }
    }
}

fn contains(found: &[SocketAddr], address: &SocketAddr) -> bool {
    found.iter().any(|listed| same_address(listed, address))
}

fn outcome_of(failure: &Failure) -> ForwardOutcome {
    match failure.code {
        ExitCode::Resolve | ExitCode::Usage => ForwardOutcome::Unresolved,
        ExitCode::Timeout => ForwardOutcome::Timeout,
        ExitCode::Protocol => ForwardOutcome::Invalid,
        _ => ForwardOutcome::Failing,
    }
}

/// Returns the addresses of a name. If the system has none, DNS is queried too where the system uses
/// it, so that a failing resolver is not taken for an unknown name.
fn forward(query: &Query<'_>, name: &str, address: SocketAddr) -> LookupResult<SocketAddr> {
    let query_dns = |family| query.addresses_of_target(name, family);
    if query.options.source == LookupSource::Dns {
        return match query_dns(family_for(query.options.family, address)) {
            Err(failed) if !failed.is_definitive() => {
                // A server that fails for the other family only may still confirm the address.
                let found = query_dns(family_of(address)).ok();
                found.filter(|found| contains(found, &address)).ok_or(failed)
            }
            result => result,
        };
    }
    match resolver::addresses(name, 0, Family::Any, query.deadline) {
        Err(failure) if hosts_file::uses_name_servers() => {
            NoAnswer::from(failure).or_else(|| query_dns(Family::Any))
        }
        found => Ok(found?),
    }
}

/// Returns the family to look up: with `-4` or `-6`, that of the address.
fn family_for(wanted: Family, address: SocketAddr) -> Family {
    if wanted == Family::Any { Family::Any } else { family_of(address) }
}

fn family_of(address: SocketAddr) -> Family {
    match address.ip().to_canonical() {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

fn step(lookup: &ForwardLookup) -> String {
    let detail = lookup.cause.clone().unwrap_or_else(|| lookup.addresses.join(", "));
    format!("{}: {}: {detail}", lookup.name, lookup.outcome)
}
