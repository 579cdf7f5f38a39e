//! A resource record, and its data in presentation format.

use std::fmt;
use std::net::IpAddr;

use domain::base::iana::{Class, Rtype};
use domain::base::name::ToName;
use domain::base::wire::ParseError;
use domain::base::{ParsedName, ParsedRecord};
use domain::rdata::AllRecordData;
use domain::utils::base16::encode_string;

use super::question::{Name, RecordType};

/// The name of a service parameter as the `domain` crate writes it, and in RFC 9460 §14.3.2.
const NO_DEFAULT_ALPN: (&str, &str) = ("nodefaultalpn", "no-default-alpn");

/// A resource record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRecord {
    /// The owner name.
    pub owner: Name,
    /// The record type.
    pub kind: RecordType,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// The data.
    pub data: RecordData,
}

/// The data of a resource record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordData {
    /// A, AAAA.
    Address(IpAddr),
    /// PTR, CNAME, NS.
    Name(Name),
    /// Any other type in presentation format (RFC 1035 §5.1), with non-printable bytes escaped.
    Text(String),
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordData::Address(address) => address.fmt(f),
            RecordData::Name(name) => name.fmt(f),
            RecordData::Text(text) => f.write_str(text),
        }
    }
}

/// Parses a record; `None` for one that is not of class IN, such as OPT.
pub(super) fn parse_record(
    record: ParsedRecord<'_, [u8]>,
) -> Result<Option<ResourceRecord>, ParseError> {
    if record.class() != Class::IN || record.rtype() == Rtype::OPT {
        return Ok(None);
    }
    let (kind, ttl) = (RecordType(record.rtype()), record.ttl().as_secs());
    let record = record.into_any_record::<AllRecordData<_, ParsedName<_>>>()?;
    let owner = record.owner().to_vec();
    Ok(Some(ResourceRecord { owner, kind, ttl, data: parse_data(record.data()) }))
}

/// Formats names without their trailing dot.
fn parse_data(data: &AllRecordData<&[u8], ParsedName<&[u8]>>) -> RecordData {
    match data {
        AllRecordData::A(a) => RecordData::Address(a.addr().into()),
        AllRecordData::Aaaa(a) => RecordData::Address(a.addr().into()),
        AllRecordData::Ptr(ptr) => RecordData::Name(ptr.ptrdname().to_vec()),
        AllRecordData::Cname(cname) => RecordData::Name(cname.cname().to_vec()),
        AllRecordData::Ns(ns) => RecordData::Name(ns.nsdname().to_vec()),
        AllRecordData::Mx(mx) => {
            RecordData::Text(format!("{} {}", mx.preference(), mx.exchange().to_vec()))
        }
        AllRecordData::Srv(srv) => RecordData::Text(format!(
            "{} {} {} {}",
            srv.priority(),
            srv.weight(),
            srv.port(),
            srv.target().to_vec()
        )),
        AllRecordData::Soa(soa) => RecordData::Text(format!(
            "{} {} {} {} {} {} {}",
            soa.mname().to_vec(),
            soa.rname().to_vec(),
            soa.serial(),
            soa.refresh().as_secs(),
            soa.retry().as_secs(),
            soa.expire().as_secs(),
            soa.minimum().as_secs()
        )),
        AllRecordData::Https(https) => {
            let (target, params) = (https.target().to_vec(), https.params().to_string());
            let params = params.replace(NO_DEFAULT_ALPN.0, NO_DEFAULT_ALPN.1);
            RecordData::Text(
                format!("{} {target} {params}", https.priority()).trim_end().to_string(),
            )
        }
        other => RecordData::Text(format_data(other)),
    }
}

/// Formats digests in upper case without spaces or parentheses.
fn format_data(data: &AllRecordData<&[u8], ParsedName<&[u8]>>) -> String {
    match data {
        AllRecordData::Tlsa(tlsa) => {
            let [usage, selector] = [tlsa.usage().to_int(), tlsa.selector().to_int()];
            let matching = tlsa.matching_type().to_int();
            format!("{usage} {selector} {matching} {}", encode_string(tlsa.data()))
        }
        AllRecordData::Sshfp(sshfp) => {
            let [algorithm, hash] = [sshfp.algorithm().to_int(), sshfp.fingerprint_type().to_int()];
            format!("{algorithm} {hash} {}", encode_string(sshfp.fingerprint()))
        }
        AllRecordData::Ds(ds) => {
            let digest = encode_string(ds.digest());
            format!("{} {} {} {digest}", ds.key_tag(), ds.algorithm(), ds.digest_type())
        }
        AllRecordData::Naptr(naptr) => format!(
            "{} {} {} {} {} {}",
            naptr.order(),
            naptr.preference(),
            naptr.flags().display_quoted(),
            naptr.services().display_quoted(),
            naptr.regexp().display_quoted(),
            naptr.replacement().to_vec()
        ),
        // RFC 3597 §5.
        AllRecordData::Unknown(unknown) => {
            let data = unknown.data();
            format!("\\# {} {}", data.len(), encode_string(data)).trim_end().to_string()
        }
        other => other.to_string().trim_end().to_string(),
    }
}
