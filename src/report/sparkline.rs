//! A row of numbers as a picture of one line.

/// The heights of a column.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws each number in eighths of the highest; zero is a blank.
pub fn draw(columns: &[u64]) -> String {
    let highest = u128::from(columns.iter().max().copied().unwrap_or(0).max(1));
    let column = |number: &u64| match u128::from(*number) {
        0 => ' ',
        number => HEIGHTS[(number * HEIGHTS.len() as u128).div_ceil(highest) as usize - 1],
    };
    columns.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draw_scales_to_the_highest_column() {
        assert_eq!(draw(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(draw(&[u64::MAX, 1]), "█▁");
        assert_eq!(draw(&[0, 0]), "  ");
        assert_eq!(draw(&[]), "");
    }
}
