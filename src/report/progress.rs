//! A progress bar on a terminal, where there is one.

/// A bar over bytes; without the feature `progress`, or without a terminal, nothing at all.
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

    /// So many bytes so far.
    pub fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
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
    pub fn at(&self, _: u64) {}

    /// Nothing.
    pub fn end(&self) {}
}
