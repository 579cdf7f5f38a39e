//! Parts of sockit lines that a hint and a run of `nc` share.

use super::foreign_args::ForeignArgs;
use super::meaning::Setting;
use crate::resolver;

/// The words of a line; without one, what is missing, if that is known.
pub type Words = Result<Vec<String>, Option<&'static str>>;

/// The command that does most of what the arguments of a netcat ask for.
pub fn command(args: &ForeignArgs) -> &'static str {
    if args.has(Setting::Scan) && !args.has(Setting::Listen) {
        return "check";
    }
    let (unix, udp) = (args.has(Setting::Unix), args.has(Setting::Udp));
    match (args.has(Setting::Listen), unix, udp) {
        (false, true, _) => "unix-client",
        (true, true, _) => "unix-server",
        (false, _, true) => "udp-client",
        (true, _, true) => "udp-server",
        (false, ..) => "tcp-client",
        (true, ..) => "tcp-server",
    }
}

/// Whether one of `flags` is in the line.
pub fn has(line: &[String], flags: &[&str]) -> bool {
    line.iter().any(|word| flags.contains(&word.as_str()))
}

/// A line of these words.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The flags for a program that is run on each connection.
pub fn program_flags(args: &ForeignArgs) -> Vec<String> {
    let mut line = Vec::new();
    push_flag(&mut line, "--exec", args.get(Setting::Exec));
    push_flag(&mut line, "--sh", args.get(Setting::Shell));
    line
}

/// The flags for the clients that are allowed, or not; ncat separates several by commas.
pub fn access_rules(args: &ForeignArgs) -> Vec<String> {
    let files = [(Setting::AllowFile, "--allow"), (Setting::DenyFile, "--deny")];
    let rules = [(Setting::Allow, "--allow"), (Setting::Deny, "--deny")];
    let files = files.iter().flat_map(|(setting, flag)| {
        args.all(*setting).flat_map(|path| [flag.to_string(), format!("@{path}")])
    });
    let rules = rules.iter().flat_map(|(setting, flag)| {
        let hosts = args.all(*setting).flat_map(|hosts| hosts.split(','));
        hosts.flat_map(|host| [flag.to_string(), host.to_string()])
    });
    rules.chain(files).collect()
}

/// Adds a flag with its value, if there is one.
pub fn push_flag(line: &mut Vec<String>, flag: &str, value: Option<&str>) {
    line.extend(value.into_iter().flat_map(|value| words(&[flag, value])));
}

/// The proxy's URL; netcats take its protocol and login in flags of their own.
pub fn proxy(args: &ForeignArgs) -> Result<Option<String>, Option<&'static str>> {
    let Some(url) = args.get(Setting::Proxy) else { return Ok(None) };
    let (scheme, host_port) = url.split_once("://").ok_or(None)?;
    let scheme = match args.get(Setting::ProxyType) {
        Some("connect" | "http") => "http",
        // nc.openbsd and ncat leave names to the proxy.
        Some("5" | "socks5") => "socks5h",
        Some("4" | "socks4") => return Err(Some("SOCKS 4")),
        Some(_) => return Err(None),
        None => scheme,
    };
    let login = args.get(Setting::ProxyLogin).map(|login| format!("{login}@"));
    Ok(Some(format!("{scheme}://{}{host_port}", login.unwrap_or_default())))
}

/// Whether the line is for IPv6.
pub fn is_v6(args: &ForeignArgs) -> bool {
    has(&args.flags, &["-6"]) || args.operands.first().is_some_and(|to| to.contains(':'))
}

/// The local address and port, which netcats take in separate flags.
pub fn source(args: &ForeignArgs) -> Option<String> {
    let any = if is_v6(args) { "::" } else { "0.0.0.0" };
    match (args.get(Setting::Source), args.get(Setting::Port)) {
        (address, None) => address.map(str::to_string),
        (address, Some(port)) => Some(host_port(address.unwrap_or(any), port)),
    }
}

/// `ADDRESS:PORT`, with brackets around an IPv6 address.
pub fn host_port(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Whether the word is a decimal number.
pub fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the word is a port number, or the name of a service.
pub fn is_port(word: &str, protocol: &str) -> bool {
    is_number(word) || resolver::port(word, protocol).is_ok()
}

/// Whether the word is a range of port numbers.
pub fn is_range(word: &str) -> bool {
    word.split_once('-').is_some_and(|(first, last)| is_number(first) && is_number(last))
}
