//! Options on the socket itself.

use std::time::Duration;

use clap::Args;

use super::values;
use crate::net::socket::SocketOptions;

/// Flags that become options on each connection (socket(7), tcp(7)).
#[derive(Debug, Args)]
#[command(next_help_heading = "Socket")]
pub struct TcpFlags {
    /// Send small writes at once (TCP_NODELAY)
    #[arg(long)]
    pub nodelay: bool,
    /// Probe a silent peer after this time, and again each time [60s]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "60s", value_parser = probing)]
    pub keepalive: Option<Duration>,
}

/// Flags that become options on each socket (socket(7), ip(7)).
#[derive(Debug, Args)]
#[command(next_help_heading = "Socket")]
pub struct SocketFlags {
    /// Time to live, hop limit
    #[arg(long, value_name = "HOPS", value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,
    /// Type of service, traffic class (0 to 255)
    #[arg(long, value_name = "BYTE", value_parser = byte)]
    pub tos: Option<u8>,
    /// Send buffer in the kernel
    #[arg(long, value_name = "SIZE", value_parser = values::buffer_size)]
    pub send_buffer: Option<usize>,
    /// Receive buffer in the kernel
    #[arg(long, value_name = "SIZE", value_parser = values::buffer_size)]
    pub recv_buffer: Option<usize>,
    /// Firewall mark (Linux, privileged)
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    pub mark: Option<u32>,
    /// Use this network interface only
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub interface: Option<String>,
    /// Let several sockets share the address and port (SO_REUSEPORT)
    #[arg(long)]
    pub reuse_port: bool,
}

/// Whole seconds, as many as the kernel takes (tcp(7), `TCP_KEEPIDLE`); 0 is none.
fn probing(word: &str) -> Result<Duration, String> {
    let time = values::duration(word)?;
    match time.subsec_nanos() == 0 && time.as_secs() <= 32_767 {
        true => Ok(time),
        false => Err(format!("'{word}' is not a number of seconds up to 32767")),
    }
}

impl TcpFlags {
    /// `options` with what these flags ask for.
    pub fn added_to(&self, options: SocketOptions) -> SocketOptions {
        let keepalive = self.keepalive.filter(|time| !time.is_zero());
        SocketOptions { nodelay: self.nodelay, keepalive, ..options }
    }
}

impl SocketFlags {
    /// The options these flags ask for.
    pub fn options(&self) -> SocketOptions {
        SocketOptions {
            ttl: self.ttl,
            tos: self.tos,
            send_buffer: self.send_buffer,
            recv_buffer: self.recv_buffer,
            mark: self.mark,
            reuse_port: self.reuse_port,
            interface: self.interface.clone(),
            ..SocketOptions::default()
        }
    }
}

/// A number in decimal, or in hexadecimal with `0x`.
fn number(word: &str) -> Result<u32, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("'{word}' is not a number such as 10 or 0x0a"))
}

fn byte(word: &str) -> Result<u8, String> {
    u8::try_from(number(word)?).map_err(|_| format!("'{word}' is over 255"))
}
