//! The three sections of records in a message, read to the last byte.

use domain::base::iana::{Class, Rtype};
use domain::base::message::RecordSection;
use domain::base::wire::ParseError;
use domain::base::{Message, ParsedRecord};

use super::edns::{Explanation, explanations};
use super::error::{MalformedResponse, Section};
use super::question::RecordType;
use super::record::{Record, read_record};

/// What the sections hold.
#[derive(Default)]
pub(super) struct Sections {
    pub answer: Vec<Record>,
    pub authority: Vec<Record>,
    pub explanations: Vec<Explanation>,
    has_opt: bool,
    has_tsig: bool,
}

impl Sections {
    /// Reads every record that the header counts, of which the last one ends the message.
    pub fn read(message: &Message<[u8]>) -> Result<Sections, MalformedResponse> {
        let counts = message.header_counts();
        let end = message.as_slice().len();
        let mut section = message.answer().map_err(|error| broken(Section::Question, 1, error))?;
        let mut sections = Sections::default();
        let parts = [
            (Section::Answer, counts.ancount()),
            (Section::Authority, counts.nscount()),
            (Section::Additional, counts.arcount()),
        ];
        for (part, promised) in parts {
            sections.walk(&mut section, (part, promised), end)?;
            let at = section.pos();
            match section.next_section().map_err(|error| broken(part, promised, error))? {
                Some(next) => section = next,
                None if at < end => return Err(MalformedResponse::Trailing(end - at)),
                None => break,
            }
        }
        Ok(sections)
    }

    fn walk(
        &mut self,
        section: &mut RecordSection<'_, [u8]>,
        (part, promised): (Section, u16),
        end: usize,
    ) -> Result<(), MalformedResponse> {
        for nth in 0..promised {
            if section.pos() >= end {
                return Err(MalformedResponse::Count { part, promised, held: nth });
            }
            let Some(record) = section.next() else { break };
            let malformed = |error| broken(part, nth + 1, error);
            let record = record.map_err(malformed)?;
            self.check(part, &record)?;
            if part != Section::Additional && record.class() != Class::IN {
                let why = format!("it is of class {}, and IN was asked for", record.class());
                return Err(MalformedResponse::Broken { part, nth: nth + 1, why });
            }
            let kept = match part {
                Section::Answer => Some(&mut self.answer),
                Section::Authority => Some(&mut self.authority),
                _ => None,
            };
            let record = read_record(record).map_err(malformed)?;
            if let (Some(kept), Some(record)) = (kept, record) {
                kept.push(record);
            }
        }
        Ok(())
    }

    /// Records that belong to the message and not to a name: OPT once among the additional ones
    /// (RFC 6891 §6.1.1), TSIG as their last (RFC 8945 §5.1), the others nowhere.
    fn check(
        &mut self,
        part: Section,
        record: &ParsedRecord<'_, [u8]>,
    ) -> Result<(), MalformedResponse> {
        let kind = RecordType(record.rtype());
        if self.has_tsig {
            return Err(MalformedResponse::Misplaced(RecordType(Rtype::TSIG), part));
        }
        match (part, record.rtype()) {
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
            _ if kind.is_meta() => Err(MalformedResponse::Misplaced(kind, part)),
            _ => Ok(()),
        }
    }
}

pub(super) fn broken(part: Section, nth: u16, error: ParseError) -> MalformedResponse {
    match error.to_string() {
        // The parser's word for a pointer that does not lead backwards.
        why if why == "too many compression pointers" => MalformedResponse::Loop(part),
        _ if error == ParseError::ShortInput => {
            MalformedResponse::Broken { part, nth, why: "it runs beyond its end".into() }
        }
        why => MalformedResponse::Broken { part, nth, why },
    }
}
