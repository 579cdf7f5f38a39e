//! Which records of a reply answer the question.

use std::collections::HashSet;

use domain::base::iana::Rtype;

use super::error::MalformedResponse;
use super::question::{Question, RecordType};
use super::record::{Record, RecordData};

/// The most aliases followed from the name that was asked to the one that answers; resolvers
/// commonly stop between 8 and 16.
const MOST_ALIASES: usize = 16;

/// The records that answer: the aliases from the name that was asked, in their order, then
/// what the last of them has. What belongs to other names is no answer.
pub(super) fn select_answer(
    all: Vec<Record>,
    question: &Question,
) -> Result<Vec<Record>, MalformedResponse> {
    let cname = RecordType(Rtype::CNAME);
    let wanted = |record: &Record| match question.kind.0 {
        Rtype::ANY => true,
        _ => record.kind == question.kind,
    };
    let mut owners = HashSet::new();
    let mut aliased = all.iter().filter(|record| record.kind == cname).map(|alias| &alias.owner);
    if let Some(owner) = aliased.find(|owner| !owners.insert(*owner)) {
        return Err(MalformedResponse::TwoAliases(owner.clone()));
    }
    let mut at = question.name.clone();
    let mut records: Vec<Record> = Vec::new();
    while !all.iter().any(|record| record.owner == at && wanted(record)) {
        let alias = all.iter().find(|record| record.owner == at && record.kind == cname);
        let Some(Record { datum: RecordData::Name(next), .. }) = alias else { break };
        if records.len() >= MOST_ALIASES || records.iter().any(|seen| seen.owner == at) {
            return Err(MalformedResponse::Aliases);
        }
        records.extend(alias.cloned());
        at = next.clone();
    }
    let none_ours = !all.is_empty() && all.iter().all(|record| record.owner != question.name);
    records.extend(all.into_iter().filter(|record| record.owner == at && wanted(record)));
    if none_ours {
        return Err(MalformedResponse::Unrelated(question.kind));
    }
    Ok(records)
}

/// Whether an authority section names the servers of a parent of the name that was asked, and does
/// not say of the name itself that there is nothing.
pub(super) fn is_referral(authority: &[Record], question: &Question) -> bool {
    let of = |kind| authority.iter().filter(move |record| record.kind == RecordType(kind));
    of(Rtype::SOA).next().is_none() && of(Rtype::NS).any(|ns| question.name.ends_with(&ns.owner))
}
