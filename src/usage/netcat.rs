//! A netcat command line as the sockit command that does the same, for `sockit nc`.

mod datagrams;
mod flags;
mod values;

use std::net::IpAddr;
use std::time::Duration;

use super::foreign_args::ForeignArgs;
use super::line_parts::{command, has, host_port, is_range, proxy, push_flag, source, words};
use super::meaning::Setting;
use super::other_tools::Tool;
use crate::error::{Failure, Phase};
use crate::flags::exec::ExecFlags;
use crate::report::netcat::NetcatWords;
pub use datagrams::Datagrams;
use flags::{client_flags, datagram_server_flags, server_flags};
use values::{resolve_source, seconds, take, take_value, usage_error};

/// How long a UDP port that does not answer is waited for.
const UDP_TIMEOUT: Duration = Duration::from_secs(3);

/// A netcat command line, translated.
#[derive(Debug)]
pub struct NetcatLine {
    /// The sockit command line, from the program's name on.
    pub words: Vec<String>,
    /// What is done with the command.
    pub mode: NetcatMode,
    /// What the log depends on.
    pub names: NetcatWords,
}

/// What is done with a sockit command line.
#[derive(Debug)]
pub enum NetcatMode {
    /// It is run.
    Run,
    /// A program runs on its connection: without a shell, or with one.
    Program(ExecFlags),
    /// Its socket exchanges stdin and stdout as datagrams.
    Datagrams(Datagrams),
    /// Its targets are checked, each with this limit.
    Scan(Option<Duration>),
    /// Help is printed.
    Help,
}

/// Translates the arguments of a netcat.
///
/// Fails with code 2 on a flag that no dialect has or that cannot be supported, and on operands that
/// are missing or malformed.
pub fn translate(args: &[String]) -> Result<NetcatLine, Failure> {
    let tool = Tool::named("nc").ok_or_else(|| usage_error("nc is not known"))?;
    let unknown =
        |arg: String| usage_error(format!("invalid option -- '{}'", arg.trim_matches('-')));
    let mut args = ForeignArgs::parse(tool, None, &[], args).map_err(unknown)?;
    if let Some(what) = args.unsupported {
        let command = command(&args);
        return Err(usage_error(format!("not available: {what}"))
            .with_hint(format!("sockit {command} --help lists what there is instead")));
    }
    let listens = args.has(Setting::Listen);
    if listens && args.has(Setting::Scan) {
        return Err(usage_error("cannot use -z and -l"));
    }
    if !listens && args.has(Setting::KeepOpen) {
        return Err(usage_error("must use -l with -k"));
    }
    let verbose = take(&mut args.flags, "-v");
    let numeric = args.has(Setting::Numeric);
    let (host, port) = target(&args)?;
    if numeric && !args.has(Setting::Unix) && !host.is_empty() {
        check_numeric(&host, &port)?;
    }
    let protocol = if args.has(Setting::Udp) { "udp" } else { "tcp" };
    if !listens && !args.has(Setting::Unix) {
        resolve_source(&mut args, protocol)?;
    }
    let mode = mode(&mut args)?;
    let mut words = vec!["sockit".to_string(), command(&args).to_string()];
    words.extend(address(&args, &host, &port)?);
    words.extend(flags(&args, &mode)?);
    let waits_longer = args.has(Setting::Wait) || args.has(Setting::Quit);
    let sends_end = args.has(Setting::HalfClose) && !waits_longer;
    let names =
        NetcatWords { verbose, numeric, protocol, host, port, sends_end, ..NetcatWords::default() };
    Ok(NetcatLine { words, mode, names })
}

/// Host and port, or the path of a Unix socket and nothing.
fn target(args: &ForeignArgs) -> Result<(String, String), Failure> {
    let operands: Vec<&str> = args.operands.iter().map(String::as_str).collect();
    let (listens, scans) = (args.has(Setting::Listen), args.has(Setting::Scan));
    let bound = args.get(Setting::Source).unwrap_or_default();
    let (host, port) = match (operands.as_slice(), args.get(Setting::Port)) {
        _ if args.has(Setting::Help) => ("", ""),
        ([path], _) if args.has(Setting::Unix) => (*path, ""),
        (_, _) if args.has(Setting::Unix) => return Err(usage_error("missing path of the socket")),
        ([host, port], None) if listens => (*host, *port),
        ([port], None) if listens => (bound, *port),
        ([], Some(port)) if listens => (bound, port),
        ([host], Some(port)) if listens => (*host, port),
        ([host, port], _) if !listens => (*host, *port),
        ([host, first, ..], _) if scans => (*host, *first),
        ([_, _, _, ..], _) if !listens => {
            return Err(
                usage_error("several ports need -z").with_hint("sockit check HOST:PORT,PORT")
            );
        }
        _ => return Err(usage_error("missing port number").with_hint("sockit nc HOST PORT")),
    };
    if is_range(port) && !scans {
        return Err(usage_error("several ports need -z").with_hint("sockit check HOST:PORT-PORT"));
    }
    Ok((host.to_string(), port.to_string()))
}

fn check_numeric(host: &str, port: &str) -> Result<(), Failure> {
    let address = host.split('%').next().unwrap_or(host);
    if address.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let why = format!("for host \"{host}\" port {port}: Name or service not known");
    Err(Failure::new(Phase::Resolve, "", why))
}

fn mode(args: &mut ForeignArgs) -> Result<NetcatMode, Failure> {
    let is_client = !args.has(Setting::Listen);
    let program = ExecFlags {
        exec: args.get(Setting::Exec).map(str::to_string),
        sh: args.get(Setting::Shell).map(str::to_string),
        allow_new_privileges: false,
    };
    let has_program = program.first_given().is_some();
    let serves_many = !is_client && (has_program || args.has(Setting::KeepOpen));
    Ok(if args.has(Setting::Help) {
        NetcatMode::Help
    } else if args.has(Setting::Scan) && is_client {
        NetcatMode::Scan(scan(args)?)
    } else if args.has(Setting::Udp) && !serves_many {
        NetcatMode::Datagrams(Datagrams::from_args(args)?)
    } else if has_program && is_client {
        NetcatMode::Program(program)
    } else {
        NetcatMode::Run
    })
}

/// The limit for each port.
fn scan(args: &mut ForeignArgs) -> Result<Option<Duration>, Failure> {
    take_value(&mut args.flags, "--line-delay");
    let limit = take_value(&mut args.flags, "--connect-timeout");
    let timeout = seconds("-w", args.get(Setting::Wait).or(limit.as_deref()))?;
    let default = args.has(Setting::Udp).then_some(UDP_TIMEOUT);
    Ok(timeout.filter(|time| !time.is_zero()).or(default))
}

/// The operands and flags of the address.
fn address(args: &ForeignArgs, host: &str, port: &str) -> Result<Vec<String>, Failure> {
    let scans = args.has(Setting::Scan);
    if args.has(Setting::Unix) {
        return Ok(vec![format!("{}{host}", if scans { "unix:" } else { "" })]);
    }
    if args.has(Setting::Listen) {
        let any = if has(&args.flags, &["-6"]) { "::" } else { "0.0.0.0" };
        let host = if host.is_empty() { any } else { host };
        return Ok(words(&["--host", host, "--port", port]));
    }
    let mut line = words(&[host, port]);
    if scans {
        let protocol = if args.has(Setting::Udp) { "udp:" } else { "" };
        let ports = args.operands[1..].join(",");
        line = vec![format!("{protocol}{}", host_port(host, &ports))];
    }
    push_flag(&mut line, "--source", source(args).as_deref());
    if args.has(Setting::Udp) && !scans {
        line.extend(args.get(Setting::Broadcast).map(|_| "--broadcast".to_string()));
    } else if !args.has(Setting::Udp) {
        let proxy = proxy(args).map_err(|what| {
            usage_error(format!("not available: {}", what.unwrap_or("this protocol of a proxy")))
        })?;
        // An empty URL ignores the variables of the environment, as netcat does.
        push_flag(&mut line, "--proxy", Some(proxy.as_deref().unwrap_or_default()));
    }
    Ok(line)
}

/// The other flags.
fn flags(args: &ForeignArgs, mode: &NetcatMode) -> Result<Vec<String>, Failure> {
    let mut flags = args.flags.clone();
    let has_tls =
        has(&flags, &["--tls", "--server-name", "--cert", "--key", "--ca-file", "--alpn"]);
    if has_tls && !has(&flags, &["--tls"]) {
        flags.push("--tls".to_string());
    }
    let line = match mode {
        NetcatMode::Datagrams(_) if args.has(Setting::Unix) => words(&["--datagram"]),
        NetcatMode::Datagrams(_) | NetcatMode::Scan(_) | NetcatMode::Help => Vec::new(),
        _ if args.has(Setting::Listen) && args.has(Setting::Udp) => {
            datagram_server_flags(args, &mut flags)
        }
        _ if args.has(Setting::Listen) => server_flags(args, &mut flags)?,
        _ => client_flags(args, &flags)?,
    };
    Ok([line, flags].concat())
}

#[cfg(test)]
mod tests;
