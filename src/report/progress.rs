//! A progress bar on a terminal.

use super::LinePrinter;

/// A bar of bytes or answers on stderr; nothing without the feature `progress` or a terminal.
pub struct Progress {
    #[cfg(feature = "progress")]
    bar: indicatif::ProgressBar,
}

#[cfg(feature = "progress")]
impl Progress {
    /// A bar up to `total` bytes, or a counter when the total is not known.
    pub fn new(total: Option<u64>) -> Progress {
        Progress::with_template(
            total,
            match total {
                Some(_) => {
                    "{wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
                }
                None => "{spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
            },
        )
    }

    /// A bar up to `total` answers, or a counter when the total is not known.
    pub fn of_answers(total: Option<u64>) -> Progress {
        Progress::with_template(
            total,
            match total {
                Some(_) => "{wide_bar} {pos}/{len} {per_sec} {eta}",
                None => "{spinner} {pos} answers {per_sec} {elapsed}",
            },
        )
    }

    fn with_template(total: Option<u64>, template: &str) -> Progress {
        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// Sets the number of bytes or answers so far.
    pub fn set_position(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// What prints lines while the bar is drawn.
    pub fn line_printer(&self) -> LinePrinter {
        let bar = self.bar.clone();
        Box::new(move |line| bar.println(line.trim_end_matches('\n')))
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Stops drawing, and leaves the bar on the terminal.
    pub fn end(&self) {
        self.bar.abandon();
    }
}

#[cfg(not(feature = "progress"))]
impl Progress {
    /// Nothing.
    pub fn new(_: Option<u64>) -> Progress {
        Progress {}
    }

    /// Nothing.
    pub fn of_answers(_: Option<u64>) -> Progress {
        Progress {}
    }

    /// Nothing.
    pub fn set_position(&self, _: u64) {}

    /// Lines go to stderr as they are.
    pub fn line_printer(&self) -> LinePrinter {
        Box::new(|line| {
            // A write error of stderr cannot be logged.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        })
    }

    /// Nothing.
    pub fn clear(&self) {}

    /// Nothing.
    pub fn end(&self) {}
}
