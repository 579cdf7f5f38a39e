//! The schemes of `WWW-Authenticate` and `Proxy-Authenticate` (RFC 9110 §11.3).

use super::head::Head;
use super::syntax::is_tchar;

/// The most schemes that are listed.
const MAX_SCHEMES: usize = 4;
/// The longest name of a scheme in bytes.
const MAX_NAME: usize = 32;

/// The authentication schemes that `field` of `head` offers, in order, without duplicates.
pub fn schemes(head: &Head, field: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for element in head.values(field).flat_map(elements) {
        let Some(scheme) = scheme(element) else { continue };
        if found.len() < MAX_SCHEMES
            && !found.iter().any(|known| known.eq_ignore_ascii_case(&scheme))
        {
            found.push(scheme);
        }
    }
    found
}

/// Splits at commas outside quoted strings, and trims.
fn elements(value: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let split = value.split(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => return *byte == b',' && !quoted,
        }
        false
    });
    split.map(<[u8]>::trim_ascii).collect()
}

/// The scheme at the beginning of a list element; none if the element is a further parameter.
fn scheme(element: &[u8]) -> Option<String> {
    let length = element.iter().take_while(|byte| is_tchar(**byte)).count();
    let (name, rest) = element.split_at(length);
    let is_parameter = rest.trim_ascii_start().starts_with(b"=");
    let is_scheme = (1..=MAX_NAME).contains(&length) && !is_parameter;
    is_scheme.then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(values: &[&str]) -> String {
        let fields: Vec<_> = values.iter().map(|value| ("WWW-Authenticate", *value)).collect();
        schemes(&Head::of(401, &fields), "www-authenticate").join(" ")
    }

    #[test]
    fn schemes_are_distinguished_from_parameters() {
        for (values, schemes) in [
            (&["Basic realm=\"a, Digest b\""][..], "Basic"),
            (&["Digest realm=\"x\", qop=\"auth\", nonce = \"y\""], "Digest"),
            (&["Basic realm=\"a\\\", b\", Bearer error=\"c\""], "Basic Bearer"),
            (&["Negotiate", "NTLM", "negotiate YWJj=="], "Negotiate NTLM"),
            (&["", " , ,", "=x", "\u{1b}[31m"], ""),
            (&["A, B, C, D, E, F"], "A B C D"),
        ] {
            assert_eq!(offered(values), schemes, "{values:?}");
        }
    }
}
