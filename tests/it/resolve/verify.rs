//! `resolve` with the system's resolver, in a namespace with its own name server and hosts file.

use std::time::Duration;

use crate::support::namespace::Namespace;
use crate::support::peer::program;
use crate::support::sockit::{Run, sockit};

/// The names and addresses of dnsmasq.
const ZONE: &[&str] = &[
    "--host-record=good.test,10.1.1.1",
    "--host-record=six.test,2001:db8::1",
    "--ptr-record=2.1.1.10.in-addr.arpa,lost.test",
    "--ptr-record=3.1.1.10.in-addr.arpa,good.test",
    "--ptr-record=6.1.1.10.in-addr.arpa,10.1.1.6",
    "--address=/five.test/10.1.1.5",
    "--address=/hosts.test/10.1.1.8",
    "--cname=alias.test,good.test",
    "--host-record=xn--bcher-kva.test,10.1.1.4",
];

const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n10.1.1.7 stale.test\n10.2.2.7 stale.test\n\
                     10.1.1.9 hosts.test\n10.1.1.9 hosts.local.test\n";

/// An address with five names, of which only the one at `place` has this address.
fn five(place: usize) -> String {
    let name = |n| if n == place { "five.test".to_string() } else { format!("p{n}.test") };
    let ptr = |n| format!("--ptr-record=5.1.1.10.in-addr.arpa,{}", name(n));
    (0..5).map(ptr).collect::<Vec<_>>().join(" ")
}

/// A namespace whose resolver queries dnsmasq, with the zone and the options `more`.
///
/// dnsmasq stays in the foreground, since it cannot change its groups in a user namespace; the
/// script waits until port 53 is bound.
pub fn machine(more: &str) -> Option<Namespace> {
    program("dnsmasq")?;
    let how = "--no-daemon --conf-file=/dev/null --pid-file= --no-resolv --no-hosts";
    let zone = ZONE.join(" ");
    Some(bare().before(&format!(
        "mount -t proc proc /proc || exit 97
        dnsmasq {how} --local=/test/ --local=/ip6.arpa/ {zone} {more} >/dev/null 2>&1 &
        server=$!
        until grep -q :0035 /proc/net/udp; do kill -0 $server || exit 98; sleep 0.01; done"
    )))
}

/// A namespace with this hosts file and no name server.
pub fn bare() -> Namespace {
    Namespace::new()
        .etc("hosts", HOSTS)
        .nsswitch("hosts: files dns\nservices: files")
        .resolv("nameserver 127.0.0.1")
}

pub const REVERSE: &str = "--local=/in-addr.arpa/";

struct Row {
    asked: &'static str,
    text: &'static str,
    code: i32,
    status: &'static str,
}

const fn row(asked: &'static str, text: &'static str, code: i32, status: &'static str) -> Row {
    Row { asked, text, code, status }
}

const VERDICTS: &[Row] = &[
    row("10.1.1.1", "Validated hostname: good.test\n", 0, "validated"),
    row("::ffff:10.1.1.1", "Validated hostname: good.test\n", 0, "validated"),
    row("2001:db8::1", "Validated hostname: six.test\n", 0, "validated"),
    row("2001:DB8:0:0::1", "Validated hostname: six.test\n", 0, "validated"),
    row(
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        "Validated hostname: six.test\n",
        0,
        "validated",
    ),
    row("127.0.0.1", "Validated hostname: localhost\n", 0, "validated"),
    row("10.1.1.7", "Validated hostname: stale.test\n", 0, "validated"),
    row("10.1.1.5", "Validated hostname: five.test\n", 0, "validated"),
    row(
        "10.1.1.2",
        "Got hostname lost.test, but it could not be forward-resolved: Name or service not known\n",
        1,
        "forward-failed",
    ),
    row(
        "10.1.1.3",
        "Got hostname good.test, but on forward lookup, original IP 10.1.1.3 did not appear in IP \
         address list.\n",
        1,
        "mismatch",
    ),
    row(
        "10.1.1.6",
        "Got hostname 10.1.1.6, but it could not be forward-resolved: a name that is itself an \
         address proves nothing\n",
        1,
        "forward-failed",
    ),
    row("10.9.9.9", "No host names available for 10.9.9.9; this may be normal.\n", 0, "none"),
    row(
        "2001:db8::99",
        "No host names available for 2001:db8::99; this may be normal.\n",
        0,
        "none",
    ),
];

fn verdict(run: &Run) -> serde_json::Value {
    serde_json::from_slice(&run.stdout).expect("one object on stdout")
}

#[test]
fn verdict_has_its_text_code_and_json() {
    let Some(machine) = machine(&format!("{REVERSE} {}", five(2))) else { return };
    for row in VERDICTS {
        let Some(run) = machine.run(&format!("resolve --verify {}", row.asked)) else { return };
        run.exits(row.code).prints(row.text).logs_nothing();
        let Some(run) = machine.run(&format!("resolve --verify --json {}", row.asked)) else {
            return;
        };
        run.exits(row.code);
        let result = verdict(&run);
        assert_eq!((&result["name"], &result["status"]), (&row.asked.into(), &row.status.into()));
        assert_eq!(result["verdict"], row.text.trim_end());
    }
}

#[test]
fn one_confirmed_name_of_five_is_sufficient() {
    for place in [0, 4] {
        let Some(machine) = machine(&format!("{REVERSE} {}", five(place))) else { return };
        let Some(run) = machine.run("resolve --verify -v 10.1.1.5") else { return };
        run.exits(0).prints("Validated hostname: five.test\n").logs("five.test: confirmed");
        for n in (0..5).filter(|&n| n != place) {
            run.logs(&format!("p{n}.test: unresolved"));
        }
    }
}

#[test]
fn address_without_name_exits_1_with_strict() {
    let Some(machine) = machine(REVERSE) else { return };
    let Some(run) = machine.run("resolve --verify --strict 10.9.9.9") else { return };
    run.exits(1).prints("No host names available for 10.9.9.9; this may be normal.\n");
    let Some(run) = machine.run("resolve --verify --strict 10.1.1.1") else { return };
    run.exits(0);
    let Some(run) = machine.run("resolve 10.9.9.9") else { return };
    run.exits(6).prints("").fails_at("resolve");
}

#[test]
fn several_addresses_exit_with_the_worst_code() {
    let Some(machine) = machine(REVERSE) else { return };
    let Some(run) = machine.run("resolve --verify 10.1.1.1 10.1.1.2 10.9.9.9") else { return };
    run.exits(1);
    let text = run.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("Validated") && lines[1].starts_with("Got hostname lost.test"));
    assert!(lines[2].starts_with("No host names"));
}

#[test]
fn unreachable_server_exits_75() {
    let Some(run) = bare().run("resolve --verify 10.1.1.1") else { return };
    run.exits(75).prints("").fails_at("resolve");
    let Some(run) = bare().run("resolve --verify --json 10.1.1.1") else { return };
    assert_eq!(verdict(&run)["status"], "failing");
    let Some(run) = bare().run("resolve good.test") else { return };
    run.exits(75).prints("").logs("Temporary failure in name resolution");
}

#[test]
fn refusing_server_exits_75() {
    // Without a zone for in-addr.arpa and an upstream server, dnsmasq refuses.
    let Some(machine) = machine("") else { return };
    let Some(run) = machine.run("resolve --verify 10.9.9.9") else { return };
    run.exits(75).prints("").fails_at("resolve");
    let Some(run) = machine.run("resolve 10.9.9.9") else { return };
    run.exits(75).prints("").fails_at("resolve");
}

#[test]
fn silent_server_exits_28_at_the_timeout() {
    let Some(machine) = machine(REVERSE) else { return };
    let stopped = |line: &str| {
        let silent = "kill -STOP $server";
        let words = machine.words()?;
        let words =
            words.iter().map(|word| word.replace("exec \"$0\"", &format!("{silent}\nexec \"$0\"")));
        Some(sockit(line).under(words).run())
    };
    for line in ["resolve --timeout 2 good.test", "resolve --timeout 2 --verify 10.1.1.1"] {
        let Some(run) = stopped(line) else { return };
        run.exits(28).prints("").fails_at("resolve").logs("timed out after 2s");
        assert!(run.took >= Duration::from_secs(2), "{:?}", run.took);
    }
}

#[test]
fn via_both_compares_hosts_file_and_dns() {
    let Some(machine) = machine(REVERSE) else { return };
    let Some(run) = machine.run("resolve --via both hosts.test") else { return };
    run.exits(1).prints("system\t10.1.1.9\ndns\t10.1.1.8\n");
    let Some(run) = machine.run("resolve --via both --json hosts.test") else { return };
    assert_eq!(verdict(&run)["status"], "differs");
    let Some(run) = machine.run("resolve --via both good.test") else { return };
    run.exits(0).prints("both\t10.1.1.1\n");
    let Some(run) = machine.run("resolve --via both stale.test") else { return };
    run.exits(1).prints("system\t10.1.1.7\nsystem\t10.2.2.7\ndns\t-\n");
    let Some(run) = machine.run("resolve --via both --json stale.test") else { return };
    let missing = &verdict(&run)["views"][2];
    assert_eq!((&missing["via"], &missing["answer"]), (&"dns".into(), &serde_json::Value::Null));
    assert_eq!(missing["cause"], "no such name (NXDOMAIN)");
    assert_eq!(verdict(&run)["addresses"], serde_json::json!(["10.1.1.7", "10.2.2.7"]));
    let Some(run) = machine.run("resolve --via both 10.1.1.9") else { return };
    run.exits(1).prints("system\thosts.test\ndns\t-\n");
    // A failing source does not remove the answers of the other one.
    let Some(run) = bare().run("resolve --via both hosts.test") else { return };
    run.exits(75).prints("system\t10.1.1.9\ndns\t-\n").fails_at("resolve");
    let Some(run) = machine.run("resolve --via both nosuch.test") else { return };
    run.exits(6).prints("");
    let Some(run) = machine.run("resolve --via dns hosts.test") else { return };
    run.exits(0).prints("10.1.1.8\n");
    let Some(run) = machine.run("resolve hosts.test") else { return };
    run.exits(0).prints("10.1.1.9\n");
}

#[test]
fn dns_queries_apply_the_search_list() {
    let zone = "--address=/a.b.test/10.5.5.5 --address=/a.b/10.6.6.6 --address=/half/10.9.9.9 \
                --local=/b/ --mx-host=good.test,mail.test,1";
    let Some(machine) = machine(&format!("{REVERSE} {zone}")) else { return };
    let machine = machine.resolv("nameserver 127.0.0.1\nsearch nosuch.test test");
    let agreed = |machine: &Namespace, name: &str, address: &str| {
        let Some(run) = machine.run(&format!("resolve --via both {name}")) else { return };
        run.exits(0).prints(format!("both\t{address}\n"));
    };
    agreed(&machine, "good", "10.1.1.1");
    agreed(&machine, "a.b", "10.6.6.6");
    // dnsmasq refuses x.five, and the system tries x.five.test all the same.
    agreed(&machine, "x.five", "10.1.1.5");
    for (line, code, text) in [
        ("resolve --type A good", 0, "10.1.1.1\n"),
        ("resolve --type MX good", 0, "1 mail.test\n"),
        ("resolve --via dns good", 0, "10.1.1.1\n"),
        ("resolve --via dns --all -4 good", 0, "good.test\t0\tA\t10.1.1.1\n"),
        ("resolve --type A good.", 75, ""),
        ("resolve --server 127.0.0.1 --type A good", 75, ""),
        ("resolve --type TXT good", 75, ""),
        // The server has an A record and fails for AAAA; the search ends there.
        ("resolve --via dns good.half", 75, ""),
    ] {
        let Some(run) = machine.run(line) else { return };
        run.exits(code).prints(text);
        assert!(code == 0 || run.stderr.starts_with("sockit: resolve good"), "{run:?}");
    }
    let machine = machine.resolv("nameserver 127.0.0.1\nsearch test\noptions ndots:2");
    agreed(&machine, "a.b", "10.5.5.5");
    agreed(&machine, "a.b.test", "10.5.5.5");
}

#[test]
fn names_under_localhost_need_no_server() {
    let machine = bare().etc("hosts", "127.0.0.1 localhost\n10.1.1.9 mine.localhost");
    for (line, text) in [
        ("resolve a.localhost", "127.0.0.1\n::1\n"),
        ("resolve -6 localhost", "::1\n"),
        ("resolve mine.localhost", "10.1.1.9\n"),
        ("resolve --via dns a.localhost", "127.0.0.1\n::1\n"),
        ("resolve --via both a.localhost", "both\t127.0.0.1\nboth\t::1\n"),
        ("resolve --type A a.localhost", "127.0.0.1\n"),
    ] {
        let Some(run) = machine.run(line) else { return };
        run.exits(0).prints(text).logs_nothing();
    }
    let Some(run) = machine.run("resolve --all -4 a.localhost:80") else { return };
    let first = "AF_INET\tSOCK_STREAM\t6\ta.localhost\t('127.0.0.1', 80)";
    assert_eq!(run.exits(0).text().lines().next(), Some(first));
    let Some(run) = machine.run("resolve localhost.test") else { return };
    run.exits(75);
}

#[test]
fn nsswitch_without_dns_sends_no_query() {
    let alone = bare().nsswitch("hosts: files");
    let Some(run) = alone.run("resolve --verify 10.9.9.9") else { return };
    run.exits(0).prints("No host names available for 10.9.9.9; this may be normal.\n");
    let Some(run) = alone.run("resolve nosuch.test") else { return };
    run.exits(6);
}

#[test]
fn internationalized_name_is_found_in_both_forms() {
    let Some(machine) = machine(REVERSE) else { return };
    for form in ["bücher.test", "BÜCHER.test", "xn--bcher-kva.test"] {
        let Some(run) = machine.run(&format!("resolve {form}")) else { return };
        run.exits(0).prints("10.1.1.4\n");
    }
    let Some(run) = machine.run("resolve --via dns bücher.test") else { return };
    run.exits(0).prints("10.1.1.4\n");
}

#[test]
fn all_matches_python_getaddrinfo() {
    if program("python3").is_none() {
        return;
    }
    let Some(machine) = machine(REVERSE) else { return };
    let names = "localhost good.test six.test alias.test stale.test hosts.test 127.0.0.1 ::1 127.1 \
                 0x7f.1 2001:db8::1 fe80::1%lo";
    let python = "import socket,sys\nfor n in sys.argv[1:]:\n for f,t,p,c,a in \
                  socket.getaddrinfo(n,0,flags=socket.AI_CANONNAME):\n  \
                  print(f.name,t.name,p,c,a,n,sep='\\t')";
    let Some(words) = machine.words() else { return };
    let mut other = std::process::Command::new(&words[0]);
    other.args(&words[1..]).args(["python3", "-c", python]).args(names.split_whitespace());
    let other = other.output().expect("python runs");
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stderr));
    let Some(run) = machine.run(&format!("resolve --all {names}")) else { return };
    run.exits(0).prints(&other.stdout);
}

#[test]
fn thousand_names_in_one_run_are_answered_in_order() {
    let Some(machine) = machine("--address=/many.test/10.3.3.3") else { return };
    let Some(words) = machine.words() else { return };
    let list: String = (0..1000).map(|n| format!("n{n}.many.test\n")).collect();
    let run = sockit("resolve -f -").under(&words).stdin(&list).run();
    run.exits(0);
    let text = run.text();
    let order = text.lines().map(|line| line.split('\t').nth(1).unwrap_or_default());
    assert!(order.eq(list.lines()), "{text}");
}

#[test]
fn address_has_the_aliases_of_its_hosts_line() {
    let machine = bare().etc("hosts", "192.0.2.50 hosted.test alias.test\n192.0.2.50 later.test");
    let Some(run) = machine.run("resolve 192.0.2.50") else { return };
    run.exits(0).prints("hosted.test\nalias.test\n");
    let Some(run) = machine.run("resolve --verify 192.0.2.50") else { return };
    run.exits(0).prints("Validated hostname: hosted.test\n");
}

#[test]
fn hosts_line_without_a_name_is_no_name() {
    let machine = bare().nsswitch("hosts: files\n").etc("hosts", "192.0.2.50\n");
    let Some(run) = machine.run("resolve 192.0.2.50") else { return };
    run.exits(6).prints("").logs("the address has no name");
    let Some(run) = machine.run("resolve --verify 192.0.2.50") else { return };
    run.exits(0).prints("No host names available for 192.0.2.50; this may be normal.\n");
}
