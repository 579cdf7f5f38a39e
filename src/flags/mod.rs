//! clap structs that several commands share; each converts into options without clap.

pub mod check;
pub mod connect;
pub mod datagram_client;
pub mod datagram_limits;
pub mod datagram_service;
pub mod exec;
pub mod files;
#[cfg(feature = "http")]
pub mod http;
pub mod listen;
pub mod lookup;
pub mod messages;
pub mod output;
pub mod pipe;
pub mod relay_address;
pub mod relay_faults;
pub mod relay_tls;
pub mod retry;
pub mod run_as;
pub mod script;
pub mod server_hex;
pub mod server_limits;
pub mod service;
pub mod session;

pub mod socket;
pub mod stream_only;
pub mod tls;
pub mod values;
