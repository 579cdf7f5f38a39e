//! The process: children, privileges, sandbox, signals, inherited descriptors, argument list, and
//! output files.

pub mod argv;
pub mod child;
pub mod exec;
pub mod groups;
pub mod inherited_fds;
pub mod output_file;
pub mod privileges;
pub mod sandbox;
pub mod signals;
#[cfg(target_os = "linux")]
pub mod sockopt;
pub mod systemd;
