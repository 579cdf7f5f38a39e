//! Colour of what clap prints by itself: help, above all.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::ColorChoice;

/// As `--color` has it for talk, which counts here before all of the command line is understood.
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
    let mut said = None;
    let mut is_value = false;
    for word in words.iter().filter_map(|word| word.to_str()) {
        said = if is_value { Some(word) } else { word.strip_prefix("--color=").or(said) };
        is_value = word == "--color";
    }
    said
}

/// `CLICOLOR_FORCE=0` forces nothing.
fn is_unforced() -> bool {
    std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_colour_counts() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(color_choice(&words("sockit --color never --help")), ColorChoice::Never);
        assert_eq!(
            color_choice(&words("sockit --color=never --color always")),
            ColorChoice::Always
        );
    }
}
