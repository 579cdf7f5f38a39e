//! Shares of a total: `5%`, `1/20`.

/// A share, more than 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

/// Parses `5%` or `1/20`.
pub fn parse(word: &str) -> Result<Share, String> {
    let number = |digits: &str| {
        let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        digits.parse::<f64>().ok().filter(|_| is_plain)
    };
    let part = match (word.strip_suffix('%'), word.strip_prefix("1/")) {
        (Some(percent), _) => number(percent).map(|percent| percent / 100.0),
        (_, Some(total)) => total.parse::<u32>().ok().map(|total| 1.0 / f64::from(total)),
        _ => None,
    };
    match part {
        Some(part) if part > 0.0 && part <= 1.0 => Ok(Share(part)),
        _ => Err(format!("'{word}' is not a share such as 5% or 1/20")),
    }
}
