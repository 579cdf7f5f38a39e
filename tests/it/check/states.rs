//! What a target's state is, in text, in JSON and in the exit code.

use std::net::TcpListener;
use std::time::Duration;

use super::{check, lines, listener, objects};
use crate::support::namespace::Namespace;
use crate::support::peer::{Refusing, Unanswering};
use crate::support::sockit::sockit;

#[test]
fn listening_port_is_open() {
    let (_listener, address) = listener();
    let run = check("", &[address]).run();
    run.exits(0).logs_nothing();
    assert_eq!(lines(&run), [format!("{address} open N ms")]);
}

#[test]
fn port_without_listener_is_refused() {
    let refusing = Refusing::new();
    let run = check("", &[refusing.addr()]).run();
    run.exits(7).logs_nothing().prints(format!("{} refused\n", refusing.addr()));
}

#[test]
fn full_backlog_is_a_timeout() {
    let silent = Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = check("--timeout 1s", &[silent.addr()]).run();
    run.exits(28).logs_nothing().prints(format!("{} timeout\n", silent.addr()));
}

#[test]
fn exit_code_is_that_of_the_first_target_that_is_not_open() {
    let (_listener, open) = listener();
    let (refusing, silent) = (Refusing::new(), Unanswering::on(([127, 0, 0, 1], 0).into()));
    let code = |targets: &[_]| check("--timeout 1s", targets).run().code;
    assert_eq!(code(&[open, refusing.addr(), silent.addr()]), 7);
    assert_eq!(code(&[silent.addr(), open, refusing.addr()]), 28);
    assert_eq!(check("--any --timeout 1s", &[silent.addr(), open]).run().code, 0);
    assert_eq!(check("--any", &[refusing.addr()]).run().code, 7);
}

/// A machine whose name server answers with this script, and knows no others.
fn machine(nameserver: &str) -> Namespace {
    let namespace = Namespace::new().nsswitch("hosts: files dns").resolv("nameserver 127.0.0.53");
    namespace.before(nameserver)
}

/// Answers every query with a response code: 2 is SERVFAIL, 3 NXDOMAIN.
fn answering(code: u8) -> String {
    format!(
        "python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((\"127.0.0.53\", 53))
print(flush=True)
while True:
    query, client = s.recvfrom(512)
    end = query.index(b\"\\0\", 12) + 5
    s.sendto(query[:2] + bytes([0x81, 0x80 | {code}, 0, 1, 0, 0, 0, 0, 0, 0]) + query[12:end], client)
' > ready & until [ -s ready ]; do sleep 0.01; done"
    )
}

#[test]
fn absent_name_and_failing_resolver_have_different_states() {
    if crate::support::peer::program("python3").is_none() {
        return;
    }
    for (rcode, line, status, code) in
        [(3, "no such name", "no-such-name", 6), (2, "resolver failed", "resolver-failed", 75)]
    {
        let folder = tempfile::tempdir().unwrap();
        let enter = format!("cd {}\n{}", folder.path().display(), answering(rcode));
        let Some(run) = machine(&enter).run("check db.example:80") else { return };
        run.exits(code).logs_nothing().prints(format!("db.example:80 {line}\n"));
        std::fs::remove_file(folder.path().join("ready")).unwrap();
        let Some(run) = machine(&enter).run("check --json db.example:80") else { return };
        let object = &objects(run.exits(code))[0];
        assert_eq!((&object["status"], &object["phase"]), (&status.into(), &"resolve".into()));
    }
}

/// A network of two ends without a machine: packets to 192.0.2.9 are lost, those to 198.51.100.1
/// have no route.
const LOSSY: &str = "ip link add end0 type veth peer name end1 && ip addr add 192.0.2.2/24 dev end0 \
                     && ip link set end0 up && ip link set end1 up \
                     && ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:01 dev end0 || exit 99";

#[test]
fn lost_packets_are_a_timeout_and_a_missing_route_is_unreachable() {
    let machine = Namespace::new().before(LOSSY);
    let line = "check --timeout 300ms 192.0.2.9:80 198.51.100.1:80 udp:192.0.2.9:80";
    let Some(run) = machine.run(line) else { return };
    run.exits(28)
        .logs_nothing()
        .prints("192.0.2.9:80 timeout\n198.51.100.1:80 unreachable\nudp:192.0.2.9:80 no answer\n");
    machine.run("check 198.51.100.1:80").expect("as before").exits(7);
}

#[test]
fn wait_for_lost_packets_ends_at_its_limit() {
    let machine = Namespace::new().before(LOSSY);
    let Some(run) = machine.run("check --wait 600ms 192.0.2.9:80") else { return };
    run.exits(28).logs("connect 192.0.2.9:80: not open after 600ms: timed out");
    assert!(run.took >= Duration::from_millis(600), "{:?}", run.took);
}

#[test]
fn wait_for_a_silent_name_server_ends_at_its_limit() {
    let silent = "\"$0\" udp-server -q --service discard --host 127.0.0.53 --port 53 &
                  until grep -q ' 3500007F:0035 ' /proc/net/udp; do sleep 0.01; done";
    let Some(run) = machine(silent).run("check --wait 600ms db.example:80") else { return };
    run.exits(28).logs("resolve db.example:80: not open after 600ms: timed out");
    assert!(run.took >= Duration::from_millis(600), "{:?}", run.took);
    assert!(run.took < Duration::from_secs(9), "{:?}", run.took);
}

#[test]
fn one_open_address_of_a_name_is_enough_and_v_lists_each() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let machine = Namespace::new()
        .with_host_network()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.77 two\n127.0.0.1 two\n127.0.0.78 two");
    let Some(run) = machine.run(&format!("check two:{port}")) else { return };
    assert_eq!(lines(run.exits(0)), [format!("two:{port} open N ms")]);
    let run = machine.run(&format!("check -v --jobs 1 two:{port}")).expect("as before");
    run.exits(0).logs("Looking up two... done: ");
    run.logs(&format!("127.0.0.1:{port}: two:{port} open"));
    for refused in ["127.0.0.77", "127.0.0.78"] {
        run.logs(&format!("{refused}:{port}: two:{port} refused"));
    }
}

#[test]
fn unix_socket_is_open_refused_or_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s").display().to_string();
    let run = |code| sockit("check").arg(format!("unix:{path}")).run().exits(code).text();
    assert_eq!(run(7), format!("unix:{path} no such file\n"));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(run(0).starts_with(&format!("unix:{path} open ")));
    drop(listener);
    assert_eq!(run(7), format!("unix:{path} refused\n"));
}

#[test]
fn port_is_not_open_because_the_socket_connects_to_itself() {
    // Any of these ports may become the local one, which TCP then connects to itself.
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let Ok(range) = range else { return };
    let first: u32 = range.split_whitespace().next().unwrap().parse().unwrap();
    let line = format!("check --jobs 1 127.0.0.1:{first}-{}", first + 2000);
    let Some(run) = Namespace::new().run(&line) else { return };
    assert!(!run.text().contains("open"), "{}", run.text());
}
