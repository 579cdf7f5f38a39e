//! Flags for socket options.

use std::time::Duration;

use clap::Args;

use super::values;
use crate::net::socket::SocketOptions;

/// Flags that become options on each connection (socket(7), tcp(7)).
#[derive(Debug, Args)]
#[command(next_help_heading = "Socket")]
pub struct TcpFlags {
    /// Send small writes immediately (TCP_NODELAY)
    #[arg(long)]
    pub nodelay: bool,
    /// Send keepalive probes to an idle peer at this interval (60s if no value is given)
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "60s", value_parser = keepalive_time)]
    pub keepalive: Option<Duration>,
}

/// Flags that become options on each socket (socket(7), ip(7)).
#[derive(Debug, Args)]
#[command(next_help_heading = "Socket")]
pub struct SocketFlags {
    /// IPv4 time to live or IPv6 hop limit of sent packets (1 to 255)
    #[arg(long, value_name = "HOPS", value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,
    /// IPv4 type of service or IPv6 traffic class of sent packets: 0 to 255, or a name such as lowdelay, af21, cs1 or ef
    #[arg(long, value_name = "BYTE", value_parser = tos)]
    pub tos: Option<u8>,
    /// Size of the kernel's send buffer in bytes
    #[arg(long, value_name = "SIZE", value_parser = values::buffer_size)]
    pub send_buffer: Option<usize>,
    /// Size of the kernel's receive buffer in bytes
    #[arg(long, value_name = "SIZE", value_parser = values::buffer_size)]
    pub recv_buffer: Option<usize>,
    /// Firewall mark of sent packets (SO_MARK; needs CAP_NET_ADMIN)
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    pub mark: Option<u32>,
    /// Use only this network interface (SO_BINDTODEVICE)
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub interface: Option<String>,
    /// Allow several sockets on the same address and port (SO_REUSEPORT)
    #[arg(long)]
    pub reuse_port: bool,
}

/// Parses whole seconds within the kernel's limit (tcp(7), `TCP_KEEPIDLE`); 0 is none.
fn keepalive_time(word: &str) -> Result<Duration, String> {
    let time = values::duration(word)?;
    if time.subsec_nanos() != 0 || time.as_secs() > 32_767 {
        return Err(format!("'{word}' is not a whole number of seconds up to 32767"));
    }
    Ok(time)
}

impl TcpFlags {
    /// `options` with these TCP options added.
    pub fn added_to(&self, options: SocketOptions) -> SocketOptions {
        let keepalive = self.keepalive.filter(|time| !time.is_zero());
        SocketOptions { nodelay: self.nodelay, keepalive, ..options }
    }
}

impl SocketFlags {
    /// The socket options of these flags.
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

/// Parses a number in decimal, or in hexadecimal with `0x`.
fn number(word: &str) -> Result<u32, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("'{word}' is not a number such as 10 or 0x0a"))
}

/// Parses a byte, the name of a type of service (RFC 1349) or of a class (RFC 2474, 2597, 3246).
fn tos(word: &str) -> Result<u8, String> {
    let unknown =
        || format!("'{word}' is not a number to 255, nor a name such as lowdelay, af21 or ef");
    let digit = |digits: &str, max| digits.parse().ok().filter(|digit| (1..=max).contains(digit));
    match word {
        "lowdelay" => return Ok(0x10),
        "throughput" => return Ok(0x08),
        "reliability" => return Ok(0x04),
        "ef" => return Ok(0xb8),
        "critical" => return Ok(0xa0),
        "inetcontrol" => return Ok(0xc0),
        "netcontrol" => return Ok(0xe0),
        "cs0" => return Ok(0),
        _ => {}
    }
    if let Some(class) = word.strip_prefix("cs") {
        return digit(class, 7).map(|class: u8| class << 5).ok_or_else(unknown);
    }
    if let Some((class, drop)) = word.strip_prefix("af").and_then(|two| two.split_at_checked(1)) {
        let class = digit(class, 4).zip(digit(drop, 3));
        return class.map(|(class, drop)| class << 5 | drop << 3).ok_or_else(unknown);
    }
    u8::try_from(number(word).map_err(|_| unknown())?).map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_of_service_is_a_number_or_a_name() {
        for (word, byte) in [
            ("16", 0x10),
            ("0x10", 0x10),
            ("lowdelay", 0x10),
            ("af21", 0x48),
            ("af43", 0x98),
            ("cs0", 0),
            ("cs7", 0xe0),
            ("ef", 0xb8),
        ] {
            assert_eq!(tos(word), Ok(byte), "{word}");
        }
        for word in ["", "256", "af44", "af50", "af1", "cs8", "fast"] {
            assert!(tos(word).is_err(), "{word}");
        }
    }
}
