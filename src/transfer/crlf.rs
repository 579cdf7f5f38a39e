//! Line ends of the network.

/// `--crlf`: sends each line feed as CR LF, unless a CR precedes it.
#[derive(Debug, Default)]
pub struct Crlf {
    after_cr: bool,
}

impl Crlf {
    /// Converts the next bytes. They may be split anywhere.
    pub fn apply(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = Vec::with_capacity(bytes.len() + bytes.len() / 16 + 1);
        for &byte in bytes {
            if byte == b'\n' && !self.after_cr {
                changed.push(b'\r');
            }
            changed.push(byte);
            self.after_cr = byte == b'\r';
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_bare_line_feeds_change() {
        assert_eq!(Crlf::default().apply(b"a\nb\r\nc\r\r\n\n"), b"a\r\nb\r\nc\r\r\n\r\n");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_bytes(text in "[a\r\n]{0,40}", cut in 0usize..40) {
            let cut = cut.min(text.len());
            let mut filter = Crlf::default();
            let mut pieces = filter.apply(&text.as_bytes()[..cut]);
            pieces.extend(filter.apply(&text.as_bytes()[cut..]));
            prop_assert_eq!(pieces, Crlf::default().apply(text.as_bytes()));
        }
    }
}
