//! The process itself: children, privileges, the sandbox, inherited descriptors, the argument list,
//! and files that no other user chooses.

pub mod argv;
pub mod child;
pub mod groups;
pub mod inherited_fds;
pub mod output_file;
pub mod privileges;
pub mod sandbox;
pub mod signals;
#[cfg(target_os = "linux")]
pub mod sockopt;
pub mod systemd;
