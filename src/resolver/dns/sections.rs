//! Parses the three record sections of a message, up to its last byte.

use domain::base::iana::{Class, Rtype};
use domain::base::message::RecordSection;
use domain::base::wire::ParseError;
use domain::base::{Message, ParsedRecord};

use super::edns::{Explanation, explanations};
use super::error::{MalformedResponse, Section};
use super::question::RecordType;
use super::record::{ResourceRecord, parse_record};

/// The records that are used of a message.
#[derive(Default)]
pub(super) struct Sections {
    pub answer: Vec<ResourceRecord>,
    pub authority: Vec<ResourceRecord>,
    pub explanations: Vec<Explanation>,
    /// The length of the message.
    end: usize,
    has_opt: bool,
    has_tsig: bool,
}

impl Sections {
    /// Parses all records; the last one must end the message.
    pub fn parse(message: &Message<[u8]>) -> Result<Sections, MalformedResponse> {
        let counts = message.header_counts();
        let end = message.as_slice().len();
        let malformed = |section, error| malformed_record(section, 1, error);
        let mut records = message.answer().map_err(|error| malformed(Section::Question, error))?;
        let mut sections = Sections { end, ..Sections::default() };
        for (section, count) in [
            (Section::Answer, counts.ancount()),
            (Section::Authority, counts.nscount()),
            (Section::Additional, counts.arcount()),
        ] {
            sections.parse_section(&mut records, section, count)?;
            let position = records.pos();
            let next = records.next_section();
            match next.map_err(|error| malformed_record(section, count, error))? {
                Some(next) => records = next,
                None if position < end => return Err(MalformedResponse::Trailing(end - position)),
                None => break,
            }
        }
        Ok(sections)
    }

    fn parse_section(
        &mut self,
        records: &mut RecordSection<'_, [u8]>,
        section: Section,
        count: u16,
    ) -> Result<(), MalformedResponse> {
        for nth in 0..count {
            if records.pos() >= self.end {
                return Err(MalformedResponse::Count { section, expected: count, found: nth });
            }
            let Some(record) = records.next() else { break };
            let malformed = |error| malformed_record(section, nth + 1, error);
            let record = record.map_err(malformed)?;
            self.check_meta_record(section, &record)?;
            if section != Section::Additional && record.class() != Class::IN {
                let why = format!("its class is {} instead of IN", record.class());
                return Err(MalformedResponse::Record { section, nth: nth + 1, why });
            }
            let record = parse_record(record).map_err(malformed)?;
            match section {
                Section::Answer => self.answer.extend(record),
                Section::Authority => self.authority.extend(record),
                _ => (),
            }
        }
        Ok(())
    }

    /// Checks records that belong to the message and not to a name: OPT once in the additional
    /// section (RFC 6891 §6.1.1), TSIG as its last record (RFC 8945 §5.1), no others.
    fn check_meta_record(
        &mut self,
        section: Section,
        record: &ParsedRecord<'_, [u8]>,
    ) -> Result<(), MalformedResponse> {
        let kind = RecordType(record.rtype());
        if self.has_tsig {
            return Err(MalformedResponse::Misplaced(RecordType(Rtype::TSIG), section));
        }
        match (section, record.rtype()) {
            (Section::Additional, Rtype::OPT) if self.has_opt => {
                Err(MalformedResponse::Opt("there are two OPT records"))
            }
            (Section::Additional, Rtype::OPT) => {
                self.has_opt = true;
                self.explanations = explanations(record)?;
                Ok(())
            }
            (Section::Additional, Rtype::TSIG) => {
                self.has_tsig = true;
                Ok(())
            }
            _ if kind.is_meta() => Err(MalformedResponse::Misplaced(kind, section)),
            _ => Ok(()),
        }
    }
}

/// Converts an error of the parser in record `nth`, counted from 1.
pub(super) fn malformed_record(section: Section, nth: u16, error: ParseError) -> MalformedResponse {
    match error.to_string() {
        // The message of the parser for a pointer that does not point backwards.
        why if why == "too many compression pointers" => MalformedResponse::Loop(section),
        _ if error == ParseError::ShortInput => {
            MalformedResponse::Record { section, nth, why: "it is truncated".into() }
        }
        why => MalformedResponse::Record { section, nth, why },
    }
}
