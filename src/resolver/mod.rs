//! Names and services: host names become addresses, service names become ports.
//!
//! [`getaddrinfo`] is the system's view (`getaddrinfo(3)`, `getnameinfo(3)`): hosts file, nsswitch
//! and DNS, as every other program on the machine sees them. The C library takes no time limit (a
//! name server that does not reply costs it ten seconds), so [`addresses`] runs it on a thread of
//! its own, which is abandoned at the deadline. [`dns`] is a client for one name server.

mod addresses;
mod blocking;
pub mod dns;
mod family;
pub mod getaddrinfo;
pub mod host_name;
pub mod host_port;
pub mod hosts_file;
mod localhost;
mod services;

pub use addresses::{addresses, is_address};
pub use blocking::{Deadline, STACK_SIZE, run_with_deadline};
pub use family::Family;
pub use localhost::is_localhost;
pub use services::{port, service_name};
