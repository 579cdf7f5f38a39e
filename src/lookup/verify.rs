//! Forward-confirmed reverse DNS: the names of an address are looked up and must have the address.
//!
//! The outcomes are kept apart; a failing resolver is never taken for an address without a name.

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::{Answer, failure_status};
use super::forward_check::{ForwardCheck, check_names, is_confirmed};
use super::options::LookupOptions;
use super::query::Query;
use super::question::LookupQuestion;
use crate::error::{ExitCode, Failure, Phase};
use crate::report::lookup::{Check, CheckOutcome, LookupReport, LookupSource, LookupStatus, shown};
use crate::resolver::{getaddrinfo, hosts_file};

/// What the names of an address prove.
///
/// | the forward lookups of its names | verdict | status | exit code |
/// |---|---|---|---|
/// | one name has the address | `Validated` | validated | 0 |
/// | none has, and a lookup failed | `Failed` | as the failure | 75, 28 or 8 |
/// | none has, the first has other addresses | `Mismatch` | mismatch | 1 |
/// | none has, the first has no addresses | `Unresolved` | forward-failed | 1 |
/// | there are no names | `NoNames` | none | 0, with `--strict` 1 |
///
/// The reverse lookup itself may fail too, which is `Failed`.
#[derive(Debug)]
enum AddressVerdict {
    Validated { name: String },
    Failed(Failure),
    Mismatch { name: String },
    Unresolved { name: String, cause: String },
    NoNames,
}

impl AddressVerdict {
    /// Derives the verdict from the forward lookups, whose failures it takes.
    fn of(checks: &mut [ForwardCheck]) -> AddressVerdict {
        let confirmed = |one: &&ForwardCheck| one.check.outcome == CheckOutcome::Confirmed;
        if let Some(one) = checks.iter().find(confirmed) {
            return AddressVerdict::Validated { name: one.check.name.clone() };
        }
        if let Some(failure) = checks.iter_mut().find_map(|one| one.failure.take()) {
            return AddressVerdict::Failed(failure);
        }
        let Some(ForwardCheck { check, .. }) = checks.first() else {
            return AddressVerdict::NoNames;
        };
        let name = check.name.clone();
        if check.outcome == CheckOutcome::Elsewhere {
            return AddressVerdict::Mismatch { name };
        }
        AddressVerdict::Unresolved { name, cause: check.cause.clone().unwrap_or_default() }
    }

    fn status(&self) -> LookupStatus {
        match self {
            AddressVerdict::Validated { .. } => LookupStatus::Validated,
            AddressVerdict::Failed(failure) => failure_status(failure),
            AddressVerdict::Mismatch { .. } => LookupStatus::Mismatch,
            AddressVerdict::Unresolved { .. } => LookupStatus::ForwardFailed,
            AddressVerdict::NoNames => LookupStatus::None,
        }
    }

    fn code(&self, options: &LookupOptions) -> ExitCode {
        match self {
            AddressVerdict::Validated { .. } => ExitCode::Done,
            AddressVerdict::Failed(failure) => failure.code,
            AddressVerdict::Mismatch { .. } | AddressVerdict::Unresolved { .. } => {
                ExitCode::Negative
            }
            AddressVerdict::NoNames if options.verify.is_some_and(|verify| verify.strict) => {
                ExitCode::Negative
            }
            AddressVerdict::NoNames => ExitCode::Done,
        }
    }

    /// The line that is printed about `address`; none if the resolver failed.
    fn text(&self, address: &str) -> Option<String> {
        let address = shown(address);
        Some(match self {
            AddressVerdict::Failed(_) => return None,
            AddressVerdict::Validated { name } => format!("Validated hostname: {}", shown(name)),
            AddressVerdict::Mismatch { name } => format!(
                "Got hostname {}, but on forward lookup, original IP {address} did not appear in \
                 IP address list.",
                shown(name)
            ),
            AddressVerdict::Unresolved { name, cause } => format!(
                "Got hostname {}, but it could not be forward-resolved: {}",
                shown(name),
                shown(cause)
            ),
            AddressVerdict::NoNames => {
                format!("No host names available for {address}; this may be normal.")
            }
        })
    }
}

/// The result for one address.
struct AddressResult {
    /// The address, as it is printed.
    target: String,
    verdict: AddressVerdict,
    checks: Vec<Check>,
}

/// Verifies an address, or each address of a name; the worst result determines the status.
pub fn verify(query: &Query<'_>, question: &str, parsed: &LookupQuestion) -> Answer {
    let addresses = match parsed {
        LookupQuestion::Address(address) => {
            return merge(query.options, vec![verify_address(query, question, *address)]);
        }
        LookupQuestion::Host { name, .. } => query.addresses(name),
        LookupQuestion::Service { .. } => Ok(Vec::new()),
    };
    let verify_one =
        |address: &SocketAddr| verify_address(query, &getaddrinfo::format_ip(address), *address);
    match addresses {
        Ok(addresses) => merge(query.options, addresses.iter().map(verify_one).collect()),
        Err(no_answer) => no_answer.into_answer(),
    }
}

/// Verifies `address`, which the output names `target`.
fn verify_address(query: &Query<'_>, target: &str, address: SocketAddr) -> AddressResult {
    let mut checks = match query.names(target, address) {
        Ok(names) => check_all_names(query, target, address, &names),
        Err(no_answer) if no_answer.is_definitive() => check_all_names(query, target, address, &[]),
        Err(no_answer) => {
            let verdict = AddressVerdict::Failed(no_answer.failure);
            return AddressResult { target: target.to_string(), verdict, checks: Vec::new() };
        }
    };
    let verdict = match AddressVerdict::of(&mut checks) {
        AddressVerdict::Failed(failure) => {
            AddressVerdict::Failed(with_total_limit(query.options, target, failure))
        }
        verdict => verdict,
    };
    let checks = checks.into_iter().map(|one| one.check).collect();
    AddressResult { target: target.to_string(), verdict, checks }
}

/// Looks up `names`, and where none of them has the address, those that DNS has beside the hosts
/// file.
fn check_all_names(
    query: &Query<'_>,
    target: &str,
    address: SocketAddr,
    names: &[String],
) -> Vec<ForwardCheck> {
    let mut checks = check_names(query, names, address);
    if !is_confirmed(&checks) && dns_not_consulted(query.options, address) {
        let first_half = query.with_deadline(halfway(query.deadline));
        let mut more = first_half.further_names(target, address);
        more.retain(|name| !names.contains(name));
        checks.extend(check_names(query, &more, address));
    }
    checks
}

/// Whether DNS may have further names because the system found one in the hosts file.
fn dns_not_consulted(options: &LookupOptions, address: SocketAddr) -> bool {
    options.source == LookupSource::System
        && hosts_file::lists_address(address.ip())
        && hosts_file::uses_dns()
}

fn halfway(deadline: Option<Instant>) -> Option<Instant> {
    let now = Instant::now();
    deadline.map(|deadline| now + deadline.saturating_duration_since(now) / 2)
}

/// Names the time limit of the question in a timeout of one of its lookups.
fn with_total_limit(options: &LookupOptions, target: &str, failure: Failure) -> Failure {
    match options.timeout {
        Some(limit) if failure.timed_out() => Failure::timeout(Phase::Resolve, target, limit),
        _ => failure,
    }
}

/// Merges the results for all addresses of a question; the worst one determines the status.
fn merge(options: &LookupOptions, results: Vec<AddressResult>) -> Answer {
    let mut answer = Answer::ok(LookupReport::default());
    let (mut texts, mut checks) = (Vec::new(), Vec::new());
    for AddressResult { target, verdict, checks: more } in results {
        texts.extend(verdict.text(&target));
        checks.extend(more);
        let code = verdict.code(options).number();
        if answer.result.status != LookupStatus::Ok && code <= answer.result.code {
            continue;
        }
        (answer.result.status, answer.result.code) = (verdict.status(), code);
        answer.failure =
            if let AddressVerdict::Failed(failure) = verdict { Some(failure) } else { None };
        answer.result.cause = answer.failure.as_ref().map(Failure::cause);
    }
    answer.result.names = Some(checks.iter().map(|check: &Check| check.name.clone()).collect());
    answer.result.verdict = (!texts.is_empty()).then(|| texts.join("\n"));
    answer.result.checks = Some(checks);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::VerifyOptions;
    use crate::resolver::Family;

    fn options(strict: bool) -> LookupOptions {
        LookupOptions {
            family: Family::Any,
            source: LookupSource::Dns,
            server: None,
            record_type: None,
            tcp: false,
            all: false,
            verify: Some(VerifyOptions { strict, check_all_names: false }),
            timeout: None,
            max_jobs: 1,
        }
    }

    fn check(name: &str, outcome: CheckOutcome) -> ForwardCheck {
        let failing = outcome == CheckOutcome::Failing;
        let failure = failing.then(|| Failure::resolver(name, "SERVFAIL"));
        let (address, addresses) = ("192.0.2.1".to_string(), Vec::new());
        let cause = Some("no such name".to_string());
        let check = Check { address, name: name.into(), outcome, addresses, cause };
        ForwardCheck { check, failure }
    }

    #[test]
    fn names_of_an_address_have_one_verdict() {
        use CheckOutcome::{Confirmed, Elsewhere, Failing, Refused, Unresolved};
        for (outcomes, status, code, strict_code, text) in [
            (&[Elsewhere, Failing, Confirmed][..], LookupStatus::Validated, 0, 0, "Validated"),
            (&[Elsewhere, Failing], LookupStatus::Failing, 75, 75, ""),
            (&[Elsewhere, Unresolved], LookupStatus::Mismatch, 1, 1, "did not appear"),
            (&[Unresolved, Elsewhere], LookupStatus::ForwardFailed, 1, 1, "could not be"),
            (&[Refused], LookupStatus::ForwardFailed, 1, 1, "could not be"),
            (&[], LookupStatus::None, 0, 1, "may be normal"),
        ] {
            let mut checks: Vec<_> = outcomes.iter().map(|one| check("n", *one)).collect();
            let verdict = AddressVerdict::of(&mut checks);
            let codes = [false, true].map(|strict| verdict.code(&options(strict)).number());
            assert_eq!((verdict.status(), codes), (status, [code, strict_code]), "{outcomes:?}");
            let printed = verdict.text("192.0.2.1");
            assert_eq!(printed.is_none(), text.is_empty());
            assert!(printed.unwrap_or_default().contains(text));
        }
    }

    #[test]
    fn worst_address_decides_and_every_line_is_printed() {
        let result = |verdict| AddressResult { target: "a".into(), verdict, checks: Vec::new() };
        let name = || "n".to_string();
        let answer = merge(
            &options(false),
            vec![
                result(AddressVerdict::Validated { name: name() }),
                result(AddressVerdict::Failed(Failure::resolver("a", "SERVFAIL"))),
                result(AddressVerdict::Mismatch { name: name() }),
            ],
        );
        assert_eq!((answer.result.status, answer.result.code), (LookupStatus::Failing, 75));
        assert_eq!(answer.result.cause.as_deref(), Some("SERVFAIL"));
        assert_eq!(answer.result.verdict.unwrap().lines().count(), 2);
    }
}
