//! Servers on loopback, with clients in the same process.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::access::AccessRules;
use super::*;
use crate::net::layer::HandshakeContext;
use crate::net::listen::ListenOptions;
use crate::net::socket::SocketOptions;
use crate::net::stream::Stream;
use crate::resolver::{Deadline, Family};
use crate::service::echo::Echo;
use crate::service::{Connection, ServiceOutcome};
use crate::shutdown::Shutdown;
use crate::test_run::TestRun;

const TIMEOUT: Duration = Duration::from_secs(20);

fn limits() -> ServerLimits {
    ServerLimits {
        max_accepts: None,
        max_conns: 10,
        max_conns_per_ip: None,
        accept_timeout: None,
        idle_timeout: None,
        grace: TIMEOUT,
        stack_size: Some(256 << 10),
        rules: AccessRules::default(),
    }
}

/// A server that has not been started yet, and its events.
struct Server {
    options: ServerOptions,
    address: SocketAddr,
    run: TestRun,
}

impl Server {
    fn new(limits: ServerLimits) -> Server {
        let listener = ListenOptions {
            host: "127.0.0.1".into(),
            port: "0".into(),
            family: Family::Any,
            socket_options: SocketOptions::default(),
            deadline: Deadline::from(None),
            emit: &|_| (),
        };
        let listener = listener.listen(16).unwrap();
        let address = listener.local.inet().unwrap();
        let mut run = TestRun::new();
        run.context.shutdown = Shutdown::new(Some(Instant::now() + TIMEOUT)).unwrap();
        let service = Box::new(Echo { delay: Duration::ZERO });
        let (layer, hex_dump) = (None, None);
        let options = ServerOptions { listener, limits, service, layer, hex_dump };
        Server { options, address, run }
    }

    fn with_service(mut self, service: impl Service) -> Server {
        self.options.service = Box::new(service);
        self
    }

    fn with_layer(mut self, layer: impl Layer + 'static) -> Server {
        self.options.layer = Some(Arc::new(layer));
        self
    }

    /// Runs the server while `clients` run; returns its result and its events.
    fn serve(self, clients: impl FnOnce(&Clients)) -> Served {
        let Server { options, address, run: test } = self;
        let context = test.context.clone();
        let server = thread::spawn(move || run(&context, options));
        let clients_end = Clients { address, test };
        clients(&clients_end);
        let result = server.join().unwrap();
        Served { result, events: clients_end.events() }
    }
}

struct Clients {
    address: SocketAddr,
    test: TestRun,
}

impl Clients {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    /// A connection that is being served.
    fn served(&self) -> TcpStream {
        let mut stream = self.connect();
        assert_eq!(ask(&mut stream, b"x").unwrap(), b"x");
        stream
    }

    /// A connection that has sent a byte.
    fn asking(&self) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(b"x").unwrap();
        stream
    }

    fn events(&self) -> String {
        self.test.events()
    }

    fn wait_for_event(&self, text: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.events().contains(text) {
            assert!(Instant::now() < deadline, "{text} in {}", self.events());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Served {
    result: Result<ExitCode, Failure>,
    events: String,
}

impl Served {
    fn code(&self) -> ExitCode {
        self.result.as_ref().map_or_else(|failure| failure.code, |code| *code)
    }
}

/// Sends bytes and reads as many.
fn ask(stream: &mut TcpStream, question: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(question)?;
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Whether the server closed the connection in order.
fn is_closed(mut stream: TcpStream) -> bool {
    stream.read(&mut [0; 8]).is_ok_and(|n| n == 0)
}

/// Waits until the server has closed or reset the connection.
fn wait_for_close(stream: TcpStream) {
    is_closed(stream);
}

#[test]
fn run_ends_after_the_last_connection_of_its_limit() {
    let server = Server::new(ServerLimits { max_accepts: Some(2), ..limits() });
    let served = server.serve(|clients| {
        drop(clients.served());
        drop(clients.served());
    });
    assert_eq!(served.result.unwrap(), ExitCode::Done);
    for event in ["\"listening\"", "\"accepted\"", "\"half_closed\"", "\"ended_by\":\"peer\""] {
        assert!(served.events.contains(event), "{event} in {}", served.events);
    }
}

#[test]
fn failure_of_the_only_connection_is_that_of_the_run() {
    let idle_timeout = Some(Duration::from_millis(30));
    let limits = ServerLimits { max_accepts: Some(1), idle_timeout, ..limits() };
    let served = Server::new(limits).serve(|clients| wait_for_close(clients.served()));
    assert_eq!(served.code(), ExitCode::Timeout);
    assert!(served.events.contains("\"ended_by\":\"timeout\""), "{}", served.events);
}

#[test]
fn accept_timeout_is_28() {
    let accept_timeout = Some(Duration::from_millis(20));
    let served = Server::new(ServerLimits { accept_timeout, ..limits() }).serve(|_| {});
    let failure = served.result.unwrap_err();
    assert_eq!((failure.phase, failure.code), (Phase::Listen, ExitCode::Timeout));
}

#[test]
fn shutdown_closes_idle_connections_in_order() {
    use ShutdownReason::{Interrupt, Terminate};
    for (reason, code) in [(Terminate, ExitCode::Done), (Interrupt, ExitCode::Interrupted)] {
        let served = Server::new(limits()).serve(|clients| {
            let stream = clients.served();
            clients.test.context.shutdown.trigger(reason);
            assert!(is_closed(stream), "no reset");
        });
        assert_eq!(served.result.unwrap(), code);
    }
}

#[test]
fn deadline_of_the_run_is_28() {
    let served = Server::new(limits()).serve(|clients| {
        clients.test.context.shutdown.trigger(ShutdownReason::Deadline);
    });
    assert_eq!(served.code(), ExitCode::Timeout);
}

/// Serves until the server resets the connection.
struct Stubborn;

impl Service for Stubborn {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        connection.write_all(b"x")?;
        while !connection.stream.handle.closed_locally() {
            thread::sleep(Duration::from_millis(1));
        }
        Err(Failure::receive("peer", io::ErrorKind::ConnectionReset.into(), 1))
    }
}

#[test]
fn connection_that_outlives_the_grace_is_reset() {
    let limits = ServerLimits { grace: Duration::from_millis(10), ..limits() };
    let served = Server::new(limits).with_service(Stubborn).serve(|clients| {
        let mut stream = clients.connect();
        stream.read_exact(&mut [0]).unwrap();
        clients.test.context.shutdown.trigger(ShutdownReason::Terminate);
        assert!(!is_closed(stream), "reset");
    });
    assert_eq!(served.result.unwrap(), ExitCode::Terminated);
    assert!(served.events.contains("1 connection was reset at shutdown"), "{}", served.events);
}

/// Resets its first connection at the shutdown of the run, and no other one.
struct ResetsFirst(Shutdown);

impl Service for ResetsFirst {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        if connection.conn > 1 {
            return Stubborn.serve(connection);
        }
        connection.write_all(b"x")?;
        let reason = self.0.sleep(TIMEOUT).unwrap_err();
        Err(Failure::shutdown(Phase::Receive, "peer", reason))
    }
}

#[test]
fn every_reset_at_shutdown_is_counted() {
    let server = Server::new(ServerLimits { grace: Duration::from_millis(100), ..limits() });
    let service = ResetsFirst(server.run.context.shutdown.clone());
    let served = server.with_service(service).serve(|clients| {
        let mut streams = [clients.connect(), clients.connect(), clients.connect()];
        streams.iter_mut().for_each(|stream| stream.read_exact(&mut [0]).unwrap());
        clients.test.context.shutdown.trigger(ShutdownReason::Terminate);
        streams.into_iter().for_each(wait_for_close);
    });
    assert_eq!(served.result.unwrap(), ExitCode::Terminated);
    let expected = "3 connections were reset at shutdown";
    assert!(served.events.contains(expected), "{}", served.events);
}

#[test]
fn denied_and_surplus_clients_are_rejected() {
    let deny = |rule: &str| AccessRules::parse(&[], &[rule.into()], None).unwrap();
    let accept_timeout = Some(Duration::from_millis(100));
    let denied = ServerLimits { rules: deny("127.0.0.0/8"), accept_timeout, ..limits() };
    let served = Server::new(denied).serve(|clients| wait_for_close(clients.connect()));
    assert!(served.events.contains("denied by rule"), "{}", served.events);
    let one = ServerLimits { max_conns_per_ip: Some(1), max_accepts: Some(2), ..limits() };
    let served = Server::new(one).serve(|clients| {
        let first = clients.served();
        wait_for_close(clients.connect());
        drop(first);
        clients.wait_for_event("\"closed\"");
        drop(clients.served());
    });
    assert!(served.events.contains("its address has reached the limit of 1"), "{}", served.events);
}

#[test]
fn surplus_connection_waits_in_the_backlog() {
    let limits = ServerLimits { max_conns: 1, max_accepts: Some(2), ..limits() };
    let served = Server::new(limits).serve(|clients| {
        let first = clients.served();
        let mut second = clients.connect();
        second.write_all(b"y").unwrap();
        second.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(second.read(&mut [0]).is_err(), "not served yet");
        drop(first);
        second.set_read_timeout(Some(TIMEOUT)).unwrap();
        second.read_exact(&mut [0]).unwrap();
    });
    assert_eq!(served.code(), ExitCode::Done);
}

/// A handshake that takes one byte, which must be `h`.
#[derive(Debug)]
struct OneByte;

impl Layer for OneByte {
    fn wrap(&self, mut stream: Stream, context: &HandshakeContext<'_>) -> Result<Stream, Failure> {
        let mut byte = [0];
        let read = stream.reader.read(&mut byte);
        context.log("one byte");
        match read {
            Ok(1) if byte == *b"h" => Ok(stream),
            _ => Err(Failure::new(Phase::Tls, &context.target, "not h".to_string())),
        }
    }
}

#[test]
fn only_completed_handshakes_count() {
    let server = Server::new(ServerLimits { max_accepts: Some(1), ..limits() });
    let served = server.with_layer(OneByte).serve(|clients| {
        let mut wrong = clients.connect();
        wrong.write_all(b"w").unwrap();
        wait_for_close(wrong);
        let mut right = clients.connect();
        right.write_all(b"h").unwrap();
        assert_eq!(ask(&mut right, b"hello").unwrap(), b"hello");
    });
    assert_eq!(served.result.unwrap(), ExitCode::Done);
    assert!(served.events.contains("not h"), "{}", served.events);
}

/// Panics, once it has read.
struct Broken;

impl Service for Broken {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        connection.read(&mut [0; 8])?;
        // Unlike panic!, without the message of the hook.
        std::panic::resume_unwind(Box::new("broken"))
    }
}

#[test]
fn panic_ends_its_own_connection_only() {
    let server = Server::new(ServerLimits { max_accepts: Some(2), ..limits() });
    let served = server.with_service(Broken).serve(|clients| {
        for _ in 0..2 {
            wait_for_close(clients.asking());
        }
    });
    assert_eq!(served.code(), ExitCode::Done);
    assert_eq!(served.events.matches("\"closed\"").count(), 2, "{}", served.events);
}

/// Returns a failure of its own.
struct Failing;

impl Service for Failing {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        connection.read(&mut [0; 8])?;
        Err(Failure::write_file("/full", io::Error::from_raw_os_error(libc::ENOSPC)))
    }
}

#[test]
fn local_failure_of_a_connection_is_printed_and_ended_by_us() {
    let server = Server::new(ServerLimits { max_accepts: Some(2), ..limits() });
    let served = server.with_service(Failing).serve(|clients| {
        for _ in 0..2 {
            wait_for_close(clients.asking());
        }
    });
    assert_eq!(served.code(), ExitCode::Done);
    assert_eq!(served.events.matches("\"/full\"").count(), 2, "{}", served.events);
    assert!(served.events.contains("\"ended_by\":\"us\""), "{}", served.events);
}

#[test]
fn client_that_speaks_tls_to_a_port_without_is_warned_about() {
    let server = Server::new(ServerLimits { max_accepts: Some(1), ..limits() });
    let served = server.serve(|clients| {
        let mut stream = clients.connect();
        ask(&mut stream, b"\x16\x03\x01\x02\x00\x01").unwrap();
    });
    assert!(served.events.contains("speaks TLS to a port without TLS"), "{}", served.events);
}
