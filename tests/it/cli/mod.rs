//! The command line: help, malformed lines, completions, and what all commands have in common.

mod completions;
#[cfg(target_os = "linux")]
mod foreign_files;
mod help;
#[cfg(target_os = "linux")]
mod sandbox;
mod usage;
#[cfg(not(feature = "tls"))]
mod without_tls;
