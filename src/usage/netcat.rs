//! A netcat command line as the sockit command that does the same, for `sockit nc`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::foreign_args::ForeignArgs;
use super::meaning::Setting;
use super::other_tools::Tool;
use super::suggested_line::{
    access_rules, has, host_port, is_range, proxy, push_flag, source, words,
};
use crate::datagram::client::source::DatagramSource;
use crate::datagram::client::{Replies, SendJob};
use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::report::Report;
use crate::report::hexdump::HexDump;
use crate::report::netcat::NetcatWords;
use crate::transfer::crlf::Crlf;

/// How long a peer may be silent after the end of input where netcat would exit sooner, with
/// `-w` and `-q`, and lose a late answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long stdin of a server may be silent after the client's end of stream.
const STDIN_TIMEOUT: Duration = Duration::from_secs(10);

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
#[derive(Debug, PartialEq, Eq)]
pub enum NetcatMode {
    /// It is run.
    Run,
    /// A program runs on its connection: without a shell, or with one.
    Program(NetcatProgram),
    /// Its socket exchanges stdin and stdout as datagrams.
    Datagrams(Datagrams),
    /// Its targets are checked, each with this limit.
    Scan(Option<Duration>),
    /// Help is printed.
    Help,
}

/// A program, and who runs it.
#[derive(Debug, PartialEq, Eq)]
pub struct NetcatProgram {
    /// The command line without a shell.
    pub exec: Option<String>,
    /// The command line for a shell.
    pub sh: Option<String>,
}

/// How stdin and stdout are datagrams.
#[derive(Debug, PartialEq, Eq)]
pub struct Datagrams {
    /// The path of the local Unix socket.
    pub local: Option<String>,
    /// The file of the hex dump.
    pub hex: Option<String>,
    /// Whether stdin is read.
    pub reads_stdin: bool,
    /// Whether received datagrams are discarded.
    pub send_only: bool,
    /// Whether LF is sent as CR LF.
    pub crlf: bool,
    /// How long nothing may be sent or received, also while stdin is open.
    pub idle: Option<Duration>,
    /// How long nothing may be received after the end of stdin.
    pub wait: Option<Duration>,
}

impl Datagrams {
    /// The job of a datagram client.
    ///
    /// Fails with 23 when the hex dump cannot be opened.
    pub fn job(&self, stdin: BorrowedFd<'static>, report: &Report) -> Result<SendJob, Failure> {
        let filter = self.crlf.then(Crlf::default);
        let stdin = DatagramSource::StdinReads(stdin, filter);
        let dump =
            self.hex.as_ref().map(|path| HexDump::open(path.as_ref(), report)).transpose()?;
        Ok(SendJob {
            source: if self.reads_stdin { stdin } else { DatagramSource::Texts(VecDeque::new()) },
            delay: Duration::ZERO,
            input_timeout: self.idle,
            replies: if self.send_only {
                Replies::Discard
            } else {
                Replies::PrintUntilSilent(self.wait)
            },
            raw: true,
            dump,
        })
    }
}

/// Translates the arguments of a netcat.
///
/// Fails with code 2 on a flag that no dialect has or that cannot be honoured, and on operands that
/// are missing or malformed.
pub fn translate(args: &[String]) -> Result<NetcatLine, Failure> {
    let tool = Tool::named("nc").ok_or_else(|| usage("nc is not known"))?;
    let unknown = |arg: String| usage(format!("invalid option -- '{}'", arg.trim_matches('-')));
    let mut args = ForeignArgs::parse(tool, None, &[], args).map_err(unknown)?;
    if let Some(what) = args.unsupported {
        let command = command(&args);
        return Err(usage(format!("not available: {what}"))
            .with_hint(format!("sockit {command} --help lists what there is instead")));
    }
    let listens = args.has(Setting::Listen);
    if listens && args.has(Setting::Scan) {
        return Err(usage("cannot use -z and -l"));
    }
    if !listens && args.has(Setting::KeepOpen) {
        return Err(usage("must use -l with -k"));
    }
    let verbose = take(&mut args.flags, "-v");
    let numeric = args.has(Setting::Numeric);
    let (host, port) = target(&args)?;
    if numeric && !args.has(Setting::Unix) && !host.is_empty() {
        check_numeric(&host, &port)?;
    }
    let mode = mode(&mut args)?;
    let mut words = vec!["sockit".to_string(), command(&args).to_string()];
    words.extend(address(&args, &host, &port)?);
    words.extend(flags(&args, &mode)?);
    let protocol = if args.has(Setting::Udp) { "udp" } else { "tcp" };
    let names = NetcatWords { verbose, numeric, protocol, host, port, ..NetcatWords::default() };
    Ok(NetcatLine { words, mode, names })
}

fn usage(why: impl Into<String>) -> Failure {
    Failure::usage(Phase::Socket, "", why.into())
}

/// The command that does most of it.
fn command(args: &ForeignArgs) -> &'static str {
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

/// Host and port, or the path of a Unix socket and nothing.
fn target(args: &ForeignArgs) -> Result<(String, String), Failure> {
    let operands: Vec<&str> = args.operands.iter().map(String::as_str).collect();
    let (listens, scans) = (args.has(Setting::Listen), args.has(Setting::Scan));
    let bound = args.get(Setting::Source).unwrap_or_default();
    let (host, port) = match (operands.as_slice(), args.get(Setting::Port)) {
        _ if args.has(Setting::Help) => ("", ""),
        ([path], _) if args.has(Setting::Unix) => (*path, ""),
        (_, _) if args.has(Setting::Unix) => return Err(usage("missing path of the socket")),
        ([host, port], None) if listens => (*host, *port),
        ([port], None) if listens => (bound, *port),
        ([], Some(port)) if listens => (bound, port),
        ([host], Some(port)) if listens => (*host, port),
        ([host, port], _) if !listens => (*host, *port),
        ([host, first, ..], _) if scans => (*host, *first),
        ([_, _, _, ..], _) if !listens => {
            return Err(usage("several ports need -z").with_hint("sockit check HOST:PORT,PORT"));
        }
        _ => return Err(usage("missing port number").with_hint("sockit nc HOST PORT")),
    };
    if is_range(port) && !scans {
        return Err(usage("several ports need -z").with_hint("sockit check HOST:PORT-PORT"));
    }
    Ok((host.to_string(), port.to_string()))
}

fn check_numeric(host: &str, port: &str) -> Result<(), Failure> {
    let address = host.split('%').next().unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => {
            let why = format!("for host \"{host}\" port {port}: Name or service not known");
            Err(Failure::new(Phase::Resolve, "", why))
        }
    }
}

fn mode(args: &mut ForeignArgs) -> Result<NetcatMode, Failure> {
    let is_client = !args.has(Setting::Listen);
    let program = NetcatProgram {
        exec: args.get(Setting::Exec).map(str::to_string),
        sh: args.get(Setting::Shell).map(str::to_string),
    };
    let has_program = program.exec.is_some() || program.sh.is_some();
    let serves_many = !is_client && (has_program || args.has(Setting::KeepOpen));
    Ok(if args.has(Setting::Help) {
        NetcatMode::Help
    } else if args.has(Setting::Scan) && is_client {
        NetcatMode::Scan(scan(args)?)
    } else if args.has(Setting::Udp) && !serves_many {
        NetcatMode::Datagrams(datagrams(args)?)
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

/// Without a connection there is no end to wait for: the time that was given is the limit.
fn datagrams(args: &mut ForeignArgs) -> Result<Datagrams, Failure> {
    let idle_timeout = take_value(&mut args.flags, "--idle-timeout");
    let idle = seconds("-w", args.get(Setting::Wait).or(idle_timeout.as_deref()))?;
    let wait = quit(args)?.or(idle);
    take_value(&mut args.flags, "--connect-timeout");
    take(&mut args.flags, "--no-half-close");
    let sends_only = take(&mut args.flags, "--send-only");
    Ok(Datagrams {
        local: args.get(Setting::Source).map(str::to_string),
        hex: take_value(&mut args.flags, "--hex"),
        reads_stdin: !take(&mut args.flags, "--recv-only"),
        send_only: sends_only || wait == Some(Duration::ZERO) && !args.has(Setting::Listen),
        crlf: take(&mut args.flags, "--crlf"),
        idle: idle.filter(|time| !time.is_zero()),
        wait: wait.filter(|time| !time.is_zero()),
    })
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
            usage(format!("not available: {}", what.unwrap_or("this protocol of a proxy")))
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

fn client_flags(args: &ForeignArgs, flags: &[String]) -> Result<Vec<String>, Failure> {
    let mut line = words(&["--no-prompt"]);
    let limit = seconds("-w", args.get(Setting::Wait))?.unwrap_or_default();
    if !has(flags, &["--connect-timeout"]) {
        line.extend(words(&["--connect-timeout", &duration(limit)]));
    }
    line.extend(end_flags(args, flags)?);
    let verifies = args.has(Setting::SslVerify) || has(flags, &["--ca-file"]);
    if has(flags, &["--tls"]) && !verifies {
        line.push("--insecure".to_string());
    }
    line.extend(truncation_flag(flags));
    Ok(line)
}

/// ncat closes without close_notify.
fn truncation_flag(flags: &[String]) -> Option<String> {
    has(flags, &["--tls"]).then(|| "--allow-truncation".to_string())
}

fn server_flags(args: &ForeignArgs, flags: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    take_value(flags, "--connect-timeout");
    let is_chat = has(flags, &["--service"]);
    let mut line = access_rules(args);
    push_flag(&mut line, "--exec", args.get(Setting::Exec));
    push_flag(&mut line, "--sh", args.get(Setting::Shell));
    let has_program = args.has(Setting::Exec) || args.has(Setting::Shell);
    if !has_program && !is_chat {
        line.extend(words(&["--service", "pipe"]));
        line.extend(end_flags(args, flags)?);
        // netcat exits immediately, and loses an answer of stdin that is late.
        line.push(format!("--exit-on-eof={}", duration(STDIN_TIMEOUT)));
    }
    if !args.has(Setting::KeepOpen) && !is_chat {
        line.push("--once".to_string());
    }
    line.extend(truncation_flag(flags));
    if let Some(file) = take_value(flags, "--ca-file") {
        line.extend(words(&["--client-ca", &file]));
    }
    Ok(line)
}

/// A server of datagrams for many senders prints what it receives; stdin has no addressee.
fn datagram_server_flags(args: &ForeignArgs, flags: &mut Vec<String>) -> Vec<String> {
    for flag in ["--recv-only", "--send-only", "--no-half-close", "--crlf"] {
        take(flags, flag);
    }
    let mut line = Vec::new();
    push_flag(&mut line, "--exec", args.get(Setting::Exec));
    push_flag(&mut line, "--sh", args.get(Setting::Shell));
    if args.has(Setting::Unix) {
        line.push("--datagram".to_string());
        line.extend(line.len().eq(&1).then(|| "--service=pipe".to_string()));
    }
    line
}

/// The flags for `-N`, `-q` and `-w`: netcat would exit before a late answer has come.
fn end_flags(args: &ForeignArgs, flags: &[String]) -> Result<Vec<String>, Failure> {
    let (wait, quit) = (seconds("-w", args.get(Setting::Wait))?, quit(args)?);
    let mut line = Vec::new();
    let is_chosen = has(flags, &["--recv-only", "--send-only", "--no-half-close"]);
    if !is_chosen && (args.has(Setting::HalfClose) || quit.is_some()) {
        line.push("--half-close".to_string());
    }
    if let Some(limit) = wait.max(quit) {
        line.extend(words(&["--linger", &duration(limit.max(ANSWER_TIMEOUT))]));
    }
    if let Some(limit) = wait.filter(|time| !time.is_zero()) {
        line.extend(words(&["--input-timeout", &duration(limit)]));
        if !has(flags, &["--idle-timeout"]) {
            // A peer that does not read.
            line.extend(words(&["--idle-timeout", &duration(limit + ANSWER_TIMEOUT)]));
        }
    }
    Ok(line)
}

/// The time of `-q`; a negative one is none.
fn quit(args: &ForeignArgs) -> Result<Option<Duration>, Failure> {
    seconds("-q", args.get(Setting::Quit).filter(|time| !time.starts_with('-')))
}

fn seconds(flag: &str, word: Option<&str>) -> Result<Option<Duration>, Failure> {
    let parsed = word.map(values::duration).transpose();
    parsed.map_err(|why| usage(format!("{flag}: {why}")))
}

/// A duration as a flag has it.
fn duration(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// Removes a flag; returns whether it was there.
fn take(flags: &mut Vec<String>, flag: &str) -> bool {
    let before = flags.len();
    flags.retain(|word| word != flag);
    flags.len() < before
}

/// Removes a flag and its value, which is returned.
fn take_value(flags: &mut Vec<String>, flag: &str) -> Option<String> {
    let at = flags.iter().position(|word| word == flag)?;
    flags.drain(at..(at + 2).min(flags.len())).nth(1)
}

#[cfg(test)]
mod tests;
