//! Tracing to stderr, for whoever debugs sockit itself. Off unless asked for.

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// Starts the log when `-vv` (debug) or `-vvv` (trace) or `SOCKIT_LOG` or `RUST_LOG` ask for it;
/// the variables hold `target=level` lists and win over the flags.
///
/// A list that cannot be read asks for nothing. Without any of them nothing is built at all.
pub fn start(verbose: u8) {
    let Some(targets) = from_environment().or_else(|| from_flags(verbose)) else { return };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_filter(targets);
    // A second call finds the log already started, which is as good.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines));
}

fn from_environment() -> Option<Targets> {
    let list = std::env::var("SOCKIT_LOG").or_else(|_| std::env::var("RUST_LOG")).ok()?;
    list.parse().ok()
}

fn from_flags(verbose: u8) -> Option<Targets> {
    let level = match verbose {
        0 | 1 => return None,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Some(Targets::new().with_target("sockit", level))
}
