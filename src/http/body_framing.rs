//! Where the body of a response ends (RFC 9112 §6.3), without ambiguity.

use std::collections::VecDeque;

use super::error::Error;
use super::head::Head;
use super::syntax::{decimal, list, quote};

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body: HEAD, 204, 304.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, of which the last one is empty.
    Chunked,
    /// By the end of the stream.
    Close,
}

/// Decides the framing of the body after `head`, a response to GET; adds notes about deviations.
///
/// Fails with 8 on lengths that differ or are malformed, and on any transfer coding but `chunked`.
pub fn framing(head: &Head, notes: &mut VecDeque<String>) -> Result<BodyFraming, Error> {
    if head.status == 204 || head.status == 304 {
        return Ok(BodyFraming::None);
    }
    let length = content_length(head)?;
    let chunked = transfer_coding(head, notes)?;
    match (chunked, length) {
        (true, Some(_)) => {
            notes.push_back(
                "both Transfer-Encoding and Content-Length: using the chunks".to_string(),
            );
            Ok(BodyFraming::Chunked)
        }
        (true, None) => Ok(BodyFraming::Chunked),
        (false, Some(length)) => Ok(BodyFraming::Length(length)),
        (false, None) => Ok(BodyFraming::Close),
    }
}

/// The length of all Content-Length fields; some proxies join two of them to `6, 6`.
fn content_length(head: &Head) -> Result<Option<u64>, Error> {
    let mut agreed = None;
    for value in head.values("content-length") {
        for element in list(value) {
            let length = decimal(element).ok_or_else(|| {
                Error::protocol(format!("malformed Content-Length {}", quote(value)))
            })?;
            if agreed.is_some_and(|other| other != length) {
                return Err(Error::protocol("Content-Length given twice with different values"));
            }
            agreed = Some(length);
        }
    }
    Ok(agreed)
}

/// Whether the body is chunked.
///
/// `identity` means nothing and was once allowed; `chunked` twice is sent when proxies each add
/// the field, and never means a body chunked twice.
fn transfer_coding(head: &Head, notes: &mut VecDeque<String>) -> Result<bool, Error> {
    let mut chunked = 0;
    for value in head.values("transfer-encoding") {
        for coding in list(value).filter(|coding| !coding.is_empty()) {
            if coding.eq_ignore_ascii_case(b"chunked") {
                chunked += 1;
            } else if chunked > 0 {
                return Err(Error::protocol("chunked is not the last transfer coding"));
            } else if !coding.eq_ignore_ascii_case(b"identity") {
                return Err(Error::protocol(format!("unknown transfer coding {}", quote(coding))));
            }
        }
    }
    let named = head.first("transfer-encoding").is_some();
    if named && chunked == 0 && head.tokens("transfer-encoding").is_empty() {
        return Err(Error::protocol("empty Transfer-Encoding"));
    }
    if chunked > 1 {
        notes.push_back("Transfer-Encoding names chunked more than once".to_string());
    }
    if chunked > 0 && head.minor == 0 {
        notes.push_back("chunks in an HTTP/1.0 response".to_string());
    }
    Ok(chunked > 0)
}
