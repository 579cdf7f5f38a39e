//! Lines of netcat, telnet and wait-for-it.

use super::download::{Destination, download};
use crate::usage::foreign_args::ForeignArgs;
use crate::usage::line_parts::{
    Words, access_rules, command, has, host_port, is_number, is_port, is_range, program_flags,
    proxy, push_flag, source, words,
};
use crate::usage::meaning::Setting;

/// Flags that choose the service of a server.
const SERVICE: [&str; 7] = ["--service", "-s", "--exec", "--sh", "--reply", "--greeting", "--file"];

/// The line for one of netcat.
pub fn connection(args: &ForeignArgs) -> Words {
    match args.operands.as_slice() {
        [url] if url.contains("://") => download(args, Destination::Stdout),
        _ if args.has(Setting::Listen) => server(args),
        _ => client(args),
    }
}

/// The line for one of telnet.
pub fn telnet(args: &mut ForeignArgs) -> Words {
    if args.operands.len() == 1 {
        args.operands.push("23".to_string());
    }
    args.flags.push("--crlf".to_string());
    client(args)
}

/// Waits for a port to accept connections: a minute, unless a limit was given.
pub fn wait(args: &mut ForeignArgs) -> Words {
    if !has(&args.flags, &["--wait"]) {
        args.flags.extend(words(&["--wait", "60"]));
    }
    check(args)
}

fn server(args: &ForeignArgs) -> Words {
    let is_udp = args.has(Setting::Udp);
    let command = command(args);
    let own = args.server();
    let own = own.filter(|own| own.starts_with(command.trim_end_matches("server")));
    let mut line = words(&[own.unwrap_or(command)]);
    let mut operands = args.operands.clone();
    if args.has(Setting::Unix) {
        line.extend(operands);
    } else {
        let port = args.get(Setting::Port).map(str::to_string).or_else(|| operands.pop());
        let host = args.get(Setting::Source).map(str::to_string).or_else(|| operands.pop());
        push_flag(&mut line, "--host", host.as_deref());
        push_flag(&mut line, "--port", port.as_deref());
    }
    let program = program_flags(args);
    if program.is_empty() && !is_udp && !has(&args.flags, &SERVICE) && listens_as_netcat(args) {
        line.extend(words(&["--service", "pipe"]));
    }
    // A server runs one program.
    line.extend(program.into_iter().take(2));
    push_flag(&mut line, "--idle-timeout", args.get(Setting::Wait).filter(|_| !is_udp));
    line.extend(access_rules(args));
    Ok(line)
}

/// Whether `-l` was given, or is implied by the other tool's name: the name of a sockit server is
/// recorded as one [`Setting::Listen`] too.
fn listens_as_netcat(args: &ForeignArgs) -> bool {
    args.all(Setting::Listen).count() > usize::from(args.server().is_some())
}

fn client(args: &ForeignArgs) -> Words {
    if args.has(Setting::Exec) || args.has(Setting::Shell) {
        return Err(Some("a program run by a client"));
    }
    if args.has(Setting::Scan) || has_several_ports(args) {
        return check(args);
    }
    check_port(args)?;
    let mut line = words(&[command(args)]);
    line.extend(args.operands.iter().cloned());
    line.extend(timeouts(args)?);
    push_flag(&mut line, "--proxy", proxy(args)?.as_deref());
    push_flag(&mut line, "--source", source(args).as_deref());
    if args.has(Setting::Udp) && args.has(Setting::Broadcast) {
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
