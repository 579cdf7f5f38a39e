//! Lookups from a scripted name server on loopback, without a process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::resolve::resolve;
use super::{LookupOptions, QuestionList, VerifyOptions, run};
use crate::net::stdout::Stdout;
use crate::report::Verbosity;
use crate::report::event::lookup::{LookupSource, LookupStatus};
use crate::resolver::Family;
use crate::resolver::dns::RecordType;
use crate::shutdown::ShutdownReason;
use crate::test_run::TestRun;

const LONG: Duration = Duration::from_secs(20);
const A: u16 = 1;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const TXT: u16 = 16;

/// What the name server does about a question.
enum Reply {
    /// Sends these records of the name: type and data.
    Records(Vec<(u16, Vec<u8>)>),
    /// Sends this response code without a record.
    Code(u16),
    Silence,
}

/// The answer of the server to a question for records of this type.
fn zone(name: &str, kind: u16) -> Reply {
    let reverse = "2.0.192.in-addr.arpa";
    match (name.strip_suffix(reverse).unwrap_or(name), kind) {
        ("a.test", A) => Reply::Records(vec![(A, vec![192, 0, 2, 1])]),
        ("alias.test", A) => Reply::Records(vec![(CNAME, wire("a.test")), (A, vec![192, 0, 2, 1])]),
        ("a.test" | "alias.test" | "b.test" | "text.test", TXT) => {
            Reply::Records(vec![(TXT, b"\x04text".to_vec())])
        }
        ("b.test", A) => Reply::Records(vec![(A, vec![192, 0, 2, 99])]),
        ("busy.test", _) => Reply::Code(2),
        ("silent.test", _) => Reply::Silence,
        ("a.test" | "b.test" | "text.test", _) => Reply::Records(Vec::new()),
        ("1.", PTR) => Reply::Records(vec![(PTR, wire("b.test")), (PTR, wire("a.test"))]),
        ("2.", PTR) => Reply::Records(vec![(PTR, wire("b.test"))]),
        ("3.", PTR) => Reply::Records(vec![(PTR, wire("missing.test"))]),
        ("4.", PTR) => Reply::Records(vec![(PTR, wire("busy.test"))]),
        ("5.", PTR) => Reply::Records(vec![(PTR, wire("192.0.2.5"))]),
        ("6.", PTR) => Reply::Code(2),
        _ => Reply::Code(3),
    }
}

fn wire(name: &str) -> Vec<u8> {
    let labels =
        name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// The reply to `query`, a complete message; none for silence.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let (code, records) = match zone(&labels.join("."), kind) {
        Reply::Records(records) => (0, records),
        Reply::Code(code) => (code, Vec::new()),
        Reply::Silence => return None,
    };
    let mut message = query[..2].to_vec();
    for word in [0x8580 | code, 1, records.len() as u16, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    message.extend(&query[12..at + 5]);
    let mut owner = vec![0xc0, 12];
    for (kind, data) in records {
        message.extend(&owner);
        message.extend([&kind.to_be_bytes()[..], b"\0\x01\0\0\0\x3c"].concat());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(&data);
        if kind == CNAME {
            owner = data;
        }
    }
    Some(message)
}

/// Starts a name server for UDP and TCP.
fn name_server() -> SocketAddr {
    let (tcp, udp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            break (tcp, udp);
        }
    };
    let local = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((n, peer)) = udp.recv_from(&mut buffer) {
            let reply = reply(&buffer[..n]);
            drop(reply.map(|reply| udp.send_to(&reply, peer)));
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            let reply = reply(&query).unwrap_or_default();
            drop(stream.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat()));
        }
    });
    local
}

/// Options that query a name server of the test.
fn options() -> LookupOptions {
    LookupOptions { source: LookupSource::Dns, server: Some(name_server()), ..system() }
}

/// Options that query the system.
fn system() -> LookupOptions {
    LookupOptions {
        family: Family::V4,
        source: LookupSource::System,
        server: None,
        record_type: None,
        tcp: false,
        all: false,
        verify: None,
        timeout: Some(LONG),
        max_jobs: 4,
    }
}

fn ask(options: &LookupOptions, question: &str) -> Answer {
    resolve(options, question, Some(Instant::now() + LONG))
}

/// The status, the code and the rows of an answer.
fn seen(answer: &Answer) -> (LookupStatus, u8, String) {
    let rows: Vec<String> = answer.result.rows().iter().map(|row| row.join(" ")).collect();
    (answer.result.status, answer.result.code, rows.join("\n"))
}

#[test]
fn name_server_answers_are_told_apart() {
    let mut options = options();
    for tcp in [false, true] {
        options.tcp = tcp;
        for (question, status, code, rows) in [
            ("a.test", LookupStatus::Ok, 0, "192.0.2.1"),
            ("alias.test", LookupStatus::Ok, 0, "192.0.2.1"),
            ("a.test:80", LookupStatus::Ok, 0, "192.0.2.1:80"),
            ("192.0.2.1", LookupStatus::Ok, 0, "b.test\na.test"),
            ("missing.test", LookupStatus::NxDomain, 6, ""),
            ("192.0.2.7", LookupStatus::NxDomain, 6, ""),
            ("text.test", LookupStatus::NoData, 6, ""),
            ("busy.test", LookupStatus::Failing, 75, ""),
            ("x y", LookupStatus::Malformed, 2, ""),
            ("localhost", LookupStatus::Ok, 0, "127.0.0.1"),
            ("127.1", LookupStatus::Ok, 0, "127.0.0.1"),
            (":http", LookupStatus::Ok, 0, "http 80/tcp"),
        ] {
            assert_eq!(seen(&ask(&options, question)), (status, code, rows.into()), "{question}");
        }
    }
    options.family = Family::Any;
    assert_eq!(seen(&ask(&options, "a.test")).2, "192.0.2.1");
}

#[test]
fn silent_server_is_a_timeout() {
    let limit = Duration::from_millis(50);
    let options = LookupOptions { timeout: Some(limit), ..options() };
    let answer = resolve(&options, "silent.test", Some(Instant::now() + limit));
    assert_eq!(seen(&answer), (LookupStatus::Timeout, 28, String::new()));
}

#[test]
fn records_are_listed_by_type() {
    let mut options = options();
    options.record_type = RecordType::from_word("TXT");
    assert_eq!(seen(&ask(&options, "text.test")).2, "\"text\"");
    options.record_type = RecordType::from_word("A");
    assert_eq!(seen(&ask(&options, "alias.test")).2, "192.0.2.1");
    options.record_type = RecordType::from_word("PTR");
    assert_eq!(seen(&ask(&options, "192.0.2.2")).2, "b.test");
    (options.record_type, options.all) = (None, true);
    assert_eq!(seen(&ask(&options, "a.test")).2, "a.test 60 A 192.0.2.1");
    assert_eq!(seen(&ask(&options, "192.0.2.2")).2, "2.2.0.192.in-addr.arpa 60 PTR b.test");
}

#[test]
fn address_is_verified_by_its_names() {
    for check_all_names in [false, true] {
        let verify = Some(VerifyOptions { strict: true, check_all_names });
        let options = LookupOptions { verify, ..options() };
        for (question, status, code, text) in [
            ("192.0.2.1", LookupStatus::Validated, 0, "Validated hostname: a.test"),
            ("a.test", LookupStatus::Validated, 0, "Validated hostname: a.test"),
            ("192.0.2.2", LookupStatus::Mismatch, 1, "Got hostname b.test, but on forward"),
            ("192.0.2.3", LookupStatus::ForwardFailed, 1, "could not be forward-resolved"),
            ("192.0.2.5", LookupStatus::ForwardFailed, 1, "itself an address proves nothing"),
            ("192.0.2.7", LookupStatus::NoName, 1, "this may be normal"),
            ("192.0.2.4", LookupStatus::Failing, 75, ""),
            ("192.0.2.6", LookupStatus::Failing, 75, ""),
            ("missing.test", LookupStatus::NxDomain, 6, ""),
        ] {
            let answer = ask(&options, question);
            let (found, found_code, _) = seen(&answer);
            assert_eq!((found, found_code), (status, code), "{question}");
            let verdict = answer.result.verdict.unwrap_or_default();
            assert!(verdict.contains(text), "{question}: {verdict}");
        }
    }
}

#[test]
fn system_and_name_server_are_compared() {
    let mut options = LookupOptions { source: LookupSource::Both, ..options() };
    assert_eq!(seen(&ask(&options, "127.0.0.1")).0, LookupStatus::Differs);
    assert!(seen(&ask(&options, "localhost")).2.contains("127.0.0.1"));
    options.source = LookupSource::System;
    assert_eq!(seen(&ask(&options, "localhost")).2, "127.0.0.1");
    options.all = true;
    let tuples = seen(&ask(&options, "127.0.0.1")).2;
    assert!(tuples.contains("SOCK_STREAM"), "{tuples}");
}

/// Runs the lookups of `words` and of `file`; returns the exit code.
fn run_all(test: &TestRun, words: &[&str], file: Option<&str>) -> u8 {
    let file = file.map(|text| {
        std::fs::write(test.path("questions"), text).unwrap();
        test.path("questions")
    });
    let words = words.iter().map(|word| word.to_string()).collect();
    let questions = QuestionList { words, file, stdin: rustix::stdio::stdin() };
    let ended = run(&test.context, options(), questions, test.stdout);
    ended.unwrap_or_else(|failure| failure.code).number()
}

#[test]
fn answers_are_printed_in_order_with_the_worst_exit_code() {
    let test = TestRun::with_verbosity(Verbosity::Verbose);
    assert_eq!(run_all(&test, &["a.test"], None), 0);
    assert_eq!(test.output(), b"192.0.2.1\n");
    let test = TestRun::new();
    assert_eq!(run_all(&test, &["b.test", "busy.test"], Some("# all\na.test\nmissing.test\n")), 75);
    assert_eq!(test.output(), b"192.0.2.99\tb.test\n192.0.2.1\ta.test\n");
    let statuses = ["ok", "failing", "ok", "nxdomain"].map(|word| format!("\"status\":\"{word}\""));
    let found: Vec<_> = test.events().lines().map(str::to_string).collect();
    let resolved = found.iter().filter(|line| line.contains("\"milliseconds\""));
    for (line, status) in resolved.zip(statuses) {
        assert!(line.contains(&status), "{line}");
    }
}

#[test]
fn missing_file_shutdown_and_closed_stdout_end_the_run() {
    let test = TestRun::new();
    let ended = |file: &str, stdout| {
        let questions = QuestionList {
            words: vec!["a.test".into()],
            file: Some(file.into()),
            stdin: rustix::stdio::stdin(),
        };
        run(&test.context, options(), questions, stdout)
    };
    assert_eq!(ended("/no/such/file", test.stdout).unwrap_err().code.number(), 26);
    assert_eq!(ended("/", test.stdout).unwrap_err().code.number(), 26);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(ended("/dev/null", Stdout::of(writer)).unwrap().number(), 0);
    test.context.shutdown.trigger(ShutdownReason::Terminate);
    assert_eq!(ended("/dev/null", test.stdout).unwrap().number(), 143);
}
