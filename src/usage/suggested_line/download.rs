//! Lines of curl and wget.

use crate::usage::foreign_args::ForeignArgs;
use crate::usage::line_parts::{Words, has, proxy, push_flag, words};
use crate::usage::meaning::Setting;

/// Where a tool writes a download by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Stdout.
    Stdout,
    /// A file named by the last segment of the URL.
    FileNamedByUrl,
}

/// The line for a download.
pub fn download(args: &ForeignArgs, destination: Destination) -> Words {
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
