//! Whether an address is what its name claims: reverse, forward, and is it in the list.
//!
//! Each outcome stays apart from the others; above all, a resolver that fails is never taken
//! for an address without a name.

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::Answer;
use super::forward_check::{Tried, check, confirmed};
use super::options::{Plan, Via};
use super::query::Inquiry;
use super::question::Asked;
use crate::error::{Code, Failure, Stage};
use crate::report::lookup::{Check, Resolved, shown};
use crate::resolver::{getaddrinfo, hosts_file};

/// How strictly, and how far.
#[derive(Debug, Clone, Copy)]
pub struct Rigour {
    /// No name at all is a negative answer.
    pub strict: bool,
    /// Every name is tried, even when one has confirmed the address.
    pub thorough: bool,
}

/// Verifies an address, or each address of a name; the worst outcome decides.
pub fn answer(inquiry: &Inquiry<'_>, word: &str, asked: &Asked) -> Answer {
    let addresses = match asked {
        Asked::Address(address) => Ok(vec![*address]),
        Asked::Host { name, .. } => inquiry.addresses(name),
        Asked::Service { .. } => Ok(Vec::new()),
    };
    match addresses {
        Ok(addresses) => {
            let verdicts = addresses.iter().map(|address| judge(inquiry, word, asked, *address));
            together(verdicts.collect())
        }
        Err(absence) => absence.answer(),
    }
}

/// What became of one address.
struct Verdict {
    status: &'static str,
    code: Code,
    sentence: Option<String>,
    names: Vec<String>,
    checks: Vec<Check>,
    failure: Option<Failure>,
}

fn judge(inquiry: &Inquiry<'_>, word: &str, asked: &Asked, address: SocketAddr) -> Verdict {
    let original = match asked {
        Asked::Address(_) => word.to_string(),
        _ => getaddrinfo::figures(&address),
    };
    let names = match inquiry.names(&original, address) {
        Ok(names) => names,
        Err(absence) if absence.is_certain() => Vec::new(),
        Err(absence) => return failed(absence.failure, Vec::new()),
    };
    let mut tried = check(inquiry, &names, address);
    if !confirmed(&tried) && unasked(inquiry.plan, address) {
        let mut more = inquiry.within(halfway(inquiry.until)).further_names(&original, address);
        more.retain(|name| !names.contains(name));
        tried.extend(check(inquiry, &more, address));
    }
    conclude(inquiry.plan, &original, tried)
}

/// Whether DNS may know names that the hosts file kept the system from asking for.
fn unasked(plan: &Plan, address: SocketAddr) -> bool {
    plan.via == Via::System && hosts_file::list(address.ip()) && hosts_file::ask_dns()
}

fn halfway(until: Option<Instant>) -> Option<Instant> {
    let now = Instant::now();
    until.map(|until| now + until.saturating_duration_since(now) / 2)
}

/// One confirmation is enough; without it an unknown leaves all open; else the first name
/// that disappointed is told.
fn conclude(plan: &Plan, original: &str, mut tried: Vec<Tried>) -> Verdict {
    let address = shown(original);
    let validated = tried.iter().find(|tried| tried.check.outcome == "confirmed");
    let told = |status, code, sentence| (status, code, Some(sentence));
    let (status, code, sentence) = if let Some(Tried { check, .. }) = validated {
        told("validated", Code::Done, format!("Validated hostname: {}", shown(&check.name)))
    } else if let Some(failure) = tried.iter_mut().find_map(|tried| tried.failure.take()) {
        let checks = tried.into_iter().map(|tried| tried.check).collect();
        return failed(in_all(plan, original, failure), checks);
    } else if let Some(Tried { check, .. }) = tried.first() {
        disappointed(check, &address)
    } else {
        let strict = plan.verify.is_some_and(|rigour| rigour.strict);
        let code = if strict { Code::Negative } else { Code::Done };
        told("none", code, format!("No host names available for {address}; this may be normal."))
    };
    let checks: Vec<Check> = tried.into_iter().map(|tried| tried.check).collect();
    let names = checks.iter().map(|check| check.name.clone()).collect();
    Verdict { status, code, sentence, names, checks, failure: None }
}

fn disappointed(check: &Check, address: &str) -> (&'static str, Code, Option<String>) {
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
    (status, Code::Negative, Some(format!("Got hostname {name}, but {what}")))
}

/// A share of the time that ran out is told as the whole limit it was taken from.
fn in_all(plan: &Plan, original: &str, failure: Failure) -> Failure {
    match plan.limit {
        Some(limit) if failure.timed_out() => Failure::late(Stage::Resolve, original, limit),
        _ => failure,
    }
}

fn failed(failure: Failure, checks: Vec<Check>) -> Verdict {
    let names = checks.iter().map(|check| check.name.clone()).collect();
    let Answer { facts, failure, .. } = Answer::failed(failure);
    let code = failure.as_ref().map_or(Code::TryAgain, |failure| failure.code);
    Verdict { status: facts.status, code, sentence: None, names, checks, failure }
}

/// The verdicts on all addresses of one question; the worst one names the status.
fn together(verdicts: Vec<Verdict>) -> Answer {
    let mut answer = Answer::ok(Resolved { names: Some(Vec::new()), ..Resolved::default() });
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
    answer.facts = Resolved { names: Some(names), checks: Some(checks), verdict, ..answer.facts };
    answer
}
