//! UDP ports: answering, reported as closed by ICMP, silent.

use super::{lines, objects};
use crate::support::datagrams::{local_addr, receive, udp_socket};
use crate::support::sockit::sockit;

#[test]
fn udp_port_that_answers_is_open() {
    let server = sockit("udp-echo").serve();
    let run = sockit(&format!("check udp:{}", server.addr())).run();
    assert_eq!(lines(run.exits(0)), [format!("udp:{} open N ms", server.addr())]);
}

#[test]
fn udp_port_that_icmp_reports_is_closed() {
    let gone = local_addr(&udp_socket());
    let run = sockit(&format!("check udp:{gone}")).run();
    run.exits(7).logs_nothing().prints(format!("udp:{gone} closed\n"));
    sockit(&format!("check --until closed udp:{gone}")).run().exits(0);
}

#[test]
fn silent_udp_port_is_no_answer_and_is_asked_again() {
    let silent = udp_socket();
    let target = format!("udp:{}", local_addr(&silent));
    let running = sockit(&format!("check --timeout 0 {target}")).start();
    assert_eq!((receive(&silent).0, receive(&silent).0), (b"X".to_vec(), b"X".to_vec()));
    running.signal(libc::SIGTERM);
    running.wait().exits(143);
    let run = sockit(&format!("check --timeout 100ms {target}")).run();
    run.exits(28).logs_nothing().prints(format!("{target} no answer\n"));
    // It may be open all the same.
    sockit(&format!("check --timeout 100ms --until closed {target}")).run().exits(28);
    let run = sockit(&format!("check --json --timeout 100ms {target}")).run();
    assert_eq!(objects(&run)[0]["status"], "no-answer");
}

#[test]
fn wait_ends_when_a_udp_server_appears() {
    let refusing = udp_socket();
    let address = local_addr(&refusing);
    drop(refusing);
    let running = sockit(&format!("check -v --wait 20s udp:{address}")).start();
    running.wait_for_log("closed");
    let server = sockit(&format!("udp-echo --port {}", address.port())).serve();
    running.wait().exits(0);
    server.stop();
}
