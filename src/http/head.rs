//! The parsed head of a response: status line and fields (RFC 9112 §4, §5).

use super::syntax::list;

/// One field of a head or a trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name, as received.
    pub name: String,
    /// The value without the white space around it, folded lines joined; any bytes but NUL, CR, LF.
    pub value: Vec<u8>,
}

impl Field {
    /// A field of text.
    pub fn new(name: &str, value: &str) -> Field {
        Field { name: name.to_string(), value: value.as_bytes().to_vec() }
    }
}

/// A complete head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The digit after `HTTP/1.`.
    pub minor: u8,
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase as received, often empty.
    pub reason: Vec<u8>,
    /// The fields in the order received.
    pub fields: Vec<Field>,
    /// All bytes from the status line to the empty line, as received.
    pub raw: Vec<u8>,
    /// Deviations that were tolerated.
    pub notes: Vec<String>,
}

impl Head {
    /// A head with these fields, for tests.
    #[cfg(test)]
    pub fn of(status: u16, fields: &[(&str, &str)]) -> Head {
        let fields = fields.iter().map(|(name, value)| Field::new(name, value)).collect();
        Head { minor: 1, status, reason: Vec::new(), fields, raw: Vec::new(), notes: Vec::new() }
    }

    /// The values of every field called `name`, whatever its case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.as_slice())
    }

    /// The first field called `name`.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The elements of a list field, over all its lines, without empty ones, in lower case.
    pub fn tokens(&self, name: &str) -> Vec<String> {
        let elements = self.values(name).flat_map(list).filter(|element| !element.is_empty());
        elements.map(|element| String::from_utf8_lossy(element).to_ascii_lowercase()).collect()
    }
}
