//! A progress bar on a terminal, where there is one.

/// Takes lines and shows them above whatever owns the terminal's last one.
type ProgressPrinter = Box<dyn FnMut(String) + Send>;

/// A bar over bytes or answers; without the feature `progress`, or without a terminal, nothing at all.
pub struct Progress {
    #[cfg(feature = "progress")]
    bar: indicatif::ProgressBar,
}

#[cfg(feature = "progress")]
impl Progress {
    /// A bar towards `total` bytes, or a counter when the end is not known. Draws on stderr.
    pub fn new(total: Option<u64>) -> Progress {
        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let (bar, shape) = match total {
            Some(total) => (
                ProgressBar::with_draw_target(Some(total), target),
                "{wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
            ),
            None => (
                ProgressBar::with_draw_target(None, target),
                "{spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
            ),
        };
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// A bar towards `total` answers, or a counter when the end is not known. Draws on stderr.
    pub fn of_answers(total: Option<u64>) -> Progress {
        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let shape = match total {
            Some(_) => "{wide_bar} {pos}/{len} {per_sec} {eta}",
            None => "{spinner} {pos} answers {per_sec} {elapsed}",
        };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// So many bytes, or answers, so far.
    pub fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// A way for lines past the bar.
    pub fn above(&self) -> ProgressPrinter {
        let bar = self.bar.clone();
        Box::new(move |line| bar.println(line.trim_end_matches('\n')))
    }

    /// Takes the bar off the terminal.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Leaves the bar as it stands.
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
    pub fn at(&self, _: u64) {}

    /// Lines go to stderr as they are.
    pub fn above(&self) -> ProgressPrinter {
        Box::new(|line| {
            // stderr that cannot be written leaves nobody to tell.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        })
    }

    /// Nothing.
    pub fn clear(&self) {}

    /// Nothing.
    pub fn end(&self) {}
}
