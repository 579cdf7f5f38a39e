//! Runs the steps of a chapter, with its servers and its temporary directory.

use std::net::{Ipv6Addr, TcpListener};
use std::path::PathBuf;
use std::time::Instant;

use super::chapter::{Action, Chapter, Step};
use super::process::{DemoProcess, ProcessEnd, STEP_TIMEOUT, StepResult};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::endpoint::Endpoint;
use crate::net::stdout::Stdout;
use crate::report::context::Context;
use crate::report::escape::escape_keep_backslash;
use crate::resolver;
use crate::shutdown::Shutdown;

/// The state of a running chapter.
pub struct ChapterRunner<'a> {
    context: &'a Context,
    stdout: Stdout,
    /// The number of steps that did not have the expected result.
    pub failed: usize,
    servers: Vec<DemoProcess>,
    /// The address of the last server.
    server: Endpoint,
    /// A bound port that does not listen, so that connections to it are refused.
    closed: TcpListener,
    dir: PathBuf,
}

impl<'a> ChapterRunner<'a> {
    /// Creates the state of a chapter, with a temporary directory of its own.
    ///
    /// Fails with 23 if the directory cannot be created, and if there is no IPv4 loopback.
    pub fn new(context: &'a Context, stdout: Stdout) -> Result<ChapterRunner<'a>, Failure> {
        let dir = std::env::temp_dir().join(dir_name());
        let failed = |e| Failure::new(Phase::File, dir.display(), e).with_code(ExitCode::Write);
        create_private(&dir).map_err(failed)?;
        std::fs::write(dir.join("tour.txt"), "Start of the file\n").map_err(failed)?;
        let closed = closed_port().map_err(|e| Failure::new(Phase::Socket, "127.0.0.1:0", e))?;
        let (servers, server) = (Vec::new(), Endpoint { host: String::new(), port: String::new() });
        Ok(ChapterRunner { context, stdout, failed: 0, servers, server, closed, dir })
    }

    /// Runs the steps of a chapter, prints them on stdout and checks their results.
    ///
    /// Fails if stdout cannot be written, and when the run is stopped.
    pub fn run_chapter(&mut self, number: usize, chapter: &Chapter) -> Result<(), Failure> {
        self.print(0, &format!("{number}. {}\n\n", chapter.title))?;
        chapter.steps.iter().try_for_each(|step| self.run_step(step))?;
        self.print(3, &format!("Remember: {}\n\n", chapter.remember))
    }

    fn run_step(&mut self, step: &Step) -> Result<(), Failure> {
        self.print(3, step.title)?;
        if let Some(missing) = step.needs.and_then(missing_requirement) {
            return self.print(5, &format!("(left out: {missing})\n\n"));
        }
        let result = self.run_action(&step.action)?;
        self.print(5, &result.output.lines().map(escape_line).collect::<Vec<_>>().join("\n"))?;
        if let Some(reason) = self.context.shutdown.reason() {
            return Err(Failure::shutdown(Phase::Stdin, "tour", reason));
        }
        if let Some(why) = step.difference(&result) {
            self.failed += 1;
            self.context.report.warn(None, format!("this step failed: {why}"));
        }
        self.print(0, "\n")
    }

    fn run_action(&mut self, action: &Action) -> Result<StepResult, Failure> {
        match action {
            Action::Serve(line) => self.start_server(line),
            Action::Run(line) => Ok(self.start(line)?.finish(self.shutdown())),
            Action::Wait | Action::Stop => Ok(self.end_server(action)),
        }
    }

    fn start_server(&mut self, line: &str) -> Result<StepResult, Failure> {
        let mut server = self.start(line)?;
        let stop = self.shutdown();
        let address = if line.contains("--print-port") {
            server.wait_for_line("", stop).map(|port| format!("127.0.0.1:{port}"))
        } else {
            server.wait_for_line("Waiting for ", stop).as_deref().and_then(address)
        };
        let Some(address) = address else {
            server.terminate();
            return Ok(server.finish(stop));
        };
        let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
        self.server = Endpoint { host: host.to_string(), port: port.to_string() };
        let output = server.output();
        self.servers.push(server);
        Ok(StepResult { output, end: ProcessEnd::Running })
    }

    /// Waits until the last server exits. It is terminated by [`Action::Stop`], and after a failed
    /// step, since it may wait for a connection.
    fn end_server(&mut self, action: &Action) -> StepResult {
        let Some(mut server) = self.servers.pop() else {
            return StepResult { output: String::new(), end: ProcessEnd::NotExited };
        };
        server.set_deadline(Instant::now() + STEP_TIMEOUT);
        if self.failed > 0 || matches!(action, Action::Stop) {
            server.terminate();
        }
        server.finish(self.shutdown())
    }

    /// Prints a command line and starts it.
    fn start(&self, line: &str) -> Result<DemoProcess, Failure> {
        let line = self.fill_in(line);
        self.print(3, &format!("$ {line}"))?;
        let piped = line.strip_prefix("printf '").and_then(|line| line.split_once("' | "));
        let input = piped.map(|(text, _)| text.replace("\\n", "\n"));
        let words = shlex::split(piped.map_or(&line, |(_, line)| line)).unwrap_or_default();
        let words = words.get(1..).unwrap_or_default();
        DemoProcess::start(words, input.as_deref(), Instant::now() + STEP_TIMEOUT)
            .map_err(|e| Failure::new(Phase::File, "sockit", e).with_code(ExitCode::Negative))
    }

    fn fill_in(&self, line: &str) -> String {
        let Endpoint { host, port } = &self.server;
        let closed = self.closed.local_addr().map(|address| address.port()).unwrap_or(1);
        let dir = self.dir.to_string_lossy();
        line.replace("{server}", &format!("{host} {port}"))
            .replace("{port}", port)
            .replace("{closed}", &closed.to_string())
            .replace("{dir}", &shlex::try_quote(&dir).unwrap_or_default())
    }

    fn shutdown(&self) -> &'a Shutdown {
        &self.context.shutdown
    }

    /// Prints lines, indented by `indent` spaces.
    fn print(&self, indent: usize, text: &str) -> Result<(), Failure> {
        let lines = text.lines().map(|line| match line {
            "" => "\n".to_string(),
            line => format!("{:indent$}{line}\n", ""),
        });
        self.stdout.write_all(lines.collect::<String>().as_bytes())
    }
}

impl Drop for ChapterRunner<'_> {
    fn drop(&mut self) {
        self.servers.clear();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Returns a name that no other tour on this machine has, in any PID namespace.
fn dir_name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = now.map(|time| time.subsec_nanos()).unwrap_or_default();
    format!("sockit-tour-{}-{nanoseconds}", std::process::id())
}

/// Creates a directory that only the user can read; fails if it exists.
fn create_private(dir: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(dir)
}

/// Binds a port without listening on it.
fn closed_port() -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into())?;
    Ok(socket.into())
}

/// Parses the address in `Waiting for connection on ADDRESS...`.
fn address(line: &str) -> Option<String> {
    Some(line.split_once(" on ")?.1.strip_suffix("...")?.to_string())
}

/// Returns what this machine or build does not have, if a step needs it.
fn missing_requirement(requirement: &str) -> Option<&'static str> {
    let has_ipv6 = || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let has_services = || resolver::service_name(80, "tcp").is_some();
    match requirement {
        "ipv6" if !has_ipv6() => Some("this machine has no IPv6 loopback"),
        "services" if !has_services() => Some("this machine has no list of services"),
        "http" if cfg!(not(feature = "http")) => Some("built without feature http"),
        _ => None,
    }
}

/// Escapes a line of output for the terminal, except tabs.
fn escape_line(line: &str) -> String {
    line.split('\t').map(escape_keep_backslash).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_parsed_from_the_log_line() {
        let line = "Waiting for connection on [::1]:45129...";
        assert_eq!(address(line).as_deref(), Some("[::1]:45129"));
        assert_eq!(address("sockit: bind"), None);
    }
}
