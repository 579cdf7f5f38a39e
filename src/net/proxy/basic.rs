//! Login text: percent-encoding in, Base64 out.

/// The value of an `Authorization` or `Proxy-Authorization` field (RFC 7617 §2).
pub fn authorization(user: &[u8], password: &[u8]) -> String {
    format!("Basic {}", base64(&[user, b":", password].concat()))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * n)) as usize & 63];
            text.push(if n > three.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// The bytes behind percent-encoded text (RFC 3986 §2.1); a stray `%` stands for itself.
pub fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let (left, byte) = match (byte, encoded(tail)) {
            (b'%', Some(byte)) => (&tail[2..], byte),
            _ => (tail, byte),
        };
        rest = left;
        bytes.push(byte);
    }
    bytes
}

/// The byte that the first two characters of `text` are the digits of.
fn encoded(text: &[u8]) -> Option<u8> {
    let digits = text.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfcs() {
        assert_eq!(authorization(b"Aladdin", b"open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_percent_sign_needs_two_digits() {
        assert_eq!(percent_decoded("p%40%3Aq"), b"p@:q");
        for word in ["%", "%4", "%zz", "%+1", "100%"] {
            assert_eq!(percent_decoded(word), word.as_bytes(), "{word}");
        }
        assert_eq!(percent_decoded("%%41"), b"%A");
    }
}
