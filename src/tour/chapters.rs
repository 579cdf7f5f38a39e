//! The steps of the tour: a chapter per tutorial and one about the relay, a step per command line.
//!
//! In a command line, `{server}` is host and port of the server that was started last and `{port}`
//! its port, `{closed}` a port that refuses connections, `{dir}` the temporary directory.

/// One tutorial.
pub struct Chapter {
    /// The title.
    pub title: &'static str,
    /// The steps, in their order.
    pub steps: &'static [Step],
    /// A summary, printed after `Remember:`.
    pub remember: &'static str,
}

/// One step.
pub struct Step {
    /// What it shows.
    pub title: &'static str,
    /// What is run or stopped.
    pub action: Action,
    /// The expected exit code; not checked for [`Action::Serve`].
    pub code: u8,
    /// Texts that the output must contain.
    pub expected_output: &'static [&'static str],
    /// What the machine or the build must have; otherwise the step is skipped.
    pub needs: Option<Requirement>,
}

/// The action of a step.
pub enum Action {
    /// Start a server, which runs on.
    Serve(&'static str),
    /// Run a command until it exits.
    Run(&'static str),
    /// Run a command with this text on its stdin.
    Feed(&'static str, &'static str),
    /// Wait until the last server exits.
    End,
    /// Terminate the last server with SIGTERM.
    Stop,
}

/// What a machine or build may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// An IPv6 loopback.
    Ipv6,
    /// A list of services, services(5).
    Services,
    /// The feature `http`.
    Http,
}

const fn step(
    title: &'static str,
    action: Action,
    expected_output: &'static [&'static str],
) -> Step {
    Step { title, action, code: 0, expected_output, needs: None }
}

impl Step {
    const fn exits(self, code: u8) -> Step {
        Step { code, ..self }
    }

    const fn requires(self, requirement: Requirement) -> Step {
        Step { needs: Some(requirement), ..self }
    }
}

/// The chapters of the tour.
pub const CHAPTERS: [Chapter; 6] = [HTTP_AND_HELLO, TIME, SERVICES, ECHO, NAMES, RELAY];

const HTTP_AND_HELLO: Chapter = Chapter {
    title: "An HTTP download, and the hello service",
    steps: &[
        step(
            "A server with one reply, on a port that the kernel chooses:",
            Action::Serve(
                r"sockit tcp-server --port 0 --once --messages 1 --reply 'HTTP/1.0 200 OK\r\n\r\na complete page'",
            ),
            &["Waiting for connection"],
        )
        .requires(Requirement::Http),
        step(
            "An HTTP request: the header is printed on stderr, the body on stdout:",
            Action::Run("sockit http-get http://127.0.0.1:{port}/"),
            &["a complete page"],
        )
        .requires(Requirement::Http),
        step(
            "A server that sends less than its Content-Length:",
            Action::Serve(
                r"sockit tcp-server --port 0 --once --messages 1 --reply 'HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf a page'",
            ),
            &["Waiting for connection"],
        )
        .requires(Requirement::Http),
        step(
            "A truncated body is an error, with exit code 18:",
            Action::Run("sockit http-get -q http://127.0.0.1:{port}/"),
            &["half a page", "of 100"],
        )
        .exits(18)
        .requires(Requirement::Http),
        step(
            "A server with the hello service; -v prints its steps: socket, address, queue of connections:",
            Action::Serve("sockit tcp-server -v --port 0 --backlog 5 --once"),
            &[
                "Creating socket (IPv4, TCP)... done.",
                "Setting SO_REUSEADDR... done.",
                "Binding to 127.0.0.1:",
                "Listening with a backlog of 5... done.",
                "Waiting for connection",
            ],
        ),
        step(
            "A client with a script: it waits for a reply to each message:",
            Action::Run("sockit tcp-client {server} --send Michael --send Tracy --send Sarah --send exit"),
            &["Welcome!", "Hello, Michael!", "Hello, Tracy!", "Hello, Sarah!"],
        ),
        step(
            "The log of the server: each connection has a socket and a thread of its own:",
            Action::End,
            &["Accept new connection from", "(socket ", "closed."],
        ),
    ],
    remember: "a stream has no message boundaries; the protocol must define where a reply ends.",
};

const TIME: Chapter = Chapter {
    title: "The time service, a prompt, and message boundaries",
    steps: &[
        step(
            "A server that replies with the time and the message:",
            Action::Serve("sockit tcp-server -vv --port 0 --service time --once"),
            &["Waiting for connection"],
        ),
        step(
            "Each line at the prompt is a message, sent without its line end; an empty line ends the session:",
            Action::Feed("tea\n\n", "sockit tcp-client {server} --prompt"),
            &["] tea"],
        ),
        step(
            "The log of the server: -vv prints what is received and sent:",
            Action::End,
            &["Accept new connection from", "Received 3 bytes from", "\"tea\"", "Sent 30 bytes to"],
        ),
        step(
            "A server that waits before each reply:",
            Action::Serve("sockit tcp-server -vv --port 0 --delay 500ms --once"),
            &["Waiting for connection"],
        ),
        step(
            "Three messages, sent without waiting for a reply:",
            Action::Feed("tea\ntea\ntea\n", "sockit tcp-client {server} --prompt"),
            &["teatea!"],
        ),
        step(
            "Two sends, one receive: while the server was busy, messages were joined (sticky):",
            Action::End,
            &["teatea\""],
        ),
        step(
            "The cure is a protocol with an end of each message, such as a line end:",
            Action::Serve("sockit tcp-server -vv --port 0 --delay 500ms --framing line --once"),
            &["Waiting for connection"],
        ),
        step(
            "The same messages, each sent with a line end:",
            Action::Feed("tea\ntea\ntea\n", "sockit tcp-client {server} --prompt --eol lf"),
            &["Hello, tea!"],
        ),
        step(
            "Several lines in one receive are several messages, and each has its reply:",
            Action::End,
            &[r"tea\ntea\n", r"Hello, tea!\n"],
        ),
    ],
    remember: "only the text of a line is sent; a receive may return half a message, or several.",
};

const SERVICES: Chapter = Chapter {
    title: "Services over TCP, UDP and Unix sockets",
    steps: &[
        step(
            "One connection, one message, one reply:",
            Action::Serve("sockit tcp-server --port 0 --service ack --once"),
            &["Waiting for connection"],
        ),
        step(
            "The end of the input is a half-close; the reply is still received:",
            Action::Feed("hello", "sockit tcp-client {server}"),
            &["已接收到数据 hello"],
        ),
        step(
            "Messages of ten bytes each:",
            Action::Serve(
                "sockit tcp-server --port 0 --once --framing bytes:10 --messages 1 --reply 'Return your msg:{message}'",
            ),
            &["Waiting for connection"],
        ),
        step(
            "A message may arrive in several segments:",
            Action::Feed("0123456789", "sockit tcp-client {server}"),
            &["Return your msg:0123456789"],
        ),
        step(
            "The same service over UDP:",
            Action::Serve("sockit udp-server --port 0 --reply 'Your msg={message}'"),
            &["Waiting for datagrams"],
        ),
        step(
            "Each datagram is one message:",
            Action::Run("sockit udp-client {server} --send one --send two"),
            &["Your msg=one", "Your msg=two"],
        ),
        step(
            "The same service on a Unix socket, which only its owner may use:",
            Action::Serve("sockit unix-server {dir}/tour.sock --once --reply 'Your msg={message}'"),
            &["Waiting for connection"],
        ),
        step(
            "The address is a path instead of a host and a port:",
            Action::Run("sockit unix-client {dir}/tour.sock --send three"),
            &["Your msg=three"],
        ),
        step(
            "A server that sends a file from byte 6 on:",
            Action::Serve("sockit tcp-server -vv --port 0 --once --file {dir}/tour.txt --offset 6"),
            &["Waiting for connection"],
        ),
        step(
            "A client that receives only:",
            Action::Run("sockit tcp-client {server} --recv-only"),
            &["of the file"],
        ),
        step(
            "The log of the server: on Linux the kernel sends the file (sendfile):",
            Action::End,
            &["12 bytes", "Sent end of stream to", "closed."],
        ),
    ],
    remember: "services are independent of the transport: TCP, UDP or a Unix socket.",
};

const ECHO: Chapter = Chapter {
    title: "Echo, and a graceful shutdown",
    steps: &[
        step(
            "A server that echoes all data, for any number of connections:",
            Action::Serve("sockit tcp-server --port 0 --service echo"),
            &["Waiting for connection"],
        ),
        step(
            "The client exits when everything was echoed:",
            Action::Feed("Hello, world\n", "sockit tcp-client {server}"),
            &["Hello, world"],
        ),
        step(
            "SIGTERM: no new connections are accepted, open ones may finish; then the server exits with 0:",
            Action::Stop,
            &["closed."],
        ),
        step(
            "The same over IPv6:",
            Action::Serve("sockit tcp-server --host ::1 --port 0 --service echo --once"),
            &["Waiting for connection on [::1]"],
        )
        .requires(Requirement::Ipv6),
        step(
            "An IPv6 address is written in brackets before a port:",
            Action::Feed("Hello, six\n", "sockit tcp-client [::1]:{port}"),
            &["Hello, six"],
        )
        .requires(Requirement::Ipv6),
    ],
    remember: "after closing one direction, read until the peer has closed the other one.",
};

const NAMES: Chapter = Chapter {
    title: "Names, connections, datagrams, and errors",
    steps: &[
        step("A name has addresses:", Action::Run("sockit resolve localhost"), &["1"]),
        step("A service has a port:", Action::Run("sockit resolve http/tcp"), &["80/tcp"])
            .requires(Requirement::Services),
        step(
            "Forward-confirmed reverse DNS: do the names of an address have this address?",
            Action::Run("sockit resolve --verify 127.0.0.1"),
            &[],
        ),
        step(
            "A server for a connection with -v, which prints each step:",
            Action::Serve("sockit tcp-server -q --port 0 --print-port --service discard --once"),
            &[],
        ),
        step(
            "Port, name, socket, connection, and its local and peer addresses:",
            Action::Feed("a word\n", "sockit tcp-client -v {server}"),
            &["Creating socket", "Connected from 127.0.0.1:", "Connected to 127.0.0.1:"],
        ),
        step(
            "Each step has its own error, with -v also the system call and its usual cause; the exit code is for scripts (7):",
            Action::Run("sockit tcp-client -v 127.0.0.1 {closed}"),
            &["sockit: connect 127.0.0.1:", "refused", "reason: connect(2) failed with ECONNREFUSED"],
        )
        .exits(7),
        step(
            "Datagrams need no connection; each is returned to its sender:",
            Action::Serve("sockit udp-echo -v --port 0"),
            &["Creating socket (IPv4, UDP)", "Waiting for datagrams"],
        ),
        step(
            "A ping over UDP:",
            Action::Run("sockit udp-client {server} --count 3 --interval 10ms"),
            &["3 received"],
        ),
        step(
            "SIGTERM stops the server, which prints its totals:",
            Action::Stop,
            &["Got data from 127.0.0.1:", "3 datagrams in"],
        ),
    ],
    remember: "names, ports, sockets, connections: each step has its own error and exit code.",
};

const RELAY: Chapter = Chapter {
    title: "A relay that passes every ending on",
    steps: &[
        step(
            "A server:",
            Action::Serve("sockit tcp-server --port 0 --once"),
            &["Waiting for connection"],
        ),
        step(
            "A relay in front of it:",
            Action::Serve("sockit relay 0 127.0.0.1:{port} --once"),
            &["Waiting for connection"],
        ),
        step(
            "A client of the relay gets the replies of the server:",
            Action::Run("sockit tcp-client {server} --send Michael --send exit"),
            &["Welcome!", "Hello, Michael!"],
        ),
        step(
            "The log of the relay counts both directions:",
            Action::End,
            &["bytes to target", "bytes to client", "ended by target"],
        ),
        step("The log of the server:", Action::End, &["closed."]),
        step(
            "A server that sends one answer:",
            Action::Serve("sockit tcp-server --port 0 --greeting 'a complete answer'"),
            &["Waiting for connection"],
        ),
        step(
            "A relay that resets the connection after ten bytes of it:",
            Action::Serve(
                "sockit relay 0 127.0.0.1:{port} --once --fault to-client:reset@10 --seed 1",
            ),
            &["Waiting for connection"],
        ),
        step(
            "The client reports that the answer is truncated, with exit code 18:",
            Action::Run("sockit tcp-client {server} --recv-only"),
            &["a complete", "Connection reset"],
        )
        .exits(18),
        step("The log of the relay:", Action::End, &["10 bytes to client", "ended by fault"]),
        step("A UDP echo server:", Action::Serve("sockit udp-echo --port 0"), &["datagrams"]),
        step(
            "A relay that loses a fifth of the requests on purpose:",
            Action::Serve(
                "sockit relay -v --udp 0 127.0.0.1:{port} --fault to-target:loss=20% --seed 1",
            ),
            &["Waiting for datagrams"],
        ),
        step(
            "Ten numbered datagrams of 64 bytes, and what became of them:",
            Action::Run("sockit udp-client {server} --count 10 --interval 20ms"),
            &["10 sent, 8 received, 2 lost (20.0%)"],
        ),
        step(
            "The log of the relay: the seed decides which are lost, the same in each run:",
            Action::Stop,
            &["loss=20% on connection 1, to target, at byte 256", "at byte 320"],
        ),
    ],
    remember: "a reset is not an end of stream; whatever is in the middle must not turn one into the other.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_valid() {
        let steps = CHAPTERS.iter().flat_map(|chapter| chapter.steps);
        for step in steps.filter(|step| step.needs != Some(Requirement::Http)) {
            let (Action::Serve(line) | Action::Run(line) | Action::Feed(_, line)) = step.action
            else {
                continue;
            };
            let line = line.replace("{server}", "127.0.0.1 1").replace("{closed}", "1");
            let words = shlex::split(&line.replace("{port}", "1")).unwrap();
            let words = words.into_iter().map(Into::into).collect();
            assert!(crate::command::parse(words).is_ok(), "{line}");
        }
    }
}
