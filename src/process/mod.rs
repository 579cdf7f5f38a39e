//! The process: children, privileges, sandbox, signals, inherited descriptors, argument list, and
//! output files.

pub mod argv;
pub mod child;
pub mod child_groups;
pub mod directory_entry;
pub mod orphans;
pub mod output_file;
pub mod privileges;
pub mod program;
pub mod sandbox;
pub mod signals;
#[cfg(target_os = "linux")]
pub mod sockopt;
pub mod systemd;
