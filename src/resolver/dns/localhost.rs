//! Names under `localhost`, which are answered without a query (RFC 6761 §6.3).

use super::question::{Question, RecordType};
use super::record::{RecordData, ResourceRecord};
use crate::resolver::family::Family;
use crate::resolver::localhost::{is_localhost, loopback};

/// Returns the records of a name under `localhost`: its loopback addresses, and none of another
/// type. `None` for every other name.
pub fn local_records(question: &Question) -> Option<Vec<ResourceRecord>> {
    is_localhost(&question.name.to_string()).then(|| {
        let records = loopback(Family::Any).into_iter().map(|address| ResourceRecord {
            owner: question.name.clone(),
            kind: if address.is_ipv4() { RecordType::A } else { RecordType::AAAA },
            ttl: 0,
            data: RecordData::Address(address.ip()),
        });
        records.filter(|record| [record.kind, RecordType::ANY].contains(&question.kind)).collect()
    })
}
