//! Forward-confirmed reverse DNS: the names of an address are looked up and must have the address.
//!
//! The outcomes are kept apart; a failing resolver is never taken for an address without a name.

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::Answer;
use super::forward_check::{ForwardCheck, check_names, is_confirmed};
use super::no_answer::{NoAnswer, failure_status};
use super::options::LookupOptions;
use super::query::Query;
use super::question::LookupQuestion;
use crate::error::{ExitCode, Failure, Phase};
use crate::report::event::lookup::{
    ForwardLookup, ForwardOutcome, LookupReport, LookupSource, LookupStatus, shown,
};
use crate::resolver::{getaddrinfo, hosts_file};

/// What the names of an address prove.
///
/// | the forward lookups of its names | status | exit code |
/// |---|---|---|
/// | one name has the address | validated | 0 |
/// | none has, and a lookup failed | as the failure | 75, 28 or 8 |
/// | none has, the first has other addresses | mismatch | 1 |
/// | none has, the first has no addresses | forward-failed | 1 |
/// | there are no names | none | 0, with `--strict` 1 |
///
/// The reverse lookup itself may fail too.
struct VerifyOutcome {
    status: LookupStatus,
    code: ExitCode,
    /// The line that is printed; none if the resolver failed.
    text: Option<String>,
    failure: Option<Failure>,
    checks: Vec<ForwardLookup>,
}

impl VerifyOutcome {
    /// Derives the outcome for `address`, as it is printed, from the forward lookups of its names.
    fn of(options: &LookupOptions, address: &str, checks: Vec<ForwardCheck>) -> VerifyOutcome {
        let is_confirmed = |one: &&ForwardCheck| one.lookup.outcome == ForwardOutcome::Confirmed;
        let confirmed = checks.iter().find(is_confirmed).map(|one| shown(&one.lookup.name));
        let (mut failures, mut all) = (Vec::new(), Vec::new());
        for ForwardCheck { lookup, failure } in checks {
            failures.extend(failure);
            all.push(lookup);
        }
        if let Some(name) = confirmed {
            let text = format!("Validated hostname: {name}");
            return VerifyOutcome::new(LookupStatus::Validated, ExitCode::Done, text, all);
        }
        if let Some(failure) = failures.into_iter().next() {
            return match options.timeout {
                // A timeout of one of its lookups is one of the question.
                Some(limit) if failure.timed_out() => {
                    VerifyOutcome::failed(Failure::timeout(Phase::Resolve, address, limit), all)
                }
                _ => VerifyOutcome::failed(failure, all),
            };
        }
        let address = shown(address);
        let Some(ForwardLookup { name, outcome, cause, .. }) = all.first() else {
            let is_strict = options.verify.is_some_and(|verify| verify.strict);
            let code = if is_strict { ExitCode::Negative } else { ExitCode::Done };
            let text = format!("No host names available for {address}; this may be normal.");
            return VerifyOutcome::new(LookupStatus::NoName, code, text, all);
        };
        let name = shown(name);
        if *outcome == ForwardOutcome::Elsewhere {
            let text = format!(
                "Got hostname {name}, but on forward lookup, original IP {address} did not appear \
                 in IP address list."
            );
            return VerifyOutcome::new(LookupStatus::Mismatch, ExitCode::Negative, text, all);
        }
        let cause = shown(cause.as_deref().unwrap_or_default());
        let text = format!("Got hostname {name}, but it could not be forward-resolved: {cause}");
        VerifyOutcome::new(LookupStatus::ForwardFailed, ExitCode::Negative, text, all)
    }

    fn new(
        status: LookupStatus,
        code: ExitCode,
        text: String,
        checks: Vec<ForwardLookup>,
    ) -> VerifyOutcome {
        VerifyOutcome { status, code, text: Some(text), failure: None, checks }
    }

    fn failed(failure: Failure, checks: Vec<ForwardLookup>) -> VerifyOutcome {
        let (status, code) = (failure_status(&failure), failure.code);
        VerifyOutcome { status, code, text: None, failure: Some(failure), checks }
    }
}

/// Verifies an address, or each address of a name; the worst result determines the status.
pub fn verify(
    query: &Query<'_>,
    question: &str,
    parsed: &LookupQuestion,
) -> Result<Answer, NoAnswer> {
    let addresses = match parsed {
        LookupQuestion::Address(address) => {
            return Ok(merge(vec![verify_address(query, question, *address)]));
        }
        LookupQuestion::Host { name, .. } => query.addresses(name)?,
        LookupQuestion::Service { .. } => Vec::new(),
    };
    let verify_one =
        |address: &SocketAddr| verify_address(query, &getaddrinfo::format_ip(address), *address);
    Ok(merge(addresses.iter().map(verify_one).collect()))
}

/// Verifies `address`, which the output names `target`.
fn verify_address(query: &Query<'_>, target: &str, address: SocketAddr) -> VerifyOutcome {
    let names = match query.names(target, address) {
        Ok(names) => names,
        Err(no_answer) if no_answer.is_definitive() => Vec::new(),
        Err(NoAnswer { failure, .. }) => return VerifyOutcome::failed(failure, Vec::new()),
    };
    VerifyOutcome::of(query.options, target, check_all_names(query, target, address, &names))
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

/// Merges the results for all addresses of a question; the worst one determines the status.
fn merge(outcomes: Vec<VerifyOutcome>) -> Answer {
    let mut answer = Answer::ok(LookupReport::default());
    let (mut texts, mut checks) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        texts.extend(outcome.text);
        checks.extend(outcome.checks);
        let code = outcome.code.number();
        if answer.result.status == LookupStatus::Ok || code > answer.result.code {
            (answer.result.status, answer.result.code) = (outcome.status, code);
            answer.failure = outcome.failure;
        }
    }
    answer.result.cause = answer.failure.as_ref().map(Failure::cause);
    answer.result.names =
        Some(checks.iter().map(|check: &ForwardLookup| check.name.clone()).collect());
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

    fn check(name: &str, outcome: ForwardOutcome) -> ForwardCheck {
        let failing = outcome == ForwardOutcome::Failing;
        let failure = failing.then(|| Failure::resolver(name, "SERVFAIL"));
        let (address, addresses) = ("192.0.2.1".to_string(), Vec::new());
        let cause = Some("no such name".to_string());
        let lookup = ForwardLookup { address, name: name.into(), outcome, addresses, cause };
        ForwardCheck { lookup, failure }
    }

    #[test]
    fn names_of_an_address_have_one_outcome() {
        use ForwardOutcome::{Confirmed, Elsewhere, Failing, Refused, Unresolved};
        for (outcomes, status, code, strict_code, text) in [
            (&[Elsewhere, Failing, Confirmed][..], LookupStatus::Validated, 0, 0, "Validated"),
            (&[Elsewhere, Failing], LookupStatus::Failing, 75, 75, ""),
            (&[Elsewhere, Unresolved], LookupStatus::Mismatch, 1, 1, "did not appear"),
            (&[Unresolved, Elsewhere], LookupStatus::ForwardFailed, 1, 1, "could not be"),
            (&[Refused], LookupStatus::ForwardFailed, 1, 1, "could not be"),
            (&[], LookupStatus::NoName, 0, 1, "may be normal"),
        ] {
            let both = [false, true].map(|strict| {
                let checks = outcomes.iter().map(|one| check("n", *one)).collect();
                VerifyOutcome::of(&options(strict), "192.0.2.1", checks)
            });
            let codes = both.each_ref().map(|one| one.code.number());
            let [lenient, _] = both;
            assert_eq!((lenient.status, codes), (status, [code, strict_code]), "{outcomes:?}");
            assert_eq!(lenient.text.is_none(), text.is_empty());
            assert!(lenient.text.unwrap_or_default().contains(text));
        }
    }

    #[test]
    fn worst_address_decides_and_every_line_is_printed() {
        let of = |outcome| VerifyOutcome::of(&options(false), "a", vec![check("n", outcome)]);
        let answer = merge(vec![
            of(ForwardOutcome::Confirmed),
            of(ForwardOutcome::Failing),
            of(ForwardOutcome::Elsewhere),
        ]);
        assert_eq!((answer.result.status, answer.result.code), (LookupStatus::Failing, 75));
        assert_eq!(answer.result.cause.as_deref(), Some("SERVFAIL"));
        assert_eq!(answer.result.verdict.unwrap().lines().count(), 2);
    }
}
