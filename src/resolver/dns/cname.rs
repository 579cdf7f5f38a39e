//! Selects the records of a response that answer the question, along CNAME records.

use std::collections::HashSet;

use domain::base::iana::Rtype;

use super::error::MalformedResponse;
use super::question::{Question, RecordType};
use super::record::{RecordData, ResourceRecord};

/// The maximum number of CNAME records that are followed; resolvers commonly stop between 8 and 16.
const MAX_ALIASES: usize = 16;

/// Returns the CNAME records from the queried name, in their order, then the records of the last
/// target. Records of other names are dropped.
///
/// Fails if a name has two CNAME records, if they form a loop, and if no record is of the queried
/// name.
pub(super) fn select_answer(
    all: Vec<ResourceRecord>,
    question: &Question,
) -> Result<Vec<ResourceRecord>, MalformedResponse> {
    let cname = RecordType(Rtype::CNAME);
    let wanted = |record: &ResourceRecord| match question.kind.0 {
        Rtype::ANY => true,
        _ => record.kind == question.kind,
    };
    let mut owners = HashSet::new();
    let mut aliases = all.iter().filter(|record| record.kind == cname).map(|alias| &alias.owner);
    if let Some(owner) = aliases.find(|owner| !owners.insert(*owner)) {
        return Err(MalformedResponse::TwoAliases(owner.clone()));
    }
    let mut owner = question.name.clone();
    let mut records: Vec<ResourceRecord> = Vec::new();
    while !all.iter().any(|record| record.owner == owner && wanted(record)) {
        let alias = all.iter().find(|record| record.owner == owner && record.kind == cname);
        let Some(ResourceRecord { data: RecordData::Name(next), .. }) = alias else { break };
        if records.len() >= MAX_ALIASES || records.iter().any(|seen| seen.owner == owner) {
            return Err(MalformedResponse::Aliases);
        }
        records.extend(alias.cloned());
        owner = next.clone();
    }
    let is_unrelated = !all.is_empty() && all.iter().all(|record| record.owner != question.name);
    records.extend(all.into_iter().filter(|record| record.owner == owner && wanted(record)));
    if is_unrelated {
        return Err(MalformedResponse::Unrelated(question.kind));
    }
    Ok(records)
}

/// Whether an authority section has NS records of a parent of the queried name and no SOA record,
/// which would mean NODATA (RFC 2308 §2.2).
pub(super) fn is_referral(authority: &[ResourceRecord], question: &Question) -> bool {
    let of = |kind| authority.iter().filter(move |record| record.kind == RecordType(kind));
    of(Rtype::SOA).next().is_none() && of(Rtype::NS).any(|ns| question.name.ends_with(&ns.owner))
}
