//! The sockit line for what another tool was asked for.

use super::hints::{Advice, Request};
use super::other_tools::{Form, Part};
use super::socat_addresses;
use crate::resolver;
use crate::resolver::dns::RecordType;

/// Words of a line; or why there is none, if that is known.
pub type Words = Result<Vec<String>, Option<&'static str>>;

/// Flags that mean nothing without `--tls`.
const TLS: [&str; 7] =
    ["--server-name", "--ca-file", "--insecure", "--cert", "--key", "--alpn", "--pin"];
/// Flags that choose the service of a server.
const SERVICE: [&str; 7] = ["--service", "-s", "--exec", "--sh", "--reply", "--greeting", "--file"];
const RANGE: &str = "more than one port in a run";
const CLIENT_EXEC: &str = "a program run by a client";
const SOCKS4: &str = "SOCKS 4";

/// The line for `request`, quoted for a shell.
pub fn compose(form: Form, mut request: Request) -> Option<Advice> {
    if let Some(why) = request.absent {
        return Some(Advice::Absent(why));
    }
    let words = match form {
        Form::Connection => connection(&request),
        Form::Telnet => telnet(&mut request),
        Form::Tls => tls(&mut request),
        Form::Url | Form::Download => download(&request, form == Form::Download),
        Form::Question | Form::QuestionServer => question(&mut request, form),
        Form::Pair => socat_addresses::words(&request),
        Form::Absent(why) => Err(Some(why)),
    };
    let mut line = match words {
        Ok(words) => words,
        Err(why) => return why.map(Advice::Absent),
    };
    line.append(&mut request.flags);
    if line[0].starts_with("tcp") && !has(&line, &["--tls"]) && has(&line, &TLS) {
        line.push("--tls".to_string());
    }
    let quoted = shlex::try_join(line.iter().map(String::as_str)).ok()?;
    let without_input = line.iter().any(|word| word == "--hang-up") && request.has(Part::Scan);
    Some(Advice::Line(format!(
        "sockit {quoted}{}",
        if without_input { " < /dev/null" } else { "" }
    )))
}

fn has(line: &[String], flags: &[&str]) -> bool {
    line.iter().any(|word| flags.contains(&word.as_str()))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn connection(request: &Request) -> Words {
    match request.quoted_args.as_slice() {
        [url] if url.contains("://") => download(request, false),
        _ if request.has(Part::Listen) => server(request),
        _ => client(request),
    }
}

fn telnet(request: &mut Request) -> Words {
    if request.quoted_args.len() == 1 {
        request.quoted_args.push("23".to_string());
    }
    request.flags.push("--crlf".to_string());
    client(request)
}

fn tls(request: &mut Request) -> Words {
    if request.quoted_args.first().is_none_or(|word| word != "s_client") {
        return Err(None);
    }
    request.quoted_args.remove(0);
    request.flags.push("--tls".to_string());
    client(request)
}

fn server(request: &Request) -> Words {
    let is_udp = request.has(Part::Udp);
    let mut line = match (request.command.as_deref(), request.has(Part::Unix)) {
        (Some(command), _) => words(&[command]),
        (None, true) => words(&["unix-server"]),
        (None, false) => words(&[if is_udp { "udp-server" } else { "tcp-server" }]),
    };
    let mut rest = request.quoted_args.clone();
    if request.has(Part::Unix) {
        line.extend(rest);
    } else {
        let port = request.get(Part::Port).map(str::to_string).or_else(|| rest.pop());
        let host = request.get(Part::Source).map(str::to_string).or_else(|| rest.pop());
        pair_of(&mut line, "--host", host.as_deref());
        pair_of(&mut line, "--port", port.as_deref());
    }
    let program = request.get(Part::Exec).map(|command| ("--exec", command));
    match program.or_else(|| request.get(Part::Shell).map(|command| ("--sh", command))) {
        Some((flag, command)) => line.extend(words(&[flag, command])),
        None if is_udp || has(&request.flags, &SERVICE) => {}
        None => line.extend(words(&["--service", "pipe"])),
    }
    pair_of(&mut line, "--idle-timeout", request.get(Part::Wait).filter(|_| !is_udp));
    Ok(line)
}

fn pair_of(line: &mut Vec<String>, flag: &str, value: Option<&str>) {
    line.extend(value.into_iter().flat_map(|value| words(&[flag, value])));
}

fn client(request: &Request) -> Words {
    let (udp, unix) = (request.has(Part::Udp), request.has(Part::Unix));
    let scan = request.has(Part::Scan);
    if request.has(Part::Exec) || request.has(Part::Shell) {
        return Err(Some(CLIENT_EXEC));
    }
    match request.quoted_args.as_slice() {
        [_, ports @ ..] if ports.len() > 1 || ports.iter().any(|port| is_range(port)) => {
            return Err(ports
                .iter()
                .all(|port| is_range(port) || is_number(port))
                .then_some(RANGE));
        }
        [] if unix => return Err(None),
        [_, port] if !is_port(port, if udp { "udp" } else { "tcp" }) => return Err(None),
        _ => {}
    }
    let command = if unix {
        "unix-client"
    } else if udp {
        "udp-client"
    } else {
        "tcp-client"
    };
    let mut line = words(&[command]);
    line.extend(request.quoted_args.iter().cloned());
    match (scan, udp) {
        // What netcat sends; some servers take an empty datagram for the end of all.
        (true, true) => line.extend(words(&["--send", "X"])),
        (true, false) => line.push("--hang-up".to_string()),
        _ => {}
    }
    line.extend(patience(request)?);
    pair_of(&mut line, "--proxy", proxy(request)?.as_deref());
    pair_of(&mut line, "--source", source(request).as_deref());
    if udp && request.has(Part::Broadcast) {
        line.push("--broadcast".to_string());
    }
    Ok(line)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_port(word: &str, protocol: &str) -> bool {
    is_number(word) || resolver::port(word, protocol).is_ok()
}

fn is_range(word: &str) -> bool {
    word.split_once('-').is_some_and(|(first, last)| is_number(first) && is_number(last))
}

/// What `-w` and `-q` come to. A netcat with `-w 0` does not wait for answers at all; and after a
/// scan there is nothing to wait for.
fn patience(request: &Request) -> Words {
    let (scan, udp) = (request.has(Part::Scan), request.has(Part::Udp));
    let wait = request.get(Part::Wait).filter(|wait| !(scan && *wait == "0"));
    let quit = request.get(Part::Quit);
    if quit.is_some_and(|quit| !is_number(quit.strip_prefix('-').unwrap_or(quit))) {
        return Err(None);
    }
    Ok(match (wait, quit) {
        (Some("0"), _) => words(&["--send-only"]),
        (Some(wait), _) if udp => words(&["--wait", wait]),
        (Some(wait), _) if scan => words(&["--connect-timeout", wait]),
        (Some(wait), _) => words(&["--idle-timeout", wait]),
        _ if scan => Vec::new(),
        (_, Some("0")) => words(&[if udp { "--send-only" } else { "--hang-up" }]),
        (_, Some(quit)) if udp && is_number(quit) => words(&["--wait", quit]),
        _ => Vec::new(),
    })
}

/// The proxy's URL. netcats say protocol and login apart from it.
fn proxy(request: &Request) -> Result<Option<String>, Option<&'static str>> {
    let Some(url) = request.get(Part::Proxy) else { return Ok(None) };
    let (scheme, place) = url.split_once("://").ok_or(None)?;
    let scheme = match request.get(Part::ProxyType) {
        Some("connect" | "http") => "http",
        Some("5" | "socks5") => "socks5",
        Some("4" | "socks4") => return Err(Some(SOCKS4)),
        Some(_) => return Err(None),
        None => scheme,
    };
    let login = request.get(Part::ProxyLogin).map(|login| format!("{login}@"));
    Ok(Some(format!("{scheme}://{}{place}", login.unwrap_or_default())))
}

/// Our own address and port, of which netcats take each alone.
fn source(request: &Request) -> Option<String> {
    let is_v6 = |host: &str| host.contains(':');
    let to_v6 =
        has(&request.flags, &["-6"]) || request.quoted_args.first().is_some_and(|to| is_v6(to));
    let any = if to_v6 { "::" } else { "0.0.0.0" };
    match (request.get(Part::Source), request.get(Part::Port)) {
        (address, None) => address.map(str::to_string),
        (address, Some(port)) => Some(match address.unwrap_or(any) {
            v6 if is_v6(v6) => format!("[{v6}]:{port}"),
            v4 => format!("{v4}:{port}"),
        }),
    }
}

fn download(request: &Request, saved: bool) -> Words {
    let telnet = request.quoted_args.first().and_then(|url| url.strip_prefix("telnet://"));
    if let Some(place) = telnet {
        return Ok(words(&["tcp-client", place.trim_end_matches('/')]));
    }
    let method = match request.get(Part::Method) {
        None | Some("GET") => None,
        Some("HEAD") => Some("--head"),
        Some(_) => return Err(Some("methods but GET and HEAD")),
    };
    let resume = match request.get(Part::Resume) {
        None => None,
        Some("-") => Some("--continue"),
        Some(_) => return Err(Some("an offset to go on from; --continue finds it")),
    };
    let is_web = |url: &String| !url.contains("://") || url.starts_with("http");
    match request.quoted_args.as_slice() {
        [] => return Err(None),
        urls if !urls.iter().all(is_web) => return Err(Some("URLs but http and https")),
        _ => {}
    }
    let mut line = words(&["http-get"]);
    line.extend(request.quoted_args.iter().cloned());
    line.extend(words(method.as_slice()));
    line.extend(words(resume.as_slice()));
    if saved && !has(&request.flags, &["--output", "--head"]) {
        line.push("--remote-name".to_string());
    }
    let tries =
        request.get(Part::Tries).map(|tries| tries.parse().map_err(|_| None)).transpose()?;
    let retries = tries.map(|tries: u32| tries.saturating_sub(1).to_string());
    pair_of(&mut line, "--retry", retries.as_deref());
    pair_of(&mut line, "--proxy", proxy(request)?.as_deref());
    Ok(line)
}

/// dig and its like ask name servers only, and take types and classes between the names.
fn question(request: &mut Request, form: Form) -> Words {
    let mut server = None;
    let mut names = Vec::new();
    for word in std::mem::take(&mut request.quoted_args) {
        // Behind a name, dig takes a word without a dot for a type.
        let is_behind = form == Form::Question && request.command.is_none() && !names.is_empty();
        let is_type = RecordType::WORDS.iter().any(|kind| kind.eq_ignore_ascii_case(&word))
            || is_behind && !word.contains(['.', ':', '@']) && !word.eq_ignore_ascii_case("in");
        match word.strip_prefix('@') {
            Some(at) => server = Some(at.to_string()),
            None if is_type => request.flags.extend(words(&["--type", &word.to_lowercase()])),
            None if word.eq_ignore_ascii_case("in") => {}
            None => names.push(word),
        }
    }
    if form == Form::QuestionServer && names.len() == 2 {
        server = names.pop();
    }
    let server = server.map(|server| match request.get(Part::Port) {
        Some(port) if server.contains(':') => format!("[{server}]:{port}"),
        Some(port) => format!("{server}:{port}"),
        None => server,
    });
    if names.is_empty() {
        return Err(None);
    }
    let mut line = words(&["resolve"]);
    line.append(&mut names);
    pair_of(&mut line, "--server", server.as_deref());
    if request.command.is_none() && server.is_none() && !has(&request.flags, &["--type", "--tcp"]) {
        line.extend(words(&["--via", "dns"]));
    }
    Ok(line)
}
