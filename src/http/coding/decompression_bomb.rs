//! The limit of a decoded body without `--max-decoded`: more is a decompression bomb.

use crate::http::error::Error;

/// Up to this many decoded bytes no body is a decompression bomb.
const BOMB_BYTES: u64 = 64 << 20;
/// A larger body is one if it has more than this many times the received bytes. Text is compressed to
/// a tenth or less; deflate reaches 1,032 times with nothing but zeros.
const BOMB_RATIO: u64 = 100;

/// How many bytes `encoded` bytes may become.
pub fn max_decoded(encoded: u64) -> u64 {
    BOMB_BYTES.max(encoded.saturating_mul(BOMB_RATIO))
}

/// The error of a body with more than `decoded` bytes (63).
pub fn error(decoded: u64, encoded: u64) -> Error {
    Error::limit(format!(
        "decompression bomb: {encoded} bytes decode to more than {decoded} (--max-decoded allows it)"
    ))
}
