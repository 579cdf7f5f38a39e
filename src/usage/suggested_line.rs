//! The sockit line that does what another tool was asked for.

use super::foreign_args::ForeignArgs;
use super::meaning::Setting;
use super::other_tools::Operands;
use crate::resolver;
use crate::resolver::dns::RecordType;

/// What is suggested for a line of another tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suggestion {
    /// A line of sockit that does the same.
    Line(String),
    /// sockit has nothing like it: what is missing.
    Unsupported(&'static str),
}

/// The words of a line; without one, what is missing, if that is known.
type Words = Result<Vec<String>, Option<&'static str>>;

/// Flags that mean nothing without `--tls`.
const TLS: [&str; 7] =
    ["--server-name", "--ca-file", "--insecure", "--cert", "--key", "--alpn", "--pin"];
/// Flags that choose the service of a server.
const SERVICE: [&str; 7] = ["--service", "-s", "--exec", "--sh", "--reply", "--greeting", "--file"];

/// The line for `args`, quoted for a shell.
pub fn compose(operands: Operands, mut args: ForeignArgs) -> Option<Suggestion> {
    if let Some(what) = args.unsupported {
        return Some(Suggestion::Unsupported(what));
    }
    let words = match operands {
        Operands::Connection => connection(&args),
        Operands::Telnet => telnet(&mut args),
        Operands::Wait => wait(&mut args),
        Operands::Urls => download(&args, Destination::Stdout),
        Operands::Downloads => download(&args, Destination::FileNamedByUrl),
        Operands::Queries | Operands::QueryAndServer => query(&mut args, operands),
        Operands::Unsupported(what) => Err(Some(what)),
    };
    let mut line = match words {
        Ok(words) => words,
        Err(what) => return what.map(Suggestion::Unsupported),
    };
    line.append(&mut args.flags);
    let can_use_tls = line[0].starts_with("tcp") || line[0] == "check";
    if can_use_tls && !has(&line, &["--tls"]) && has(&line, &TLS) {
        line.push("--tls".to_string());
    }
    line.append(&mut args.program);
    let quoted = shlex::try_join(line.iter().map(String::as_str)).ok()?;
    Some(Suggestion::Line(format!("sockit {quoted}")))
}

/// Where a tool writes a download by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    Stdout,
    FileNamedByUrl,
}

pub(super) fn has(line: &[String], flags: &[&str]) -> bool {
    line.iter().any(|word| flags.contains(&word.as_str()))
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn connection(args: &ForeignArgs) -> Words {
    match args.operands.as_slice() {
        [url] if url.contains("://") => download(args, Destination::Stdout),
        _ if args.has(Setting::Listen) => server(args),
        _ => client(args),
    }
}

fn telnet(args: &mut ForeignArgs) -> Words {
    if args.operands.len() == 1 {
        args.operands.push("23".to_string());
    }
    args.flags.push("--crlf".to_string());
    client(args)
}

/// Waits for a port to accept connections: a minute, unless a limit was given.
fn wait(args: &mut ForeignArgs) -> Words {
    if !has(&args.flags, &["--wait"]) {
        args.flags.extend(words(&["--wait", "60"]));
    }
    check(args)
}

fn server(args: &ForeignArgs) -> Words {
    let is_udp = args.has(Setting::Udp);
    let is_unix = args.has(Setting::Unix);
    let kind = if is_unix {
        "unix"
    } else if is_udp {
        "udp"
    } else {
        "tcp"
    };
    let own = args.command.clone().filter(|command| command.starts_with(kind));
    let mut line = vec![own.unwrap_or_else(|| format!("{kind}-server"))];
    let mut operands = args.operands.clone();
    if is_unix {
        line.extend(operands);
    } else {
        let port = args.get(Setting::Port).map(str::to_string).or_else(|| operands.pop());
        let host = args.get(Setting::Source).map(str::to_string).or_else(|| operands.pop());
        push_flag(&mut line, "--host", host.as_deref());
        push_flag(&mut line, "--port", port.as_deref());
    }
    let program = args.get(Setting::Exec).map(|command| ("--exec", command));
    match program.or_else(|| args.get(Setting::Shell).map(|command| ("--sh", command))) {
        Some((flag, command)) => line.extend(words(&[flag, command])),
        None if is_udp || has(&args.flags, &SERVICE) || !listens_as_netcat(args) => {}
        None => line.extend(words(&["--service", "pipe"])),
    }
    push_flag(&mut line, "--idle-timeout", args.get(Setting::Wait).filter(|_| !is_udp));
    line.extend(access_rules(args));
    Ok(line)
}

/// Whether `-l` was given, or is implied by the other tool's name: the name of a sockit server is
/// recorded as one [`Setting::Listen`] too.
fn listens_as_netcat(args: &ForeignArgs) -> bool {
    args.all(Setting::Listen).count() > usize::from(args.command.is_some())
}

/// The flags for the clients that are allowed, or not; ncat separates several by commas.
pub(super) fn access_rules(args: &ForeignArgs) -> Vec<String> {
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
pub(super) fn push_flag(line: &mut Vec<String>, flag: &str, value: Option<&str>) {
    line.extend(value.into_iter().flat_map(|value| words(&[flag, value])));
}

fn client(args: &ForeignArgs) -> Words {
    if args.has(Setting::Exec) || args.has(Setting::Shell) {
        return Err(Some("a program run by a client"));
    }
    if args.has(Setting::Scan) || has_several_ports(args) {
        return check(args);
    }
    check_port(args)?;
    let is_udp = args.has(Setting::Udp);
    let command = if args.has(Setting::Unix) {
        "unix-client"
    } else if is_udp {
        "udp-client"
    } else {
        "tcp-client"
    };
    let mut line = words(&[command]);
    line.extend(args.operands.iter().cloned());
    line.extend(timeouts(args)?);
    push_flag(&mut line, "--proxy", proxy(args)?.as_deref());
    push_flag(&mut line, "--source", source(args).as_deref());
    if is_udp && args.has(Setting::Broadcast) {
        line.push("--broadcast".to_string());
    }
    Ok(line)
}

/// Checks whether ports, or a Unix socket, are open.
fn check(args: &ForeignArgs) -> Words {
    let is_udp = args.has(Setting::Udp);
    let (prefix, protocol) = if is_udp { ("udp:", "udp") } else { ("", "tcp") };
    let target = match args.operands.as_slice() {
        [path] if args.has(Setting::Unix) => format!("unix:{path}"),
        [target] if target.contains(':') => format!("{prefix}{target}"),
        [host, ports @ ..]
            if ports.iter().all(|port| is_range(port) || is_port(port, protocol)) =>
        {
            format!("{prefix}{}", host_port(host, &ports.join(",")))
        }
        _ => return Err(None),
    };
    let mut line = words(&["check", &target]);
    let timeout = args.get(Setting::Wait).filter(|wait| *wait != "0");
    push_flag(&mut line, "--timeout", timeout);
    push_flag(&mut line, "--proxy", proxy(args)?.as_deref());
    push_flag(&mut line, "--source", source(args).as_deref());
    Ok(line)
}

/// Whether the operands are a host and several ports, which a netcat tries one after another.
fn has_several_ports(args: &ForeignArgs) -> bool {
    match args.operands.as_slice() {
        [_, port] => is_range(port),
        [_, ports @ ..] => ports.len() > 1 && ports.iter().all(|p| is_range(p) || is_number(p)),
        [] => false,
    }
}

/// Whether the operands are those of a client: one port, or the path of a Unix socket.
fn check_port(args: &ForeignArgs) -> Result<(), Option<&'static str>> {
    let protocol = if args.has(Setting::Udp) { "udp" } else { "tcp" };
    match args.operands.as_slice() {
        [] if args.has(Setting::Unix) => Err(None),
        [_, port] if !is_port(port, protocol) => Err(None),
        [_, _, _, ..] => Err(None),
        _ => Ok(()),
    }
}

pub(super) fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn is_port(word: &str, protocol: &str) -> bool {
    is_number(word) || resolver::port(word, protocol).is_ok()
}

pub(super) fn is_range(word: &str) -> bool {
    word.split_once('-').is_some_and(|(first, last)| is_number(first) && is_number(last))
}

/// The flags for `-w` and `-q`. With `-w 0` a netcat does not wait for replies at all.
fn timeouts(args: &ForeignArgs) -> Words {
    let (wait, udp) = (args.get(Setting::Wait), args.has(Setting::Udp));
    let quit = args.get(Setting::Quit);
    if quit.is_some_and(|quit| !is_number(quit.strip_prefix('-').unwrap_or(quit))) {
        return Err(None);
    }
    Ok(match (wait, quit) {
        (Some("0"), _) => words(&["--send-only"]),
        (Some(wait), _) if udp => words(&["--wait", wait]),
        (Some(wait), _) => words(&["--idle-timeout", wait]),
        (_, Some("0")) => words(&[if udp { "--send-only" } else { "--hang-up" }]),
        (_, Some(quit)) if udp && is_number(quit) => words(&["--wait", quit]),
        _ => Vec::new(),
    })
}

/// The proxy's URL; netcats take its protocol and login in flags of their own.
pub(super) fn proxy(args: &ForeignArgs) -> Result<Option<String>, Option<&'static str>> {
    let Some(url) = args.get(Setting::Proxy) else { return Ok(None) };
    let (scheme, host_port) = url.split_once("://").ok_or(None)?;
    let scheme = match args.get(Setting::ProxyType) {
        Some("connect" | "http") => "http",
        Some("5" | "socks5") => "socks5",
        Some("4" | "socks4") => return Err(Some("SOCKS 4")),
        Some(_) => return Err(None),
        None => scheme,
    };
    let login = args.get(Setting::ProxyLogin).map(|login| format!("{login}@"));
    Ok(Some(format!("{scheme}://{}{host_port}", login.unwrap_or_default())))
}

/// The local address and port, which netcats take in separate flags.
pub(super) fn source(args: &ForeignArgs) -> Option<String> {
    let to_v6 =
        has(&args.flags, &["-6"]) || args.operands.first().is_some_and(|to| to.contains(':'));
    let any = if to_v6 { "::" } else { "0.0.0.0" };
    match (args.get(Setting::Source), args.get(Setting::Port)) {
        (address, None) => address.map(str::to_string),
        (address, Some(port)) => Some(host_port(address.unwrap_or(any), port)),
    }
}

/// `ADDRESS:PORT`, with brackets around an IPv6 address.
pub(super) fn host_port(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn download(args: &ForeignArgs, destination: Destination) -> Words {
    let telnet = args.operands.first().and_then(|url| url.strip_prefix("telnet://"));
    if let Some(host_port) = telnet {
        return Ok(words(&["tcp-client", host_port.trim_end_matches('/')]));
    }
    let is_web = |url: &String| !url.contains("://") || url.starts_with("http");
    match args.operands.as_slice() {
        [] => return Err(None),
        urls if !urls.iter().all(is_web) => return Err(Some("URLs other than http and https")),
        _ => {}
    }
    let mut line = words(&["http-get"]);
    line.extend(args.operands.iter().cloned());
    line.extend(method_and_resume(args)?);
    if destination == Destination::FileNamedByUrl && !has(&args.flags, &["--output", "--head"]) {
        line.push("--remote-name".to_string());
    }
    let tries =
        args.get(Setting::Tries).map(|tries| tries.parse().map_err(|_| None)).transpose()?;
    let retries = tries.map(|tries: u32| tries.saturating_sub(1).to_string());
    push_flag(&mut line, "--retry", retries.as_deref());
    push_flag(&mut line, "--proxy", proxy(args)?.as_deref());
    Ok(line)
}

/// The flags for an HTTP method and for the offset where a download is resumed.
fn method_and_resume(args: &ForeignArgs) -> Words {
    let mut flags = Vec::new();
    match args.get(Setting::Method) {
        None | Some("GET") => {}
        Some("HEAD") => flags.push("--head"),
        Some(_) => return Err(Some("methods other than GET and HEAD")),
    }
    match args.get(Setting::Resume) {
        None => {}
        Some("-") => flags.push("--continue"),
        Some(_) => return Err(Some("a given offset; --continue resumes at the end of the file")),
    }
    Ok(words(&flags))
}

/// dig and its like query name servers only, and take types and classes between the names.
fn query(args: &mut ForeignArgs, operands: Operands) -> Words {
    let mut server = None;
    let mut names = Vec::new();
    for word in std::mem::take(&mut args.operands) {
        // After a name, dig takes a word without a dot for a type.
        let follows_name =
            operands == Operands::Queries && args.command.is_none() && !names.is_empty();
        let is_type = RecordType::WORDS.iter().any(|kind| kind.eq_ignore_ascii_case(&word))
            || follows_name && !word.contains(['.', ':', '@']) && !word.eq_ignore_ascii_case("in");
        match word.strip_prefix('@') {
            Some(at) => server = Some(at.to_string()),
            None if is_type => args.flags.extend(words(&["--type", &word.to_lowercase()])),
            None if word.eq_ignore_ascii_case("in") => {}
            None => names.push(word),
        }
    }
    if operands == Operands::QueryAndServer && names.len() == 2 {
        server = names.pop();
    }
    let server = server.map(|server| match args.get(Setting::Port) {
        Some(port) => host_port(&server, port),
        None => server,
    });
    if names.is_empty() {
        return Err(None);
    }
    let mut line = words(&["resolve"]);
    line.append(&mut names);
    push_flag(&mut line, "--server", server.as_deref());
    if args.command.is_none() && server.is_none() && !has(&args.flags, &["--type", "--tcp"]) {
        line.extend(words(&["--via", "dns"]));
    }
    Ok(line)
}
