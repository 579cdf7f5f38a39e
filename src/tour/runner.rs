//! One chapter on stage: its servers, its folder, and what has gone wrong so far.

use std::net::{Ipv6Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::chapters::{Action, Requirement, Step};
use super::process::DemoProcess;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout;
use crate::report::Report;
use crate::report::escape::escape;
use crate::shutdown::Shutdown;

/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A chapter's stage.
pub struct ChapterRunner<'a> {
    stop: &'a Shutdown,
    /// Steps that did not do what they say.
    pub failed: usize,
    report: &'a Report,
    servers: Vec<DemoProcess>,
    /// Host and port of the last server.
    server: (String, String),
    /// A port where nobody listens, held so that nobody comes.
    closed: TcpListener,
    dir: PathBuf,
}

impl<'a> ChapterRunner<'a> {
    /// A stage with a folder of its own and nobody on it.
    ///
    /// Fails when the machine has no room for the folder (23) or no IPv4 loopback.
    pub fn new(stop: &'a Shutdown, report: &'a Report) -> Result<ChapterRunner<'a>, Failure> {
        let dir = std::env::temp_dir().join(name());
        let failed = |e| Failure::write_file(dir.display(), e);
        make_private(&dir).map_err(failed)?;
        std::fs::write(dir.join("tour.txt"), "Start of the file\n").map_err(failed)?;
        let closed = unanswered().map_err(|e| Failure::new(Phase::Socket, "127.0.0.1:0", e))?;
        let server = (String::new(), String::new());
        Ok(ChapterRunner { stop, failed: 0, report, servers: Vec::new(), server, closed, dir })
    }

    /// Plays one step, tells it on stdout, and keeps count of what went wrong.
    ///
    /// Fails when stdout cannot take it, and when the run is to end.
    pub fn play(&mut self, step: &Step) -> Result<(), Failure> {
        write_lines(3, step.title)?;
        if let Some(lack) = step.needs.and_then(missing_requirement) {
            return write_lines(5, &format!("(left out: {lack})\n\n"));
        }
        let (said, code) = self.run_action(&step.act)?;
        write_lines(5, &said.lines().map(wait_for_output).collect::<Vec<_>>().join("\n"))?;
        if let Some(reason) = self.stop.reason() {
            return Err(Failure::shutdown(Phase::Stdin, "tour", reason));
        }
        if let Some(why) = check_step(step, &said, code) {
            self.failed += 1;
            self.report.warn(None, format!("this step did not do what it says: {why}"));
        }
        stdout::write_all(b"\n")
    }

    /// Does it; what was said, and the exit code of what ended.
    fn run_action(&mut self, act: &Action) -> Result<(String, Option<i32>), Failure> {
        match act {
            Action::Serve(line) => self.serve(line),
            Action::Run(line) => self.run(line, None),
            Action::Feed(input, line) => self.run(line, Some(input)),
            // Where a caller failed, a server would wait for it in vain.
            Action::End => Ok(self.last(self.failed > 0)),
            Action::Stop => Ok(self.last(true)),
        }
    }

    fn serve(&mut self, line: &str) -> Result<(String, Option<i32>), Failure> {
        let mut server = self.start(line, None)?;
        let found = match line.contains("--print-port") {
            true => server.line_with("", self.stop).map(|port| format!("127.0.0.1:{port}")),
            false => server.line_with("Waiting for ", self.stop).as_deref().and_then(address),
        };
        let Some(address) = found else {
            server.terminate();
            return Ok((server.output(), Some(server.ends(self.stop).unwrap_or(-1))));
        };
        let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
        self.server = (host.to_string(), port.to_string());
        let said = server.output();
        self.servers.push(server);
        Ok((said, None))
    }

    fn run(&mut self, line: &str, input: Option<&str>) -> Result<(String, Option<i32>), Failure> {
        let mut run = self.start(line, input)?;
        let code = run.ends(self.stop);
        Ok((run.output(), Some(code.unwrap_or(-1))))
    }

    /// The last server's end, by itself or because it was asked.
    fn last(&mut self, asked: bool) -> (String, Option<i32>) {
        let Some(mut server) = self.servers.pop() else { return (String::new(), Some(-1)) };
        server.has_until(Instant::now() + PATIENCE);
        if asked {
            server.terminate();
        }
        let code = server.ends(self.stop).unwrap_or(-1);
        (server.output(), Some(code))
    }

    /// Shows a command line and starts it.
    fn start(&self, line: &str, input: Option<&str>) -> Result<DemoProcess, Failure> {
        let line = self.filled(line);
        let fed = input.map(|text| format!("printf '{}' | ", text.replace('\n', "\\n")));
        write_lines(3, &format!("$ {}{line}", fed.unwrap_or_default()))?;
        let words = shlex::split(&line).unwrap_or_default();
        let words = words.get(1..).unwrap_or_default();
        DemoProcess::start(words, input, Instant::now() + PATIENCE)
            .map_err(|e| Failure::new(Phase::File, "sockit", e).with_code(ExitCode::Negative))
    }

    fn filled(&self, line: &str) -> String {
        let (host, port) = &self.server;
        let closed = self.closed.local_addr().map(|address| address.port()).unwrap_or(1);
        let dir = self.dir.to_string_lossy();
        line.replace("{server}", &format!("{host} {port}"))
            .replace("{port}", port)
            .replace("{closed}", &closed.to_string())
            .replace("{dir}", &shlex::try_quote(&dir).unwrap_or_default())
    }
}

impl Drop for ChapterRunner<'_> {
    fn drop(&mut self) {
        self.servers.clear();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A name that no other tour on this machine has, in whatever namespace of process numbers.
fn name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = now.map(|time| time.subsec_nanos()).unwrap_or_default();
    format!("sockit-tour-{}-{nanoseconds}", std::process::id())
}

/// A folder that nobody but us can look into; one that is there already is not ours.
fn make_private(dir: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(dir)
}

/// A port that is bound and never listens: a connection to it is refused.
fn unanswered() -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into())?;
    Ok(socket.into())
}

/// `Waiting for connection on ADDRESS...`
fn address(line: &str) -> Option<String> {
    Some(line.split_once(" on ")?.1.strip_suffix("...")?.to_string())
}

/// Why a step cannot be shown here.
fn missing_requirement(need: Requirement) -> Option<&'static str> {
    let there = match need {
        Requirement::Ipv6 => TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok(),
        Requirement::Services => crate::resolver::service(80, "tcp").is_some(),
        Requirement::Http => cfg!(feature = "http"),
    };
    let lack = match need {
        Requirement::Ipv6 => "this machine has no IPv6 loopback",
        Requirement::Services => "this machine has no list of services",
        Requirement::Http => "built without feature http",
    };
    (!there).then_some(lack)
}

/// What is not as the step says, if anything.
fn check_step(step: &Step, said: &str, code: Option<i32>) -> Option<String> {
    let stays = matches!(step.act, Action::Serve(_));
    match code {
        Some(-1) => return Some(format!("no end in {} seconds", PATIENCE.as_secs())),
        Some(code) if stays => return Some(format!("the server left, with code {code}")),
        Some(code) if code != i32::from(step.code) => {
            return Some(format!("the exit code is {code} instead of {}", step.code));
        }
        _ => {}
    }
    // Two voices have no order between them.
    let missing = step.expected_output.iter().find(|want| !said.contains(**want));
    missing.map(|want| format!("'{want}' is missing"))
}

/// A line that a program said, fit for a terminal; its columns stay apart.
fn wait_for_output(line: &str) -> String {
    line.split('\t').map(escape).collect::<Vec<_>>().join("\t")
}

/// Lines on stdout, `indent` spaces in.
fn write_lines(indent: usize, text: &str) -> Result<(), Failure> {
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_string(),
        line => format!("{:indent$}{line}\n", ""),
    });
    stdout::write_all(lines.collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Step = Step {
        title: "",
        act: Action::Run("sockit"),
        code: 7,
        expected_output: &["one", "two"],
        needs: None,
    };

    #[test]
    fn a_step_must_say_all_it_promises_and_leave_with_its_code() {
        assert_eq!(check_step(&STEP, "one and two", Some(7)), None);
        assert!(check_step(&STEP, "only one", Some(7)).is_some());
        assert!(check_step(&STEP, "one and two", Some(0)).is_some());
        assert!(check_step(&STEP, "one and two", Some(-1)).is_some());
    }

    #[test]
    fn the_address_is_read_from_what_a_server_says() {
        let line = "Waiting for connection on [::1]:45129...";
        assert_eq!(address(line).as_deref(), Some("[::1]:45129"));
        assert_eq!(address("sockit: bind"), None);
    }
}
