//! Flags of http-get for its requests.

use std::path::PathBuf;
use std::time::Duration;

use crate::fetch::options::{HostOverride, RequestOptions};
use crate::flags::values;
use crate::http::HttpUrl;
use crate::http::range::RequestedRange;
use crate::http::request::{self, CustomHeader};
use crate::http::url::UserInfo;
use crate::net::unix::UnixAddress;

/// The default of `--max-redirects`.
const MAX_REDIRECTS: u32 = 10;

/// What is requested.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Request")]
pub struct RequestFlags {
    /// Send HEAD instead of GET: only the header is received
    #[arg(short = 'I', long)]
    pub head: bool,
    /// Add the header 'Name: value'; 'Name:' removes a default header, 'Name;' sends it empty
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = CustomHeader::parse)]
    pub headers: Vec<CustomHeader>,
    /// User name and password for Basic authentication; sent to the origin of the URL only
    #[arg(long, value_name = "USER:PASSWORD", value_parser = request::parse_user, hide_env_values = true)]
    pub user: Option<UserInfo>,
    /// Request only these bytes: 0-99, 100- or -100
    #[arg(long, value_name = "RANGE", value_parser = RequestedRange::parse, allow_hyphen_values = true)]
    pub range: Option<RequestedRange>,
    /// Download only if newer than FILE (its ETag or date) or DATE; otherwise exit with 0
    #[arg(short = 'z', long, alias = "time-cond", value_name = "FILE|DATE",
          value_hint = clap::ValueHint::FilePath, conflicts_with = "resume")]
    pub time_condition: Option<PathBuf>,
    /// Send an HTTP/1.0 request
    #[arg(long = "http1.0")]
    pub http10: bool,
    /// Half-close the connection after the request
    #[arg(long)]
    pub half_close: bool,
    /// Time between connecting and sending the request
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::duration)]
    pub delay: Duration,
    /// Connect to ADDRESS for HOST:PORT; * as HOST matches all other hosts
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_parser = host_override)]
    pub resolve: Vec<HostOverride>,
    /// Connect to the Unix socket PATH for every URL; @NAME is in the abstract namespace
    #[arg(long, value_name = "PATH", value_parser = unix_name,
          value_hint = clap::ValueHint::AnyPath, conflicts_with_all = ["source", "resolve"])]
    pub unix: Option<UnixAddress>,
    /// Maximum number of redirects to follow; 0 = the redirect itself is the response
    #[arg(long, value_name = "N", default_value_t = MAX_REDIRECTS)]
    pub max_redirects: u32,
    /// Follow redirects from https to http too
    #[arg(long)]
    pub allow_downgrade: bool,
}

impl RequestFlags {
    /// The options of each request.
    pub fn options(self) -> RequestOptions {
        RequestOptions {
            head: self.head,
            http10: self.http10,
            headers: self.headers,
            user: self.user,
            range: self.range,
            time_condition: self.time_condition,
            half_close: self.half_close,
            delay: self.delay,
            host_overrides: self.resolve,
            max_redirects: self.max_redirects,
            allow_downgrade: self.allow_downgrade,
        }
    }
}

fn unix_name(word: &str) -> Result<UnixAddress, String> {
    let name = UnixAddress::parse(word.as_ref());
    name.address().map(|_| name).map_err(|e| e.to_string())
}

/// Parses `HOST:PORT:ADDRESS` as in curl; brackets around an IPv6 address are optional.
fn host_override(word: &str) -> Result<HostOverride, String> {
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

/// Normalizes a host as in URLs; none for a host that no URL can have, such as `*.test`.
fn url_host(host: &str) -> Option<String> {
    if host == HostOverride::EVERY_HOST {
        return Some(host.to_string());
    }
    if host.contains(['*', '/', '?', '#', '@', '\\']) || host.starts_with(['+', '-']) {
        return None;
    }
    let authority = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let url = HttpUrl::parse(&format!("http://{authority}/"), &|_| Ok(0)).ok()?;
    Some(url.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_override_has_the_form_of_curl() {
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
            let read = host_override(word).unwrap();
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
            assert!(host_override(word).is_err(), "{word}");
        }
    }

    #[test]
    fn override_for_every_host_has_lowest_priority() {
        let all = ["*:80:127.0.0.1", "h:80:127.0.0.2"].map(|word| host_override(word).unwrap());
        let found = |host, port| {
            HostOverride::find(&all, host, port).map(|entry| entry.address.to_string())
        };
        assert_eq!(found("H", 80).as_deref(), Some("127.0.0.2"));
        assert_eq!(found("other.test", 80).as_deref(), Some("127.0.0.1"));
        assert_eq!(found("h", 81), None);
    }
}
