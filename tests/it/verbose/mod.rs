//! `-v`, `-vv`, `-vvv` and the hex dump of servers: a line for each step and each call.

mod hex_dump;
mod levels;
mod steps;
#[cfg(target_os = "linux")]
mod system_calls;
#[cfg(target_os = "linux")]
mod trace_log;
mod traffic;
