//! Whether an address is what its name claims: reverse, forward, and is it in the list.
//!
//! Each outcome stays apart from the others; above all, a resolver that fails is never taken
//! for an address without a name.

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::Answer;
use super::forward_check::{ForwardCheck, check, confirmed};
use super::options::{LookupOptions, LookupSource};
use super::query::Query;
use super::question::LookupQuestion;
use crate::error::{ExitCode, Failure, Phase};
use crate::report::lookup::{Check, LookupReport, shown};
use crate::resolver::{getaddrinfo, hosts_file};

/// How strictly, and how far.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions {
    /// No name at all is a negative answer.
    pub strict: bool,
    /// Every name is tried, even when one has confirmed the address.
    pub thorough: bool,
}

/// Verifies an address, or each address of a name; the worst outcome decides.
pub fn answer(inquiry: &Query<'_>, word: &str, asked: &LookupQuestion) -> Answer {
    let addresses = match asked {
        LookupQuestion::Address(address) => Ok(vec![*address]),
        LookupQuestion::Host { name, .. } => inquiry.addresses(name),
        LookupQuestion::Service { .. } => Ok(Vec::new()),
    };
    match addresses {
        Ok(addresses) => {
            let verdicts =
                addresses.iter().map(|address| verify_address(inquiry, word, asked, *address));
            merge(verdicts.collect())
        }
        Err(absence) => absence.answer(),
    }
}

/// What became of one address.
struct AddressVerdict {
    status: &'static str,
    code: ExitCode,
    sentence: Option<String>,
    names: Vec<String>,
    checks: Vec<Check>,
    failure: Option<Failure>,
}

fn verify_address(
    inquiry: &Query<'_>,
    word: &str,
    asked: &LookupQuestion,
    address: SocketAddr,
) -> AddressVerdict {
    let original = match asked {
        LookupQuestion::Address(_) => word.to_string(),
        _ => getaddrinfo::format_ip(&address),
    };
    let names = match inquiry.names(&original, address) {
        Ok(names) => names,
        Err(absence) if absence.is_definitive() => Vec::new(),
        Err(absence) => return failed(absence.failure, Vec::new()),
    };
    let mut tried = check(inquiry, &names, address);
    if !confirmed(&tried) && dns_not_consulted(inquiry.plan, address) {
        let mut more = inquiry.within(halfway(inquiry.until)).further_names(&original, address);
        more.retain(|name| !names.contains(name));
        tried.extend(check(inquiry, &more, address));
    }
    summarize(inquiry.plan, &original, tried)
}

/// Whether DNS may know names that the hosts file kept the system from asking for.
fn dns_not_consulted(plan: &LookupOptions, address: SocketAddr) -> bool {
    plan.via == LookupSource::System
        && hosts_file::lists_address(address.ip())
        && hosts_file::ask_dns()
}

fn halfway(until: Option<Instant>) -> Option<Instant> {
    let now = Instant::now();
    until.map(|until| now + until.saturating_duration_since(now) / 2)
}

/// One confirmation is enough; without it an unknown leaves all open; else the first name
/// that disappointed is told.
fn summarize(plan: &LookupOptions, original: &str, mut tried: Vec<ForwardCheck>) -> AddressVerdict {
    let address = shown(original);
    let validated = tried.iter().find(|tried| tried.check.outcome == "confirmed");
    let told = |status, code, sentence| (status, code, Some(sentence));
    let (status, code, sentence) = if let Some(ForwardCheck { check, .. }) = validated {
        told("validated", ExitCode::Done, format!("Validated hostname: {}", shown(&check.name)))
    } else if let Some(failure) = tried.iter_mut().find_map(|tried| tried.failure.take()) {
        let checks = tried.into_iter().map(|tried| tried.check).collect();
        return failed(in_all(plan, original, failure), checks);
    } else if let Some(ForwardCheck { check, .. }) = tried.first() {
        mismatch(check, &address)
    } else {
        let strict = plan.verify.is_some_and(|rigour| rigour.strict);
        let code = if strict { ExitCode::Negative } else { ExitCode::Done };
        told("none", code, format!("No host names available for {address}; this may be normal."))
    };
    let checks: Vec<Check> = tried.into_iter().map(|tried| tried.check).collect();
    let names = checks.iter().map(|check| check.name.clone()).collect();
    AddressVerdict { status, code, sentence, names, checks, failure: None }
}

fn mismatch(check: &Check, address: &str) -> (&'static str, ExitCode, Option<String>) {
    let name = shown(&check.name);
    let (status, what) = match check.outcome {
        "elsewhere" => (
            "mismatch",
            format!("on forward lookup, original IP {address} did not appear in IP address list."),
        ),
        _ => {
            let cause = check.cause.as_deref().map(shown).unwrap_or_default();
            ("forward-failed", format!("it could not be forward-resolved: {cause}"))
        }
    };
    (status, ExitCode::Negative, Some(format!("Got hostname {name}, but {what}")))
}

/// A share of the time that ran out is told as the whole limit it was taken from.
fn in_all(plan: &LookupOptions, original: &str, failure: Failure) -> Failure {
    match plan.limit {
        Some(limit) if failure.timed_out() => Failure::timeout(Phase::Resolve, original, limit),
        _ => failure,
    }
}

fn failed(failure: Failure, checks: Vec<Check>) -> AddressVerdict {
    let names = checks.iter().map(|check| check.name.clone()).collect();
    let Answer { facts, failure, .. } = Answer::failed(failure);
    let code = failure.as_ref().map_or(ExitCode::TryAgain, |failure| failure.code);
    AddressVerdict { status: facts.status, code, sentence: None, names, checks, failure }
}

/// The verdicts on all addresses of one question; the worst one names the status.
fn merge(verdicts: Vec<AddressVerdict>) -> Answer {
    let mut answer =
        Answer::ok(LookupReport { names: Some(Vec::new()), ..LookupReport::default() });
    let (mut sentences, mut checks, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for verdict in verdicts {
        let code = verdict.code.number();
        if answer.facts.status == "ok" || code > answer.facts.code {
            answer.facts.status = verdict.status;
            answer.facts.code = code;
            answer.facts.cause = verdict.failure.as_ref().map(Failure::cause);
            answer.failure = verdict.failure;
        }
        sentences.extend(verdict.sentence);
        names.extend(verdict.names);
        checks.extend(verdict.checks);
    }
    let verdict = (!sentences.is_empty()).then(|| sentences.join("\n"));
    answer.facts =
        LookupReport { names: Some(names), checks: Some(checks), verdict, ..answer.facts };
    answer
}
