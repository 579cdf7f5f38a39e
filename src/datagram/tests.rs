//! Server, client and ping on loopback sockets, without a process.

use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Socket, Type};

use super::client::ping::{PingOptions, ping};
use super::client::source::DatagramSource;
use super::client::targets::{PeerAddresses, Targets};
use super::client::{self, Replies, SendJob, TargetOptions};
use super::server::handler::Handler;
use super::server::options::DatagramServerOptions;
use super::server::print::{PayloadPrinter, PrintFormat};
use super::server::serve;
use super::{DatagramGroup, DatagramSocket, RecvBuffer, Transmit, bind, portable};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::endpoint::Endpoint;
use crate::net::listen::ListenOptions;
use crate::net::retry::RetryPolicy;
use crate::net::socket::SocketOptions;
use crate::net::socket_event::SocketEvent;
use crate::net::stdout::Stdout;
use crate::net::unix::{self, UnixAddress};
use crate::process::program::Program;
use crate::report::Verbosity;
use crate::report::hexdump::HexDump;
use crate::resolver::{Deadline, Family};
use crate::service::reply::ReplyScript;
use crate::shutdown::{Shutdown, ShutdownReason};
use crate::test_run::TestRun;

const LONG: Duration = Duration::from_secs(20);

fn options(handler: Handler) -> DatagramServerOptions {
    DatagramServerOptions {
        handler,
        recv_buffer: RecvBuffer::Grow,
        max_rate: 0,
        max_datagrams: None,
        accept_timeout: None,
        delay: Duration::ZERO,
        grace: Duration::ZERO,
        hex: None,
    }
}

fn limited(max_datagrams: u64, handler: Handler) -> DatagramServerOptions {
    DatagramServerOptions { max_datagrams: Some(max_datagrams), ..options(handler) }
}

fn listen(host: &str) -> ListenOptions<'static> {
    ListenOptions {
        host: host.into(),
        port: "0".into(),
        family: Family::V4,
        socket_options: SocketOptions::default(),
        deadline: Deadline::default(),
        emit: &|_| (),
    }
}

fn bound(host: &str) -> (Socket, SocketAddr) {
    let socket = bind::udp_socket("test", listen(host), None).unwrap();
    let mut local = socket.local_addr().unwrap().as_socket().unwrap();
    if local.ip().is_unspecified() {
        local.set_ip([127, 0, 0, 2].into());
    }
    (socket, local)
}

/// A client socket connected to `server`.
fn peer(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn exchange(socket: &UdpSocket, payload: &[u8]) -> Vec<u8> {
    socket.send(payload).unwrap();
    let mut buffer = vec![0; 70_000];
    let n = socket.recv(&mut buffer).unwrap();
    buffer.truncate(n);
    buffer
}

/// Ends a run whose test has failed.
struct EndOnPanic<'a>(&'a Shutdown);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.trigger(ShutdownReason::Terminate);
        }
    }
}

/// Serves on `host` while `exchanges` runs; returns the exit code.
fn served(
    test: &TestRun,
    host: &str,
    options: DatagramServerOptions,
    exchanges: impl FnOnce(SocketAddr) + Send,
) -> u8 {
    let (socket, local) = bound(host);
    let shutdown = &test.context.shutdown;
    thread::scope(|scope| {
        scope.spawn(move || {
            let _end = EndOnPanic(shutdown);
            exchanges(local);
        });
        code(serve(socket, options, &test.context, test.stdout))
    })
}

fn code(ended: Result<ExitCode, Failure>) -> u8 {
    ended.unwrap_or_else(|failure| failure.code).number()
}

#[test]
fn echo_returns_datagrams_of_every_size_from_the_address_they_were_sent_to() {
    for host in ["127.0.0.1", "0.0.0.0"] {
        let test = TestRun::with_verbosity(Verbosity::Verbose);
        let limited = limited(4, Handler::Echo);
        let ended = served(&test, host, limited, |server| {
            let socket = peer(server);
            for size in [0, 1, 8192, 65_507] {
                let payload = vec![7; size];
                assert!(exchange(&socket, &payload) == payload, "{size}");
            }
        });
        assert_eq!(ended, 0);
        let totals = "\"datagrams_in\":4,\"bytes_in\":73700,\"datagrams_out\":4";
        assert!(test.events().contains(totals), "{}", test.events());
    }
}

#[test]
fn burst_is_answered_completely() {
    let test = TestRun::new();
    let limited = limited(100, Handler::Echo);
    let ended = served(&test, "127.0.0.1", limited, |server| {
        let socket = peer(server);
        (0..100).for_each(|n| assert_eq!(socket.send(&[n; 100]).unwrap(), 100));
        let mut buffer = [0; 200];
        (0..100).for_each(|_| assert_eq!(socket.recv(&mut buffer).unwrap(), 100));
    });
    assert_eq!(ended, 0);
}

#[test]
fn reply_is_rendered_and_may_be_delayed() {
    for delay in [Duration::ZERO, Duration::from_millis(5)] {
        let test = TestRun::new();
        let handler = Handler::from_reply_script(ReplyScript::hello());
        let options = DatagramServerOptions { delay, ..limited(2, handler) };
        let ended = served(&test, "127.0.0.1", options, |server| {
            let socket = peer(server);
            assert_eq!(exchange(&socket, b"a\n"), b"Hello, a!\n");
            assert_eq!(exchange(&socket, b"b"), b"Hello, b!");
        });
        assert_eq!(ended, 0);
    }
}

#[test]
fn program_answers_and_a_failed_one_is_counted() {
    let test = TestRun::with_verbosity(Verbosity::Verbose);
    let script = "read line; [ $line = long ] && head -c 70000 /dev/zero || echo $line";
    let handler = Handler::Exec(Program::shell(script).unwrap());
    let ended = served(&test, "127.0.0.1", limited(2, handler), |server| {
        let socket = peer(server);
        socket.send(b"long\n").unwrap();
        assert_eq!(exchange(&socket, b"short\n"), b"short\n");
    });
    assert_eq!(ended, 0);
    let log = test.events();
    assert!(log.contains("more than 65507 bytes") && log.contains("\"failed\":1"), "{log}");
}

#[test]
fn payloads_are_printed_in_their_format() {
    for (format, printed) in
        [(PrintFormat::Bare, "ab"), (PrintFormat::Lines, "a\nb\n"), (PrintFormat::Hex, "|a|")]
    {
        let test = TestRun::new();
        let ended = served(
            &test,
            "127.0.0.1",
            limited(2, Handler::Print(PayloadPrinter::new(format))),
            |server| {
                let socket = peer(server);
                socket.send(b"a").unwrap();
                socket.send(b"b").unwrap();
            },
        );
        let text = String::from_utf8(test.output()).unwrap();
        assert!(ended == 0 && text.contains(printed), "{ended} {text:?}");
    }
}

#[test]
fn server_ends_at_its_timeout_at_shutdown_and_with_its_reader() {
    let test = TestRun::new();
    let accept_timeout = Some(Duration::from_millis(20));
    let timed = DatagramServerOptions { accept_timeout, ..options(Handler::Discard) };
    assert_eq!(served(&test, "127.0.0.1", timed, |_| ()), 28);
    for (reason, expected) in [(ShutdownReason::Terminate, 0), (ShutdownReason::Interrupt, 130)] {
        let test = TestRun::new();
        let delayed = DatagramServerOptions { delay: LONG, ..options(Handler::Echo) };
        let ended = served(&test, "127.0.0.1", delayed, |server| {
            let socket = peer(server);
            socket.send(b"late").unwrap();
            test.context.shutdown.trigger(reason);
            // The delayed reply is sent immediately.
            assert_eq!(socket.recv(&mut [0; 9]).unwrap(), 4);
        });
        assert_eq!(ended, expected);
    }
    let (reader, writer) = io::pipe().unwrap();
    let (socket, _) = bound("127.0.0.1");
    drop(reader);
    let printer = options(Handler::Print(PayloadPrinter::new(PrintFormat::Bare)));
    assert_eq!(code(serve(socket, printer, &TestRun::new().context, Stdout::of(writer))), 0);
}

#[test]
fn datagrams_without_a_reply_are_counted_by_reason() {
    let test = TestRun::with_verbosity(Verbosity::Verbose);
    let limits = DatagramServerOptions { max_rate: 1, ..limited(4, Handler::Echo) };
    let ended = served(&test, "127.0.0.1", limits, |server| {
        let socket = peer(server);
        (0..4).for_each(|_| assert_eq!(socket.send(b"x").unwrap(), 1));
        assert_eq!(socket.recv(&mut [0; 9]).unwrap(), 1);
    });
    assert_eq!(ended, 0);
    let log = test.events();
    assert!(log.contains("answered at most 1 times a second"), "{log}");
    assert!(!log.contains("\"rate\":0"), "{log}");
}

#[test]
fn icmp_error_for_a_reply_is_counted() {
    let test = TestRun::with_verbosity(Verbosity::Verbose);
    let delay = Duration::from_millis(5);
    let limits = DatagramServerOptions { delay, ..limited(3, Handler::Echo) };
    let ended = served(&test, "127.0.0.1", limits, |server| {
        peer(server).send(b"gone").unwrap();
        let socket = peer(server);
        // The reply to the first datagram is due before this one.
        exchange(&socket, b"a");
        exchange(&socket, b"b");
    });
    assert_eq!(ended, 0);
    assert!(test.events().contains("\"refused\":1"), "{}", test.events());
}

#[test]
fn unix_datagrams_are_answered_if_the_peer_has_a_name() {
    let test = TestRun::new();
    let (path, own) = (test.path("server"), test.path("client"));
    let name = UnixAddress::Path(path.clone());
    let unix::BoundSocket { socket, socket_file: _file } =
        unix::bind(&name, Type::DGRAM, 0o600, &|_| ()).unwrap();
    let limited = limited(2, Handler::Echo);
    thread::scope(|scope| {
        scope.spawn(|| {
            UnixDatagram::unbound().unwrap().send_to(b"unnamed", &path).unwrap();
            let socket = UnixDatagram::bind(&own).unwrap();
            socket.send_to(b"named", &path).unwrap();
            assert_eq!(socket.recv(&mut [0; 9]).unwrap(), 5);
        });
        assert_eq!(code(serve(socket, limited, &test.context, test.stdout)), 0);
    });
    assert!(test.events().contains("\"nowhere\":1"), "{}", test.events());
}

#[test]
fn multicast_group_is_joined_or_refused() {
    let refused = bind::udp_socket("test", listen("127.0.0.1"), Some("127.0.0.1")).unwrap_err();
    assert_eq!((refused.phase, refused.code), (Phase::Resolve, ExitCode::Usage));
    match bind::udp_socket("test", listen("127.0.0.1"), Some("239.255.77.1")) {
        Ok(socket) => drop(bind::local_address(&socket).unwrap()),
        // Without a multicast route and a multicast loopback device.
        Err(failure) => assert_eq!(failure.phase, Phase::Bind),
    }
}

fn target_options() -> TargetOptions {
    TargetOptions {
        family: Family::V4,
        source: None,
        retry: RetryPolicy::default(),
        broadcast: false,
        multicast_hops: None,
        socket: SocketOptions::default(),
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { host: address.ip().to_string(), port: address.port().to_string() }
}

/// A server that answers `count` datagrams with `replies` copies each.
fn echo(count: usize, replies: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 9000];
        for _ in 0..count {
            let (n, peer) = socket.recv_from(&mut buffer).unwrap();
            (0..replies).for_each(|_| assert_eq!(socket.send_to(&buffer[..n], peer).unwrap(), n));
        }
    });
    local
}

/// A socket that refuses datagrams, as it is connected to itself.
fn refusing() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(socket.local_addr().unwrap()).unwrap();
    socket
}

fn job(source: DatagramSource) -> SendJob {
    let replies = Replies::Print(Some(LONG));
    let (delay, input_timeout) = (Duration::ZERO, None);
    SendJob { source, delay, input_timeout, replies, raw: false, dump: None }
}

fn texts(texts: &[&str]) -> DatagramSource {
    let texts = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    DatagramSource::open(None, 1, texts, rustix::stdio::stdin()).unwrap()
}

fn send(test: &TestRun, to: SocketAddr, job: SendJob) -> Result<ExitCode, Failure> {
    let log = |_: SocketEvent| ();
    let targets = Targets::udp(&endpoint(to), target_options(), &test.context, &log)?;
    client::run(targets, job, &test.context, test.stdout)
}

#[test]
fn replies_are_printed_as_lines() {
    for verbosity in [Verbosity::Quiet, Verbosity::Verbose] {
        let test = TestRun::with_verbosity(verbosity);
        let dump = Some(HexDump::open(&test.path("hex"), &test.context.report).unwrap());
        let job = SendJob { dump, ..job(texts(&["a", "b\n"])) };
        assert_eq!(code(send(&test, echo(2, 1), job)), 0);
        assert_eq!(test.output(), b"a\nb\n");
        assert!(std::fs::read_to_string(test.path("hex")).unwrap().contains("|a|"));
    }
}

#[test]
fn lines_of_stdin_and_pieces_of_a_file_are_sent() {
    let test = TestRun::new();
    let (reader, mut writer) = io::pipe().unwrap();
    let reader: &'static OwnedFd = Box::leak(Box::new(reader.into()));
    let lines = DatagramSource::open(None, 1, Vec::new(), reader.as_fd()).unwrap();
    let server = echo(3, 1);
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(b"one\ntwo\r\n").unwrap();
            writer.write_all(b"three").unwrap();
        });
        assert_eq!(code(send(&test, server, job(lines))), 0);
    });
    assert_eq!(test.output(), b"one\ntwo\nthree\n");
    let test = TestRun::new();
    let path = test.path("input");
    std::fs::write(&path, "abcde").unwrap();
    let pieces = DatagramSource::open(Some(&path), 2, Vec::new(), rustix::stdio::stdin()).unwrap();
    assert_eq!(code(send(&test, echo(3, 1), SendJob { raw: true, ..job(pieces) })), 0);
    assert_eq!(test.output(), b"abcde");
}

#[test]
fn refused_datagram_fails_with_7_and_silence_does_not() {
    let test = TestRun::new();
    let refusing = refusing();
    assert_eq!(code(send(&test, refusing.local_addr().unwrap(), job(texts(&["a"])))), 7);
    let discard = SendJob { replies: Replies::Discard, ..job(texts(&["a"])) };
    assert_eq!(code(send(&test, echo(1, 0), discard)), 0);
    let replies = Replies::Print(Some(Duration::from_millis(5)));
    assert_eq!(code(send(&test, echo(1, 0), SendJob { replies, ..job(texts(&["a"])) })), 0);
    test.context.shutdown.trigger(ShutdownReason::Interrupt);
    assert_eq!(code(send(&test, echo(1, 0), job(texts(&["a"])))), 130);
}

#[test]
fn unanswered_datagrams_are_sent_to_the_next_attempt() {
    let test = TestRun::new();
    let retry = RetryPolicy { max_retries: 1, delay: Duration::ZERO };
    let options = TargetOptions { retry, ..target_options() };
    let to = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // The server starts when the client retries.
    let log = |event: SocketEvent| {
        if let SocketEvent::Retrying(..) = event {
            let socket = UdpSocket::bind(to).unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 9];
                let (n, peer) = socket.recv_from(&mut buffer).unwrap();
                socket.send_to(&buffer[..n], peer).unwrap();
            });
        }
    };
    let targets = Targets::udp(&endpoint(to), options, &test.context, &log).unwrap();
    let ended = client::run(targets, job(texts(&["again"])), &test.context, test.stdout);
    assert_eq!((code(ended), test.output()), (0, b"again\n".to_vec()));
}

#[test]
fn source_address_and_unix_peer_are_used() {
    let test = TestRun::new();
    let log = |_: SocketEvent| ();
    let source = Some("[::1]:0".parse().unwrap());
    let options = TargetOptions { source, ..target_options() };
    let failed = Targets::udp(&endpoint(echo(0, 0)), options, &test.context, &log).err().unwrap();
    assert_eq!(failed.phase, Phase::Bind);
    let source = Some("127.0.0.3:0".parse().unwrap());
    let options =
        TargetOptions { source, broadcast: true, multicast_hops: Some(1), ..target_options() };
    let targets = Targets::udp(&endpoint(echo(1, 1)), options, &test.context, &log).unwrap();
    let ended = client::run(targets, job(texts(&["a"])), &test.context, test.stdout);
    assert_eq!((code(ended), test.output()), (0, b"a\n".to_vec()));

    let path = test.path("server");
    let server = UnixDatagram::bind(&path).unwrap();
    let address = UnixAddress::Path(path);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 9];
            let (n, peer) = server.recv_from(&mut buffer).unwrap();
            server.send_to_addr(&buffer[..n], &peer).unwrap();
        });
        let addresses = PeerAddresses::Unix { peer: &address, local: None };
        let targets = Targets::new(addresses, RetryPolicy::default(), &test.context, &log);
        let ended = client::run(targets, job(texts(&["u"])), &test.context, test.stdout);
        assert_eq!((code(ended), test.output()), (0, b"a\nu\n".to_vec()));
    });
}

fn pinged(test: &TestRun, to: SocketAddr, reply_timeout: Duration) -> (u8, String) {
    let log = |_: SocketEvent| ();
    let targets = Targets::udp(&endpoint(to), target_options(), &test.context, &log).unwrap();
    let interval = Duration::from_millis(1);
    let options = PingOptions { count: 3, interval, reply_timeout: Some(reply_timeout), size: 64 };
    let ended = ping(targets, options, &test.context, test.stdout);
    (code(ended), String::from_utf8(test.output()).unwrap())
}

#[test]
fn ping_counts_replies_duplicates_and_losses() {
    let started = Instant::now();
    let (code, text) = pinged(&TestRun::with_verbosity(Verbosity::Verbose), echo(3, 2), LONG);
    assert!(code == 0 && text.contains("3 sent, 3 received"), "{code} {text}");
    assert!(started.elapsed() < LONG, "not waited for more than the replies");
    let (code, text) = pinged(&TestRun::new(), echo(3, 0), Duration::from_millis(5));
    assert!(code == 1 && text.contains("3 sent, 0 received"), "{code} {text}");
    let test = TestRun::new();
    let refusing = refusing();
    let to = refusing.local_addr().unwrap();
    let (code, _) = pinged(&test, to, Duration::from_millis(5));
    assert!(code == 1 && test.events().contains("Connection refused"), "{}", test.events());
}

#[test]
fn datagrams_are_moved_one_by_one_where_batches_are_not_supported() {
    let (socket, local) = bound("127.0.0.1");
    let test = TestRun::new();
    let (path, own) = (test.path("server"), test.path("client"));
    let unix = unix::bind(&UnixAddress::Path(path.clone()), Type::DGRAM, 0o600, &|_| ()).unwrap();
    let (client, named) = (peer(local), UnixDatagram::bind(own).unwrap());
    named.connect(path).unwrap();
    client.send(b"one").unwrap();
    named.send(b"one").unwrap();
    for socket in [socket, unix.socket] {
        let bound = DatagramSocket::for_server(socket, RecvBuffer::Keep, &test.context).unwrap();
        let (socket, mut batch) = (&bound.socket, bound.new_batch());
        assert_eq!(portable::receive(socket, &mut batch).unwrap(), 1);
        for DatagramGroup { meta, bytes, .. } in batch.groups() {
            let replies = [Transmit::reply(meta, bytes), Transmit::reply(meta, &b""[..])];
            assert_eq!(portable::send(socket, &replies).unwrap(), 1);
            assert_eq!(portable::send(socket, &replies[1..]).unwrap(), 1);
        }
        let empty = portable::receive(socket, &mut batch).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }
    let mut buffer = [0; 9];
    assert_eq!([client.recv(&mut buffer).unwrap(), client.recv(&mut buffer).unwrap()], [3, 0]);
    assert_eq!([named.recv(&mut buffer).unwrap(), named.recv(&mut buffer).unwrap()], [3, 0]);
}
