//! `resolve --server`: one name server, and every kind of malformed reply.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::nameserver::{
    A, AAAA, ANY, CNAME, OPT, PTR, Query, Reaction, Record, Reply, TSIG, TXT, name_server,
    silent_server, wire,
};
use crate::support::peer::{free_port, program};
use crate::support::sockit::{Run, sockit};

fn ask(server: SocketAddr, line: &str) -> Run {
    sockit("resolve --timeout 1").and(&format!("--server {server}")).and(line).run()
}

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_slice(&run.stdout).expect("one object on stdout")
}

fn answering(reply: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> SocketAddr {
    name_server(move |query: &Query| reply(query.reply()).into())
}

#[test]
fn addresses_of_both_families_come_from_the_server() {
    let server = name_server(|query| match query.kind() {
        A => query.reply().a([192, 0, 2, 1]).a([192, 0, 2, 2]).into(),
        AAAA => {
            query.reply().has(AAAA, &[0x20, 1, 13, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).into()
        }
        _ => Reaction::Ignore,
    });
    ask(server, "a.test").exits(0).prints("192.0.2.1\n192.0.2.2\n2001:db8::1\n").logs_nothing();
    ask(server, "-4 a.test").exits(0).prints("192.0.2.1\n192.0.2.2\n");
    ask(server, "--type aaaa a.test").exits(0).prints("2001:db8::1\n");
    let result = json(&ask(server, "--json a.test"));
    assert_eq!(result["name"], "a.test");
    assert_eq!(result["status"], "ok");
    assert_eq!(result["addresses"].as_array().map(Vec::len), Some(3));
    assert!(result["milliseconds"].is_number());
}

#[test]
fn names_and_aliases_are_followed() {
    let server = name_server(|query| match query.kind() {
        PTR => query.reply().has(PTR, &wire("b.test")).has(PTR, &wire("c.test")).into(),
        A => {
            query.reply().has(CNAME, &wire("b.test")).of(&wire("b.test"), A, &[192, 0, 2, 9]).into()
        }
        _ => query.reply().into(),
    });
    ask(server, "192.0.2.9").exits(0).prints("b.test\nc.test\n");
    ask(server, "--type PTR 192.0.2.9").exits(0).prints("b.test\nc.test\n");
    ask(server, "a.test").exits(0).prints("192.0.2.9\n");
    ask(server, "--type A --all a.test")
        .exits(0)
        .prints("a.test\t60\tCNAME\tb.test\nb.test\t60\tA\t192.0.2.9\n");
}

#[test]
fn service_parameters_have_their_registered_names() {
    let data = b"\0\x01\0\0\x01\0\x03\x02h2\0\x02\0\0\0\x03\0\x02\x01\xbb";
    let server = answering(|reply| reply.has(65, data));
    let run = ask(server, "--type HTTPS a.test");
    run.exits(0).prints("1 . alpn=h2 no-default-alpn port=443\n");
}

#[test]
fn nxdomain_and_nodata_are_distinguished() {
    let no_name = answering(|reply| reply.code(3));
    ask(no_name, "--type A a.test").exits(6).prints("").fails_at("resolve").logs("NXDOMAIN");
    assert_eq!(json(&ask(no_name, "--json a.test"))["status"], "nxdomain");
    let no_data = answering(|reply| reply);
    ask(no_data, "--type A a.test").exits(6).prints("").fails_at("resolve").logs("NODATA");
    assert_eq!(json(&ask(no_data, "--json a.test"))["status"], "nodata");
}

#[test]
fn referral_exits_75() {
    let server = answering(|reply| {
        let mut reply = reply.of(&wire("test"), 2, &wire("ns.test"));
        (reply.flags, reply.counts) = (0x8100, [1, 0, 1, 0]);
        reply
    });
    ask(server, "a.test")
        .exits(75)
        .prints("")
        .fails_at("resolve")
        .logs("only refers to other servers");
    ask(server, "--type MX a.test").exits(75).logs("only refers to other servers");
    assert_eq!(json(&ask(server, "--json a.test"))["status"], "failing");
}

#[test]
fn error_names_the_question_of_the_user() {
    let no_data = answering(|reply| reply);
    let run = ask(no_data, "a.test");
    run.exits(6).logs("sockit: resolve a.test: the name exists, without A or AAAA records");
    ask(no_data, "-6 a.test").exits(6).logs("without AAAA records");
    let servers = [(answering(|reply| reply.code(2)), 75), (answering(|reply| reply.code(3)), 6)];
    for (server, code) in servers {
        for word in ["192.0.2.1", "[2001:db8::1]", "bücher.test"] {
            let run = ask(server, word);
            run.exits(code).logs(&format!("sockit: resolve {word}: "));
            let run = ask(server, &format!("--json {word}"));
            assert_eq!(run.exits(code).events_named("error")[0]["target"], word);
        }
    }
    let run = ask(silent_server(), "192.0.2.1");
    run.exits(28).logs("sockit: resolve 192.0.2.1: timed out");
}

#[test]
fn verify_with_a_family_accepts_addresses_of_the_other() {
    let server = name_server(|query| match query.kind() {
        PTR => query.reply().has(PTR, &wire("b.test")).into(),
        A => query.reply().a([192, 0, 2, 9]).into(),
        _ => query.reply().into(),
    });
    for flags in ["", "-4", "-6"] {
        let run = ask(server, &format!("--verify {flags} 192.0.2.9"));
        run.exits(0).prints("Validated hostname: b.test\n");
    }
}

#[test]
fn verify_needs_only_the_family_of_the_address() {
    for (failing, code) in [(AAAA, 0), (A, 75)] {
        let server = name_server(move |query| match query.kind() {
            PTR => query.reply().has(PTR, &wire("b.test")).into(),
            kind if kind == failing => query.reply().code(2).into(),
            A => query.reply().a([192, 0, 2, 9]).into(),
            _ => query.reply().into(),
        });
        ask(server, "--verify 192.0.2.9").exits(code);
    }
}

#[test]
fn name_with_a_space_is_not_looked_up() {
    let server = name_server(|query| match query.kind() {
        PTR => query.reply().has(PTR, b"\x07no host\x04test\0").into(),
        _ => query.reply().into(),
    });
    let run = ask(server, "--verify 192.0.2.9");
    run.exits(1);
    let text = run.text();
    assert!(text.contains("could not be forward-resolved: the name contains a space"), "{text}");
    let server = name_server(|query| query.reply().has(PTR, &wire("192.0.2.9")).into());
    let run = ask(server, "--verify 192.0.2.9");
    assert!(run.exits(1).text().contains("a name that is itself an address"), "{}", run.text());
}

#[test]
fn failing_or_refusing_server_exits_75() {
    for (code, word) in [(2, "SERVFAIL"), (5, "REFUSED"), (9, "NOTAUTH")] {
        let server = answering(move |reply| reply.code(code));
        ask(server, "a.test").exits(75).prints("").fails_at("resolve").logs(word);
        assert_eq!(json(&ask(server, "--json a.test"))["status"], "failing");
    }
    let closed: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    ask(closed, "a.test").exits(75).fails_at("resolve").logs("Connection refused");
    ask(closed, "--tcp a.test").exits(75).fails_at("resolve").logs("Connection refused");
}

#[test]
fn silent_server_exits_28_at_the_timeout() {
    let run = sockit(&format!("resolve --timeout 2 --server {} a.test", silent_server())).run();
    run.exits(28).prints("").fails_at("resolve").logs("timed out after 2s");
    assert!(run.took >= Duration::from_secs(2), "{:?}", run.took);
    let result = json(&ask(silent_server(), "--json a.test"));
    assert_eq!(result["status"], "timeout");
    assert_eq!(result["addresses"], serde_json::json!([]));
}

#[test]
fn thousands_of_addresses_are_printed() {
    let server = name_server(|query| {
        if query.tcp {
            (0..4000)
                .fold(query.reply(), |r, n| r.a([10, 9, (n / 250) as u8, (n % 250) as u8]))
                .into()
        } else {
            query.reply().code(0x200).into()
        }
    });
    let run = ask(server, "--type A a.test");
    run.exits(0);
    assert_eq!(run.text().lines().count(), 4000);
}

#[test]
fn lost_datagram_is_retransmitted() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let server = name_server(move |query| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reaction::Ignore,
        _ => query.reply().a([192, 0, 2, 1]).into(),
    });
    sockit(&format!("resolve --type A --server {server} a.test"))
        .run()
        .exits(0)
        .prints("192.0.2.1\n");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[test]
fn ids_and_ports_are_random() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let seen = ids.clone();
    let server = name_server(move |query| {
        seen.lock().unwrap().push(query.id());
        query.reply().a([192, 0, 2, 1]).into()
    });
    let names: Vec<String> = (0..8).map(|n| format!("n{n}.test")).collect();
    ask(server, &format!("--type A {}", names.join(" "))).exits(0);
    let mut ids = ids.lock().unwrap().clone();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() >= 7, "{ids:?}");
}

#[test]
fn truncated_reply_is_queried_over_tcp() {
    let server = name_server(|query| {
        if query.tcp {
            (1..=200).fold(query.reply(), |reply, n| reply.a([192, 0, 2, n])).into()
        } else {
            query.reply().code(0x200).into()
        }
    });
    let run = ask(server, "--type A a.test");
    run.exits(0);
    assert_eq!(run.text().lines().count(), 200);
    let direct = name_server(|query| {
        if query.tcp { query.reply().a([192, 0, 2, 1]).into() } else { Reaction::Ignore }
    });
    ask(direct, "--tcp --type A a.test").exits(0).prints("192.0.2.1\n");
}

#[test]
fn server_without_edns_gets_a_query_without_opt() {
    let server = name_server(|query| {
        if query.has_edns() {
            query.reply().code(1).into()
        } else {
            query.reply().a([192, 0, 2, 1]).into()
        }
    });
    ask(server, "--type A a.test").exits(0).prints("192.0.2.1\n");
}

/// Asserts that the reply of a server is rejected with this message.
fn rejected(server: SocketAddr, words: &str) {
    ask(server, "--type A a.test").exits(8).prints("").fails_at("resolve").logs(words);
    assert_eq!(json(&ask(server, "--type A --json a.test"))["status"], "invalid");
}

#[test]
fn malformed_message_has_its_own_error() {
    let good = |reply: Reply| reply.a([192, 0, 2, 66]);
    rejected(name_server(|query| Reaction::Send(vec![query.bytes[..7].to_vec()])), "too short");
    rejected(name_server(|_| Reaction::Send(vec![Vec::new()])), "ignored 1 with a wrong id");
    rejected(answering(move |r| Reply { flags: 0x0100, ..good(r) }), "QR clear");
    rejected(answering(move |r| Reply { flags: 0xa180, ..good(r) }), "opcode 4");
    rejected(answering(move |r| Reply { counts: [2, 1, 0, 0], ..good(r) }), "2 questions");
    rejected(answering(move |r| good(r).code(3)), "NXDOMAIN and has records");
}

#[test]
fn malformed_records_have_their_own_errors() {
    let good = |reply: Reply| reply.a([192, 0, 2, 66]);
    rejected(answering(|r| r.of(b"\xc0\x18", A, &[1, 2, 3, 4])), "compression loop");
    rejected(answering(|r| r.of(b"\xc1\x00", A, &[1, 2, 3, 4])), "compression loop");
    rejected(answering(|r| r.of(b"\x80", A, &[1, 2, 3, 4])), "label");
    rejected(
        answering(move |r| Reply { counts: [1, 5, 0, 0], ..good(r) }),
        "answer section has 1 of 5 records",
    );
    rejected(
        answering(move |r| Reply { counts: [1, 1, 3, 0], ..good(r) }),
        "authority section has 0 of 3 records",
    );
    rejected(
        answering(move |r| Reply { counts: [1, 0, 0, 0], ..good(r) }),
        "follow the last record",
    );
    rejected(
        answering(move |r| good(r).a([1, 2, 3, 4]).has(A, &[1, 2, 3])),
        "record 3 in the answer",
    );
    rejected(
        answering(move |r| {
            let mut reply = good(r);
            let cut = reply.records.len() - 2;
            reply.records.truncate(cut);
            reply
        }),
        "is truncated",
    );
    rejected(answering(|r| r.of(&wire("b.test"), A, &[1, 2, 3, 4])), "no A record of the name");
    rejected(
        answering(|r| r.has(CNAME, &wire("b.test")).of(&wire("b.test"), CNAME, b"\xc0\x0c")),
        "form a loop or are too many",
    );
}

#[test]
fn misplaced_records_have_their_own_errors() {
    let good = |reply: Reply| reply.a([192, 0, 2, 66]);
    let tsig = |reply: Reply, section| {
        reply.in_section(section, Record { owner: &wire("key"), kind: TSIG, data: &[0; 16] })
    };
    let misplaced = |kind, section| format!("misplaced {kind} record in the {section} section");
    rejected(answering(move |r| good(r).opt(1, b"")), &misplaced("OPT", "answer"));
    rejected(answering(move |r| good(r).opt(2, b"")), &misplaced("OPT", "authority"));
    rejected(answering(move |r| tsig(good(r), 1)), &misplaced("TSIG", "answer"));
    rejected(answering(move |r| tsig(good(r), 2)), &misplaced("TSIG", "authority"));
    rejected(answering(move |r| tsig(good(r), 3).opt(3, b"")), &misplaced("TSIG", "additional"));
    rejected(
        answering(move |r| good(r).in_section(1, Record { owner: b"\0", kind: ANY, data: b"" })),
        &misplaced("ANY", "answer"),
    );
    let chaos = [&wire("a.test")[..], &[0, 1, 0, 3, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4]].concat();
    rejected(
        answering(move |mut r| {
            (r.counts[1], r.records) = (1, chaos.clone());
            r
        }),
        "record 1 in the answer section: its class is CH",
    );
    // An error response is checked too.
    rejected(answering(|r| r.code(2).opt(1, b"")), &misplaced("OPT", "answer"));
    let two = |reply: Reply| reply.has(CNAME, &wire("b.test")).has(CNAME, &wire("c.test"));
    rejected(answering(two), "two aliases (CNAME) of a.test");
    rejected(
        answering(move |r| two(r).of(&wire("b.test"), A, &[1, 2, 3, 4])),
        "two aliases (CNAME)",
    );
    let server = answering(move |r| tsig(good(r).opt(3, b""), 3));
    ask(server, "--type A a.test").exits(0).prints("192.0.2.66\n").logs_nothing();
}

#[test]
fn malformed_edns_has_its_own_errors() {
    let good = |reply: Reply| reply.a([192, 0, 2, 66]);
    rejected(answering(move |r| good(r).opt(3, b"").opt(3, b"")), "two OPT records");
    let owned =
        move |r| good(r).in_section(3, Record { owner: &wire("a.test"), kind: OPT, data: b"" });
    rejected(answering(owned), "the OPT record has an owner name");
    let options: [&[u8]; 4] = [&[0], &[0, 3, 0], &[0, 3, 0, 5, 1, 2], &[0, 15, 0, 1, 0]];
    for option in options {
        rejected(answering(move |r| good(r).opt(3, option)), "an option is truncated");
    }
    let server = answering(move |r| good(r).opt(3, &[0, 3, 0, 2, 1, 2, 0, 12, 0, 0]));
    ask(server, "--type A a.test").exits(0).prints("192.0.2.66\n").logs_nothing();
}

#[test]
fn extended_errors_are_printed() {
    let server = answering(|reply| reply.code(2).explained(6, "no\x1b[2J signature"));
    let run = ask(server, "--type A a.test");
    run.exits(75).prints("").fails_at("resolve");
    run.logs("answered SERVFAIL: DNSSEC Bogus (EDE 6): no").never_logs("\x1b");
    let server = answering(|reply| reply.code(3).explained(17, ""));
    ask(server, "--type A a.test").exits(6).logs("(NXDOMAIN): Filtered (EDE 17)");
    let cause = &json(&ask(server, "--json --type A a.test"))["cause"];
    assert_eq!(cause, "no such name (NXDOMAIN): Filtered (EDE 17)");
    ask(answering(|reply| reply.explained(15, "policy")), "a.test")
        .exits(6)
        .logs("without A or AAAA records (NODATA): Blocked (EDE 15): policy");
    let run = ask(answering(|r| r.a([192, 0, 2, 1]).explained(3, "")), "--type A a.test");
    run.exits(0).prints("192.0.2.1\n").logs("warning: a.test A: answer of ");
    run.logs(": Stale Answer (EDE 3)");
    let server = answering(|r| r.a([192, 0, 2, 1]).explained(49152, &"x".repeat(400)));
    let run = ask(server, "--type A a.test");
    run.exits(0).logs("unknown extended error (EDE 49152): xxx").never_logs(&"x".repeat(257));
}

#[test]
fn all_of_an_address_prints_full_ptr_records() {
    let server = answering(|reply| reply.has(PTR, &wire("b.test")).has(PTR, &wire("c.test")));
    let owner = "9.2.0.192.in-addr.arpa\t60\tPTR";
    let run = ask(server, "--all 192.0.2.9");
    run.exits(0).prints(format!("{owner}\tb.test\n{owner}\tc.test\n"));
    let answer = json(&ask(server, "--all --json 192.0.2.9"));
    assert_eq!(answer["names"], serde_json::json!(["b.test", "c.test"]));
    assert_eq!(answer["records"][0]["type"], "PTR");
}

#[test]
fn names_under_localhost_are_not_queried() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let server = name_server(move |query| {
        count.fetch_add(1, Ordering::SeqCst);
        query.reply().a([192, 0, 2, 66]).into()
    });
    ask(server, "A.LocalHost").exits(0).prints("127.0.0.1\n::1\n").logs_nothing();
    ask(server, "-4 a.b.localhost.").exits(0).prints("127.0.0.1\n");
    ask(server, "--type AAAA localhost").exits(0).prints("::1\n");
    ask(server, "--type MX a.localhost").exits(6).prints("").logs("NODATA");
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    ask(server, "-4 localhost.test").exits(0).prints("192.0.2.66\n");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn mismatched_replies_are_ignored() {
    let server = name_server(|query| {
        let forged = query.reply().a([192, 0, 2, 66]);
        let wrong_id = Reply { id: query.id() ^ 1, ..forged.clone() };
        let wrong_name =
            Reply { question: [&wire("b.test")[..], &[0, 1, 0, 1]].concat(), ..forged.clone() };
        let valid = query.reply().a([192, 0, 2, 1]);
        let short = wrong_id.bytes()[..4].to_vec();
        let then = vec![short, wrong_id.bytes(), wrong_name.bytes(), valid.bytes()];
        Reaction::SendFromOtherPort(forged.bytes(), then)
    });
    let run = ask(server, "--type A -v a.test");
    run.exits(0).prints("192.0.2.1\n");
    run.logs("ignored 1 with a wrong source address, 2 with a wrong id, 1 with another question");
    run.logs("over UDP: a.test A: 1 records");
}

#[test]
fn mismatched_replies_alone_are_reported_at_the_timeout() {
    let forged = |query: &Query| query.reply().a([192, 0, 2, 66]);
    let wrong_id = name_server(move |query| Reply { id: !query.id(), ..forged(query) }.into());
    rejected(wrong_id, "with a wrong id");
    let wrong_name = name_server(move |query| {
        Reply { question: [&wire("b.test")[..], &[0, 1, 0, 1]].concat(), ..forged(query) }.into()
    });
    rejected(wrong_name, "with another question");
    let wrong_source =
        name_server(move |query| Reaction::SendFromOtherPort(forged(query).bytes(), Vec::new()));
    rejected(wrong_source, "with a wrong source address");
}

#[test]
fn malformed_reply_over_tcp_fails_immediately() {
    let over_tcp = |server, words: &str| {
        let run = ask(server, "--tcp --type A a.test");
        run.exits(8).prints("").fails_at("resolve").logs(words);
    };
    over_tcp(name_server(|_| Reaction::Ignore), "after 0 of 2 bytes");
    over_tcp(name_server(|_| Reaction::SendRaw(vec![0, 40, 1, 2, 3])), "after 3 of 40 bytes");
    over_tcp(name_server(|_| Reaction::SendRaw(vec![0, 3, 1, 2, 3])), "too short");
    over_tcp(answering(|r| r.code(0x200)), "truncated (TC) over TCP");
    over_tcp(answering(|r| Reply { id: !r.id, ..r }), "wrong id");
    over_tcp(answering(|r| Reply { question: vec![0, 0, 1, 0, 1], ..r }), "another question");
}

#[test]
fn control_characters_in_names_are_escaped() {
    let server = name_server(|query| match query.kind() {
        PTR => query.reply().has(PTR, b"\x07\x1b[31m\n\x07\x04test\x00").into(),
        TXT => query.reply().has(TXT, b"\x04a\x1b\xff\"").into(),
        _ => query.reply().code(3).into(),
    });
    let run = ask(server, "192.0.2.1");
    run.exits(0).prints("\\027[31m\\010\\007.test\n");
    ask(server, "--type TXT a.test").exits(0).prints("\"a\\027\\255\\\"\"\n");
    let verdict = ask(server, "--verify 192.0.2.1");
    verdict.exits(1);
    assert!(
        verdict.text().starts_with("Got hostname \\027[31m\\010\\007.test, but it could not be")
    );
    assert!(!ask(server, "--json 192.0.2.1").text().contains('\x1b'));
}

#[test]
fn every_type_is_printed_as_by_dig() {
    let (Some(dnsmasq), Some(_)) = (program("dnsmasq"), program("dig")) else { return };
    let Some(server) = Dnsmasq::start(dnsmasq) else { return };
    let unnamed = ["TYPE65280", "TYPE65281", "TYPE1"];
    let named = "A AAAA MX TXT CAA SRV CNAME PTR TLSA DS SSHFP DNSKEY NAPTR".split(' ');
    for question in named.chain(unnamed) {
        let name = match question {
            "SRV" => "_sip._tcp.test",
            "CNAME" => "alias.test",
            "PTR" => "1.1.1.10.in-addr.arpa",
            _ => "good.test",
        };
        let run = ask(server.addr, &format!("--type {question} {name}"));
        let dig = program("dig").expect("dig is here").args(server.dig(question, name)).output();
        let dig = String::from_utf8_lossy(&dig.expect("dig runs").stdout).into_owned();
        let plain = |text: &str| {
            let mut lines: Vec<String> =
                text.lines().map(|line| line.trim_end_matches('.').to_string()).collect();
            lines.sort();
            lines
        };
        run.exits(0);
        assert_eq!(plain(&run.text()), plain(&dig), "{question}");
    }
}

/// A real name server on a high port, for as long as this value lives.
struct Dnsmasq {
    child: std::process::Child,
    addr: SocketAddr,
}

impl Dnsmasq {
    fn start(mut command: Command) -> Option<Dnsmasq> {
        let port = free_port();
        command.args(["--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces"]);
        command.args(["--conf-file=/dev/null", "--pid-file=", "--listen-address=127.0.0.1"]);
        command.args(["--local=/test/", "--local=/in-addr.arpa/"]);
        command
            .args(["--host-record=good.test,10.1.1.1,2001:db8::1", "--cname=alias.test,good.test"]);
        command.args(["--mx-host=good.test,mail.test,10", "--txt-record=good.test,two words,more"]);
        command.args([
            "--srv-host=_sip._tcp.test,good.test,5060",
            "--caa-record=good.test,0,issue,ca",
        ]);
        let records = [
            ("TLSA", 52, "03010100112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
            ("DS", 43, "30390d0200112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
            ("SSHFP", 44, "0402aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899"),
            ("DNSKEY", 48, "0101030da0b1c2d3e4f5a0b1c2d3e4f5a0b1c2d3e4f5a0b1c2d3e4f5a0b1c2d3e4f5"),
            ("TYPE65280", 65280, "c0000201ff"),
            ("TYPE65281", 65281, ""),
        ];
        for (_, number, data) in records {
            command.arg(format!("--dns-rr=good.test,{number},{data}"));
        }
        command.arg("--naptr-record=good.test,10,100,S,SIP+D2U,,_sip._udp.test");
        command.arg(format!("--port={port}"));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let child = command.spawn().ok()?;
        crate::support::peer::wait_for_listener(port);
        Some(Dnsmasq { child, addr: ([127, 0, 0, 1], port).into() })
    }

    fn dig(&self, kind: &str, name: &str) -> Vec<String> {
        let port = self.addr.port().to_string();
        ["+short", "+nosplit", "-p", &port, "@127.0.0.1", name, kind].map(str::to_string).to_vec()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
