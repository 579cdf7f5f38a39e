//! The names of an address looked up again: where does each one lead?

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::answer::{Note, format_addresses, same_address};
use super::options::{LookupResult, LookupSource, NoAnswer};
use super::query::Query;
use crate::error::{ExitCode, Failure};
use crate::report::lookup::Check;
use crate::resolver;
use crate::resolver::{Family, getaddrinfo, hosts_file};

/// The most a further name may take once one has confirmed the address.
const EXTRA_NAME_TIMEOUT: Duration = Duration::from_secs(1);

/// A name tried, and the failure where the resolver could not tell.
pub struct ForwardCheck {
    /// What came of it.
    pub check: Check,
    /// Why that is not known.
    pub failure: Option<Failure>,
}

/// Whether one of them leads back to the address.
pub fn confirmed(tried: &[ForwardCheck]) -> bool {
    tried.iter().any(|tried| tried.check.outcome == "confirmed")
}

/// Looks each name up again. They share the time, so that one silent server does not keep
/// the others from being asked.
pub fn check(inquiry: &Query<'_>, names: &[String], address: SocketAddr) -> Vec<ForwardCheck> {
    let mut tried: Vec<ForwardCheck> = Vec::new();
    for (nth, name) in names.iter().enumerate() {
        let sure = confirmed(&tried);
        if sure && !inquiry.plan.verify.is_some_and(|rigour| rigour.thorough) {
            break;
        }
        let now = Instant::now();
        let share = inquiry.until.map(|until| {
            let left = until.saturating_duration_since(now) / (names.len() - nth) as u32;
            now + if sure { left.min(EXTRA_NAME_TIMEOUT) } else { left }
        });
        let one = check_one(&inquiry.within(share), name, address);
        inquiry.note(Note::Step(step(&one.check)));
        tried.push(one);
    }
    tried
}

fn check_one(inquiry: &Query<'_>, name: &str, address: SocketAddr) -> ForwardCheck {
    let check = |outcome, addresses: &[SocketAddr], cause: Option<String>| Check {
        address: format_addresses(&[address], false).concat(),
        name: name.to_string(),
        outcome,
        addresses: format_addresses(addresses, false),
        cause,
    };
    if matches!(getaddrinfo::numeric(name, Family::Any), Ok(Some(_))) {
        let why = "a name that is itself an address proves nothing";
        return ForwardCheck { check: check("refused", &[], Some(why.into())), failure: None };
    }
    match forward(inquiry, name, address) {
        Ok(list) if leads_to(&list, &address) => {
            ForwardCheck { check: check("confirmed", &list, None), failure: None }
        }
        Ok(list) => ForwardCheck { check: check("elsewhere", &list, None), failure: None },
        Err(absence) => {
            let cause = Some(absence.failure.cause());
            let (outcome, failure) = match absence.failure.code {
                ExitCode::Resolve | ExitCode::Usage => ("unresolved", None),
                ExitCode::Timeout => ("timeout", Some(absence.failure)),
                ExitCode::Protocol => ("lie", Some(absence.failure)),
                _ => ("failing", Some(absence.failure)),
            };
            ForwardCheck { check: check(outcome, &[], cause), failure }
        }
    }
}

fn leads_to(list: &[SocketAddr], address: &SocketAddr) -> bool {
    list.iter().any(|listed| same_address(listed, address))
}

/// The addresses of a name. That the system finds none is checked by DNS where it asks DNS, so that
/// a failing resolver never becomes a verdict.
fn forward(inquiry: &Query<'_>, name: &str, address: SocketAddr) -> LookupResult<SocketAddr> {
    let ask_dns = |family| inquiry.addresses_of_target(name, family);
    if inquiry.plan.via == LookupSource::Dns {
        return ask_dns(family_for(inquiry.plan.family, address));
    }
    match resolver::addresses(name, 0, Family::Any, inquiry.until) {
        Err(failure) if hosts_file::bypass_nss() => {
            NoAnswer::from(failure).or_else(|| ask_dns(Family::Any))
        }
        found => Ok(found?),
    }
}

/// Where -4 or -6 is asked for, the names of an address still lead to it by its own family.
fn family_for(wanted: Family, address: SocketAddr) -> Family {
    match (wanted, address.ip().to_canonical()) {
        (Family::Any, _) => Family::Any,
        (_, IpAddr::V4(_)) => Family::V4,
        (_, IpAddr::V6(_)) => Family::V6,
    }
}

fn step(check: &Check) -> String {
    let list = check.addresses.join(", ");
    match (&check.cause, check.outcome) {
        (Some(cause), outcome) => format!("{}: {outcome}: {cause}", check.name),
        (None, outcome) => format!("{}: {outcome}: {list}", check.name),
    }
}
