//! The flags of http-get: where the answer goes, what is asked, what is taken for an answer.

use std::path::PathBuf;
use std::time::Duration;

use crate::fetch::limits::Limits;
use crate::fetch::speed_limit::Speed;
use crate::flags::values::{self, Limit};
use crate::http::Leniency;
use crate::http::range;
use crate::http::request::{self, CustomHeader};
use crate::http::url::HttpUrl;
use crate::net::unix;
use crate::transfer::throttle::Throttle;

/// Redirects that are followed unless told otherwise.
const MAX_REDIRECTS: u32 = 10;

/// Where the answer goes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Save the body in FILE, by way of FILE.part; once per URL; - is stdout
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Vec<PathBuf>,
    /// Save the body under the last segment of the URL
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub remote_name: bool,
    /// Put the header on stdout too
    #[arg(short, long)]
    pub include: bool,
    /// When the transfer breaks, move FILE.part onto FILE all the same
    #[arg(long)]
    pub keep_partial: bool,
    /// Continue where FILE.part ends, unless the original has changed; for a complete FILE, ask
    /// whether it has changed
    #[arg(long = "continue", conflicts_with_all = ["range", "raw", "head"])]
    pub resume: bool,
    /// Put the whole answer on stdout as it came, header and framing included
    #[arg(long)]
    pub raw: bool,
    /// Tell the times of name lookup, connecting, TLS, first byte and the whole
    #[arg(long)]
    pub stats: bool,
}

/// What is asked.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Request")]
pub struct RequestFlags {
    /// HEAD instead of GET: only the header is wanted
    #[arg(short = 'I', long)]
    pub head: bool,
    /// Another header 'Name: value'; 'Name:' takes one of ours out, 'Name;' sends it empty
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    pub headers: Vec<CustomHeader>,
    /// Basic authentication; stays with the URL's own origin
    #[arg(long, value_name = "USER:PASSWORD", value_parser = user, hide_env_values = true)]
    pub user: Option<(String, String)>,
    /// Only these bytes: 0-99, 100- or -100
    #[arg(long, value_name = "RANGE", value_parser = byte_range, allow_hyphen_values = true)]
    pub range: Option<String>,
    /// Get only what is newer than FILE (its ETag or date) or DATE; exit with 0 if nothing is
    #[arg(short = 'z', long, alias = "time-cond", value_name = "FILE|DATE",
          value_hint = clap::ValueHint::FilePath, conflicts_with = "resume")]
    pub time_condition: Option<PathBuf>,
    /// Ask in HTTP/1.0
    #[arg(long = "http1.0")]
    pub http10: bool,
    /// Half-close the connection when the request is sent
    #[arg(long)]
    pub half_close: bool,
    /// Wait between connecting and asking
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::duration)]
    pub delay: Duration,
    /// Use ADDRESS for HOST:PORT; HOST may be * for all others
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_parser = pinned)]
    pub resolve: Vec<HostOverride>,
    /// Connect to the Unix socket PATH, whatever host the URL names; a leading @ is abstract
    #[arg(long, value_name = "PATH", value_parser = unix_name,
          value_hint = clap::ValueHint::AnyPath, conflicts_with_all = ["source", "resolve"])]
    pub unix: Option<unix::UnixAddress>,
    /// Follow at most N redirects; 0 = the redirect itself is the answer
    #[arg(long, value_name = "N", default_value_t = MAX_REDIRECTS)]
    pub max_redirects: u32,
    /// Follow redirects from https to http too
    #[arg(long)]
    pub allow_downgrade: bool,
}

/// What is taken for an answer.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Answer")]
pub struct ResponseFlags {
    /// Deliver a gzip, deflate, br or zstd body as it is
    #[arg(long)]
    pub no_decode: bool,
    /// The most bytes a coded body may decode to, in place of the rule against bombs
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub max_decoded: Option<u64>,
    /// The most bytes of header
    #[arg(long, value_name = "SIZE", default_value = "256Ki", value_parser = header_size)]
    pub max_header: usize,
    /// Put up with malformed headers and chunk lines, never with lies about length
    #[arg(long)]
    pub lenient: bool,
    /// Take what is no HTTP/1 for the body of HTTP/0.9
    #[arg(long = "http0.9")]
    pub http09: bool,
    /// 0 for every status, 400 and above too
    #[arg(long)]
    pub any_status: bool,
    /// Receive at most SIZE bytes per second
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub rate: Option<u64>,
    /// Exit with 28 when less than SIZE bytes per second come, averaged over --speed-time
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub speed_limit: Option<u64>,
    /// Time over which --speed-limit is averaged
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = speed_time,
          requires = "speed_limit")]
    pub speed_time: Duration,
    /// End when nothing has come for this long; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::limit)]
    pub idle_timeout: Limit,
    /// End the whole run after this time; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub timeout: Limit,
}

impl ResponseFlags {
    /// How the answer's syntax is read.
    pub fn leniency(&self) -> Leniency {
        if self.lenient { Leniency::Lenient } else { Leniency::Strict }
    }

    /// The limits of one exchange.
    pub fn limits(&self) -> Limits {
        Limits {
            idle: self.idle_timeout.0,
            pace: self.rate.map(Throttle::new),
            speed: self.speed_limit.map(|least| Speed::new(least, self.speed_time)),
        }
    }
}
/// An address the user knows better than the resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOverride {
    /// The host as URLs have it, in lower case, or `*` for every host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the host is to resolve to there.
    pub address: std::net::IpAddr,
}

fn unix_name(word: &str) -> Result<unix::UnixAddress, String> {
    let name = unix::UnixAddress::read(word.as_ref());
    name.address().map(|_| name).map_err(|e| e.to_string())
}

fn speed_time(word: &str) -> Result<Duration, String> {
    match values::duration(word)? {
        Duration::ZERO => Err("the time is longer than 0".to_string()),
        time => Ok(time),
    }
}

fn parse_header(word: &str) -> Result<CustomHeader, String> {
    CustomHeader::read(word).map_err(|error| error.to_string())
}

fn user(word: &str) -> Result<(String, String), String> {
    request::read_user(word).map_err(|error| error.to_string())
}

fn byte_range(word: &str) -> Result<String, String> {
    range::read(word).map_err(|error| error.to_string())
}

fn header_size(word: &str) -> Result<usize, String> {
    match values::size(word)? {
        bytes @ 64..=0x4000_0000 => Ok(bytes as usize),
        _ => Err(format!("'{word}' is not a header size from 64 bytes to 1Gi")),
    }
}

impl HostOverride {
    /// The address that is to be used for this host and port; one for every host comes last.
    pub fn find<'a>(all: &'a [HostOverride], host: &str, port: u16) -> Option<&'a HostOverride> {
        let of_port = || all.iter().filter(|pin| pin.port == port);
        let named = of_port().find(|pin| pin.host.eq_ignore_ascii_case(host));
        named.or_else(|| of_port().find(|pin| pin.host == EVERY_HOST))
    }
}

/// curl's word for a host that is any.
const EVERY_HOST: &str = "*";

/// Reads curl's `HOST:PORT:ADDRESS`, brackets around an IPv6 address optional.
fn pinned(word: &str) -> Result<HostOverride, String> {
    let bad = || format!("'{word}' is not HOST:PORT:ADDRESS");
    let (host, rest) = match word.strip_prefix('[') {
        Some(inside) => inside.split_once("]:").ok_or_else(bad)?,
        None => word.split_once(':').ok_or_else(bad)?,
    };
    let (port, address) = rest.split_once(':').ok_or_else(bad)?;
    let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    match (url_host(host), port.parse(), address.parse()) {
        (Some(host), Ok(port), Ok(address)) => Ok(HostOverride { host, port, address }),
        _ => Err(bad()),
    }
}

/// A host as URLs have it, so that it is found there; none that no URL has, such as `*.test`.
fn url_host(host: &str) -> Option<String> {
    if host == EVERY_HOST {
        return Some(host.to_string());
    }
    if host.contains(['*', '/', '?', '#', '@', '\\']) || host.starts_with(['+', '-']) {
        return None;
    }
    let place = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let link = HttpUrl::read(&format!("http://{place}/"), &|_| Ok(0)).ok()?;
    Some(link.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_address_is_read_as_curl_writes_it() {
        for (word, host, port, address) in [
            ("h:80:127.0.0.1", "h", 80, "127.0.0.1"),
            ("H:443:[::1]", "h", 443, "::1"),
            ("h:443:::1", "h", 443, "::1"),
            ("[::2]:443:::1", "::2", 443, "::1"),
            ("[0::0:2]:443:::1", "::2", 443, "::1"),
            ("[fe80::1%eth0]:443:::1", "fe80::1%eth0", 443, "::1"),
            ("B\u{fc}cher.test:443:::1", "xn--bcher-kva.test", 443, "::1"),
            ("*:80:127.0.0.1", "*", 80, "127.0.0.1"),
        ] {
            let read = pinned(word).unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port));
            assert_eq!(read.address.to_string(), address);
        }
        for word in [
            "",
            "h",
            "h:80",
            "h:80:",
            "h:80:name",
            "h:70000:127.0.0.1",
            ":80:127.0.0.1",
            "h\r\n:80:127.0.0.1",
            "*.test:80:127.0.0.1",
            "+h:80:127.0.0.1",
            "u@h:80:127.0.0.1",
            "h/p:80:127.0.0.1",
        ] {
            assert!(pinned(word).is_err(), "{word}");
        }
    }

    #[test]
    fn an_address_for_every_host_comes_after_one_for_this_host() {
        let all = ["*:80:127.0.0.1", "h:80:127.0.0.2"].map(|word| pinned(word).unwrap());
        let found =
            |host, port| HostOverride::find(&all, host, port).map(|pin| pin.address.to_string());
        assert_eq!(found("H", 80).as_deref(), Some("127.0.0.2"));
        assert_eq!(found("other.test", 80).as_deref(), Some("127.0.0.1"));
        assert_eq!(found("h", 81), None);
    }
}
