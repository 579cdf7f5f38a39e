//! Percent-encodes bytes that are not UTF-8 (RFC 3986 §2.1).

/// Returns `bytes` as text, those that are not UTF-8 percent-encoded; old servers send such bytes in
/// Location.
pub fn encode_non_utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}
