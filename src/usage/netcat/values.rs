//! Values of netcat flags, and the removal of flags that mean something else here.

use std::time::{Duration, Instant};

use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::resolver::{self, Family, getaddrinfo};
use crate::usage::foreign_args::ForeignArgs;
use crate::usage::line_parts::is_v6;
use crate::usage::meaning::Setting;

/// The limit for the lookup of a local address.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// A usage error of netcat.
pub fn usage_error(why: impl Into<String>) -> Failure {
    Failure::usage(Phase::Socket, "", why.into())
}

/// The time of `-q`; a negative one is none.
pub fn quit(args: &ForeignArgs) -> Result<Option<Duration>, Failure> {
    seconds("-q", args.get(Setting::Quit).filter(|time| !time.starts_with('-')))
}

/// Replaces the names in the local address and port of a client by numbers.
///
/// Fails as a lookup does.
pub fn resolve_source(args: &mut ForeignArgs, protocol: &str) -> Result<(), Failure> {
    if let Some(service) = args.get(Setting::Port).map(|word| resolver::port(word, protocol)) {
        args.set(Setting::Port, &service?.to_string());
    }
    let Some(host) = args.get(Setting::Source).filter(|host| !resolver::is_address(host)) else {
        return Ok(());
    };
    let family = if is_v6(args) { Family::V6 } else { Family::V4 };
    let deadline = Some(Instant::now() + LOOKUP_TIMEOUT);
    let unknown = |e: Failure| {
        Failure::new(Phase::Resolve, "", format!("for -s {host}: {}", e.cause())).with_code(e.code)
    };
    let found = resolver::addresses(host, 0, family, deadline).map_err(unknown)?;
    if let Some(address) = found.first() {
        args.set(Setting::Source, &getaddrinfo::format_ip(address));
    }
    Ok(())
}

/// The time of a flag.
///
/// Fails with code 2 if it is malformed.
pub fn seconds(flag: &str, word: Option<&str>) -> Result<Option<Duration>, Failure> {
    let parsed = word.map(values::duration).transpose();
    parsed.map_err(|why| usage_error(format!("{flag}: {why}")))
}

/// A duration as a flag has it.
pub fn duration(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// Removes a flag; returns whether it was there.
pub fn take(flags: &mut Vec<String>, flag: &str) -> bool {
    let before = flags.len();
    flags.retain(|word| word != flag);
    flags.len() < before
}

/// Removes a flag and its value, which is returned.
pub fn take_value(flags: &mut Vec<String>, flag: &str) -> Option<String> {
    let at = flags.iter().position(|word| word == flag)?;
    flags.drain(at..(at + 2).min(flags.len())).nth(1)
}
