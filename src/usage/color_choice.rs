//! Color of what clap prints itself: help and errors.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::ColorChoice;

/// The choice of `--color`, read before the command line is parsed.
pub fn color_choice(words: &[OsString]) -> ColorChoice {
    match last_color_value(words) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ if is_unforced() && !std::io::stdout().is_terminal() => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// The last value of `--color`.
fn last_color_value(words: &[OsString]) -> Option<&str> {
    let mut last = None;
    let mut is_value = false;
    for word in words.iter().filter_map(|word| word.to_str()) {
        last = if is_value { Some(word) } else { word.strip_prefix("--color=").or(last) };
        is_value = word == "--color";
    }
    last
}

/// Whether `CLICOLOR_FORCE` is 0, which clap would take for a demand.
fn is_unforced() -> bool {
    std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_color_flag_wins() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(color_choice(&words("sockit --color never --help")), ColorChoice::Never);
        assert_eq!(
            color_choice(&words("sockit --color=never --color always")),
            ColorChoice::Always
        );
    }
}
