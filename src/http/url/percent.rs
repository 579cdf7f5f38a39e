//! Text that is not UTF-8, percent-encoded (RFC 3986 §2.1).

/// Bytes as text, those that are no UTF-8 percent-encoded: what a peer of the last century puts
/// into a Location.
pub fn without_stray_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}
