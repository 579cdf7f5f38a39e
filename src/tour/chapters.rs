//! What is shown: a chapter per tutorial, a step per command line.
//!
//! In a line, `{server}` is the host and port of the server that was started last and `{port}`
//! its port alone, `{closed}` a port where nobody listens, `{dir}` a folder of the tour's own.

/// One tutorial.
pub struct Chapter {
    /// What it is about.
    pub title: &'static str,
    /// What happens, in order.
    pub steps: &'static [Step],
    /// The one thing to remember.
    pub remember: &'static str,
}

/// One thing that is shown.
pub struct Step {
    /// What it shows.
    pub title: &'static str,
    /// What is done.
    pub act: Action,
    /// The exit code that comes of it; of a server that stays, nothing yet.
    pub code: u8,
    /// What its output holds.
    pub expected_output: &'static [&'static str],
    /// What the machine or the build must have for it.
    pub needs: Option<Requirement>,
}

/// What is done in a step.
pub enum Action {
    /// A server is started, and stays.
    Serve(&'static str),
    /// A command is run to its end.
    Run(&'static str),
    /// The same with this text on its stdin.
    Feed(&'static str, &'static str),
    /// The server that was started last comes to its end by itself.
    End,
    /// It is asked to end, by SIGTERM.
    Stop,
}

/// What not every machine or build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// An IPv6 loopback.
    Ipv6,
    /// A list of services, services(5).
    Services,
    /// The feature `http`.
    Http,
}

const fn step(shows: &'static str, act: Action, says: &'static [&'static str]) -> Step {
    Step { title: shows, act, code: 0, expected_output: says, needs: None }
}

impl Step {
    const fn exits(self, code: u8) -> Step {
        Step { code, ..self }
    }

    const fn if_there_is(self, need: Requirement) -> Step {
        Step { needs: Some(need), ..self }
    }
}

/// The tour.
pub const CHAPTERS: [Chapter; 5] = [GREETING, TIME, KINDS, ECHO, NAMES];

const GREETING: Chapter = Chapter {
    title: "A page by HTTP, and a server that greets",
    steps: &[
        step(
            "A server of one answer, on a port that the kernel picks:",
            Action::Serve(
                r"sockit tcp-server --port 0 --once --messages 1 --reply 'HTTP/1.0 200 OK\r\n\r\na whole page'",
            ),
            &["Waiting for connection"],
        )
        .if_there_is(Requirement::Http),
        step(
            "Asked by HTTP: the header is talk on stderr, the body is data on stdout:",
            Action::Run("sockit http-get http://127.0.0.1:{port}/"),
            &["a whole page"],
        )
        .if_there_is(Requirement::Http),
        step(
            "A server that promises more than it sends:",
            Action::Serve(
                r"sockit tcp-server --port 0 --once --messages 1 --reply 'HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf a page'",
            ),
            &["Waiting for connection"],
        )
        .if_there_is(Requirement::Http),
        step(
            "A page cut short is never taken for a whole one; its exit code is 18:",
            Action::Run("sockit http-get -q http://127.0.0.1:{port}/"),
            &["half a page", "of 100"],
        )
        .exits(18)
        .if_there_is(Requirement::Http),
        step(
            "A server that greets each caller, for one caller:",
            Action::Serve("sockit tcp-server --port 0 --once"),
            &["Waiting for connection"],
        ),
        step(
            "A client by script: after each word it waits for the reply:",
            Action::Run("sockit tcp-client {server} --send Michael --send Tracy --send Sarah --send exit"),
            &["Welcome!", "Hello, Michael!", "Hello, Tracy!", "Hello, Sarah!"],
        ),
        step("What the server saw:", Action::End, &["Accept new connection from", "closed."]),
    ],
    remember: "a stream has no edges between messages; whoever talks must know when a reply is whole.",
};

const TIME: Chapter = Chapter {
    title: "A server that knows the time, and a prompt",
    steps: &[
        step(
            "A server that answers with the time and what it was told:",
            Action::Serve("sockit tcp-server --port 0 --service time --once"),
            &["Waiting for connection"],
        ),
        step(
            "A line at the prompt is a message, sent without its line end; an empty line ends the talk:",
            Action::Feed("tea\n\n", "sockit tcp-client {server} --prompt"),
            &["] tea"],
        ),
        step("What the server saw:", Action::End, &["Accept new connection from", "closed."]),
    ],
    remember: "what you type is talk to the program; only the line itself goes over the wire.",
};

const KINDS: Chapter = Chapter {
    title: "Servers of every kind",
    steps: &[
        step(
            "One connection, one message, one answer:",
            Action::Serve("sockit tcp-server --port 0 --service ack --once"),
            &["Waiting for connection"],
        ),
        step(
            "The end of our input is a half-close, and the answer still comes:",
            Action::Feed("hello", "sockit tcp-client {server}"),
            &["已接收到数据 hello"],
        ),
        step(
            "Messages of exactly ten characters, as a file object reads them:",
            Action::Serve(
                "sockit tcp-server --port 0 --once --framing bytes:10 --messages 1 --reply 'Return your msg:{message}'",
            ),
            &["Waiting for connection"],
        ),
        step(
            "However they are cut on the way:",
            Action::Feed("0123456789", "sockit tcp-client {server}"),
            &["Return your msg:0123456789"],
        ),
        step(
            "The same service by UDP:",
            Action::Serve("sockit udp-server --port 0 --reply 'Your msg={message}'"),
            &["Waiting for datagrams"],
        ),
        step(
            "A datagram is a message with edges:",
            Action::Run("sockit udp-client {server} --send one --send two"),
            &["Your msg=one", "Your msg=two"],
        ),
        step(
            "And on a Unix socket, which only its owner may use:",
            Action::Serve("sockit unix-server {dir}/tour.sock --once --reply 'Your msg={message}'"),
            &["Waiting for connection"],
        ),
        step(
            "A path instead of a host and a port:",
            Action::Run("sockit unix-client {dir}/tour.sock --send three"),
            &["Your msg=three"],
        ),
        step(
            "A file, from its sixth byte on:",
            Action::Serve("sockit tcp-server --port 0 --once --file {dir}/tour.txt --offset 6"),
            &["Waiting for connection"],
        ),
        step(
            "Nothing to say, everything to take:",
            Action::Run("sockit tcp-client {server} --recv-only"),
            &["of the file"],
        ),
    ],
    remember: "the service is one thing, and what carries it another: TCP, UDP or a Unix socket.",
};

const ECHO: Chapter = Chapter {
    title: "Echo, and an orderly end",
    steps: &[
        step(
            "Every byte back, for any number of callers:",
            Action::Serve("sockit tcp-server --port 0 --service echo"),
            &["Waiting for connection"],
        ),
        step(
            "All of it comes back before we leave:",
            Action::Feed("Hello, world\n", "sockit tcp-client {server}"),
            &["Hello, world"],
        ),
        step(
            "SIGTERM: no new callers, the old ones may finish; a server that drained leaves with 0:",
            Action::Stop,
            &["closed."],
        ),
        step(
            "The same by IPv6:",
            Action::Serve("sockit tcp-server --host ::1 --port 0 --service echo --once"),
            &["Waiting for connection on [::1]"],
        )
        .if_there_is(Requirement::Ipv6),
        step(
            "An IPv6 address has its own brackets where a port follows:",
            Action::Feed("Hello, six\n", "sockit tcp-client [::1]:{port}"),
            &["Hello, six"],
        )
        .if_there_is(Requirement::Ipv6),
    ],
    remember: "whoever closes first must still listen: the other side may not have finished.",
};

const NAMES: Chapter = Chapter {
    title: "Names, steps, datagrams, and what can go wrong",
    steps: &[
        step("A name has addresses:", Action::Run("sockit resolve localhost"), &["1"]),
        step(
            "A service has a port:",
            Action::Run("sockit resolve http/tcp"),
            &["80/tcp"],
        )
        .if_there_is(Requirement::Services),
        step(
            "Is an address what its name claims? Back and forth, and compared:",
            Action::Run("sockit resolve --verify 127.0.0.1"),
            &[],
        ),
        step(
            "A connection takes steps, and -v tells each:",
            Action::Serve("sockit tcp-server -q --port 0 --print-port --service discard --once"),
            &[],
        ),
        step(
            "Port, name, socket, connection, and both ends of it:",
            Action::Feed("a word\n", "sockit tcp-client -v {server}"),
            &["Creating socket", "Connected from 127.0.0.1:", "Connected to 127.0.0.1:"],
        ),
        step(
            "Each step can fail in its own way; the line tells which, the number tells a script (7):",
            Action::Run("sockit tcp-client 127.0.0.1 {closed}"),
            &["sockit: connect 127.0.0.1:", "refused"],
        )
        .exits(7),
        step(
            "Datagrams need no connection; each goes back to its sender:",
            Action::Serve("sockit udp-echo --port 0"),
            &["Waiting for datagrams"],
        ),
        step(
            "A ping over UDP:",
            Action::Run("sockit udp-client {server} --count 3 --interval 10ms"),
            &["3 received"],
        ),
        step("It stops when asked to, and sums up:", Action::Stop, &["3 datagrams in"]),
    ],
    remember: "names, ports, sockets, connections: four steps, four errors, four numbers.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_one_that_sockit_takes() {
        let steps = CHAPTERS.iter().flat_map(|chapter| chapter.steps);
        for step in steps.filter(|step| step.needs != Some(Requirement::Http)) {
            let (Action::Serve(line) | Action::Run(line) | Action::Feed(_, line)) = step.act else {
                continue;
            };
            let line = line.replace("{server}", "127.0.0.1 1").replace("{closed}", "1");
            let words = shlex::split(&line.replace("{port}", "1")).unwrap();
            let words = words.into_iter().map(Into::into).collect();
            assert!(crate::command::parse(words).is_ok(), "{line}");
        }
    }
}
