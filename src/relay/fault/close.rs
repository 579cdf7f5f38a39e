//! `close`: a clean end at an offset.

use super::end_at;
use super::piece::DirectionEnd;
use super::site::Constructor;

/// Parses the offset.
pub fn parse(value: &str) -> Result<Constructor, String> {
    end_at::parse(value, DirectionEnd::Closed)
}
