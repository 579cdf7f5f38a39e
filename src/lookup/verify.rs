//! Forward-confirmed reverse DNS: the names of an address are looked up and must have the address.
//!
//! The outcomes are kept apart; a failing resolver is never taken for an address without a name.

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::Answer;
use super::forward_check::{ForwardCheck, check_names, is_confirmed};
use super::options::LookupOptions;
use super::query::Query;
use super::question::LookupQuestion;
use crate::error::{ExitCode, Failure, Phase};
use crate::report::lookup::{Check, CheckOutcome, LookupReport, LookupSource, LookupStatus, shown};
use crate::resolver::{getaddrinfo, hosts_file};

/// Verifies an address, or each address of a name; the worst result determines the status.
pub fn verify(query: &Query<'_>, question: &str, parsed: &LookupQuestion) -> Answer {
    let addresses = match parsed {
        LookupQuestion::Address(address) => {
            return merge(vec![verify_address(query, question, *address)]);
        }
        LookupQuestion::Host { name, .. } => query.addresses(name),
        LookupQuestion::Service { .. } => Ok(Vec::new()),
    };
    let verify_one =
        |address: &SocketAddr| verify_address(query, &getaddrinfo::format_ip(address), *address);
    match addresses {
        Ok(addresses) => merge(addresses.iter().map(verify_one).collect()),
        Err(no_answer) => no_answer.into_answer(),
    }
}

/// The result for one address.
struct AddressVerdict {
    status: LookupStatus,
    code: ExitCode,
    /// The line that is printed; `None` if the resolver failed.
    text: Option<String>,
    checks: Vec<Check>,
    failure: Option<Failure>,
}

/// Verifies `address`, which the output names `target`.
fn verify_address(query: &Query<'_>, target: &str, address: SocketAddr) -> AddressVerdict {
    let names = match query.names(target, address) {
        Ok(names) => names,
        Err(no_answer) if no_answer.is_definitive() => Vec::new(),
        Err(no_answer) => return failed(no_answer.failure, Vec::new()),
    };
    let mut checks = check_names(query, &names, address);
    if !is_confirmed(&checks) && dns_not_consulted(query.options, address) {
        let first_half = query.with_deadline(halfway(query.deadline));
        let mut more = first_half.further_names(target, address);
        more.retain(|name| !names.contains(name));
        checks.extend(check_names(query, &more, address));
    }
    summarize(query.options, target, checks)
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

/// One confirmed name is sufficient; without one, a failed lookup is the result, then the first name
/// that does not have the address, then the absence of names.
fn summarize(
    options: &LookupOptions,
    target: &str,
    mut checks: Vec<ForwardCheck>,
) -> AddressVerdict {
    let confirmed = |one: &&ForwardCheck| one.check.outcome == CheckOutcome::Confirmed;
    let (status, code, text) = if let Some(one) = checks.iter().find(confirmed) {
        let text = format!("Validated hostname: {}", shown(&one.check.name));
        (LookupStatus::Validated, ExitCode::Done, text)
    } else if let Some(failure) = checks.iter_mut().find_map(|one| one.failure.take()) {
        return failed(with_total_limit(options, target, failure), plain(checks));
    } else if let Some(first) = checks.first() {
        let (status, text) = mismatch(&first.check, &shown(target));
        (status, ExitCode::Negative, text)
    } else {
        let is_strict = options.verify.is_some_and(|verify| verify.strict);
        let code = if is_strict { ExitCode::Negative } else { ExitCode::Done };
        let text = format!("No host names available for {}; this may be normal.", shown(target));
        (LookupStatus::None, code, text)
    };
    AddressVerdict { status, code, text: Some(text), checks: plain(checks), failure: None }
}

/// Returns status and text for a name that does not have the address.
fn mismatch(check: &Check, address: &str) -> (LookupStatus, String) {
    let name = shown(&check.name);
    if check.outcome == CheckOutcome::Elsewhere {
        let text = format!(
            "Got hostname {name}, but on forward lookup, original IP {address} did not appear in \
             IP address list."
        );
        return (LookupStatus::Mismatch, text);
    }
    let cause = check.cause.as_deref().map(shown).unwrap_or_default();
    let text = format!("Got hostname {name}, but it could not be forward-resolved: {cause}");
    (LookupStatus::ForwardFailed, text)
}

/// Names the time limit of the question in a timeout of one of its lookups.
fn with_total_limit(options: &LookupOptions, target: &str, failure: Failure) -> Failure {
    match options.timeout {
        Some(limit) if failure.timed_out() => Failure::timeout(Phase::Resolve, target, limit),
        _ => failure,
    }
}

fn plain(checks: Vec<ForwardCheck>) -> Vec<Check> {
    checks.into_iter().map(|one| one.check).collect()
}

fn failed(failure: Failure, checks: Vec<Check>) -> AddressVerdict {
    let code = failure.code;
    let Answer { result, failure, .. } = Answer::failed(failure);
    AddressVerdict { status: result.status, code, text: None, checks, failure }
}

/// Merges the results for all addresses of a question; the worst one determines the status.
fn merge(verdicts: Vec<AddressVerdict>) -> Answer {
    let mut answer = Answer::ok(LookupReport::default());
    let (mut texts, mut checks) = (Vec::new(), Vec::new());
    for verdict in verdicts {
        let code = verdict.code.number();
        if answer.result.status == LookupStatus::Ok || code > answer.result.code {
            answer.result.status = verdict.status;
            answer.result.code = code;
            answer.result.cause = verdict.failure.as_ref().map(Failure::cause);
            answer.failure = verdict.failure;
        }
        texts.extend(verdict.text);
        checks.extend(verdict.checks);
    }
    answer.result.names = Some(checks.iter().map(|check| check.name.clone()).collect());
    answer.result.verdict = (!texts.is_empty()).then(|| texts.join("\n"));
    answer.result.checks = Some(checks);
    answer
}
