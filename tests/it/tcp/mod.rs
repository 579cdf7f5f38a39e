//! `tcp-client` and `tcp-server` together: how connections end, what is printed, exit codes, TLS.

mod connection_close;
mod exit_codes;
mod idle;
mod memory_limits;
mod output_formats;
#[cfg(feature = "tls")]
mod tls;
mod urgent;
