//! Real programs as peers; what is missing on the machine is skipped with a message.

#[cfg(feature = "http")]
mod apache;
#[cfg(feature = "http")]
mod httpbin;
mod netcat;
#[cfg(feature = "tls")]
mod tls;
mod tutorials;
#[cfg(feature = "http")]
mod web_servers;
