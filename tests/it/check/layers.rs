//! Proxies and TLS belong to the check.

use super::{check, lines, listener};
use crate::support::datagrams::{local_addr, udp_socket};
use crate::support::namespace::Namespace;
use crate::support::peer::{Refusing, wait_for_listener};
use crate::support::sockit::sockit;
use crate::tcp_client::proxy::microsocks;

#[test]
fn target_is_checked_through_a_proxy() {
    let Some((_proxy, port)) = microsocks(&[]) else { return };
    wait_for_listener(port);
    let (_listener, open) = listener();
    let refusing = Refusing::new();
    for scheme in ["socks5", "socks5h"] {
        let through = |target: &str| {
            sockit(&format!("check --proxy {scheme}://127.0.0.1:{port} {target}")).run()
        };
        for host in ["127.0.0.1", "localhost"] {
            let target = format!("{host}:{}", open.port());
            assert_eq!(lines(through(&target).exits(0)), [format!("{target} open N ms")]);
        }
        let closed = through(&refusing.addr().to_string());
        let text = closed.exits(7).text();
        assert!(text.contains("failed: proxy: ") && text.contains("could not reach"), "{text}");
    }
}

#[test]
fn proxy_that_refuses_is_a_failed_check() {
    let (gone, (_listener, open)) = (Refusing::new(), listener());
    let proxy = format!("socks5h://127.0.0.1:{}", gone.addr().port());
    let run = check("--proxy", &[]).arg(&proxy).arg(open.to_string()).run();
    run.exits(7).prints(format!("{open} failed: proxy: Connection refused\n"));
    let run = sockit("check 192.0.2.1:80").env("ALL_PROXY", &proxy).run();
    run.exits(7).prints("192.0.2.1:80 failed: proxy: Connection refused\n");
}

#[test]
fn udp_target_ignores_the_proxy_of_the_environment() {
    let target = local_addr(&udp_socket());
    let machine = Namespace::new().before("ip addr add 192.0.2.1/32 dev lo");
    let Some(words) = machine.words() else { return };
    let proxy = format!("socks5h://{target}");
    let run = sockit("check udp:192.0.2.1:9").env("ALL_PROXY", &proxy).under(words).run();
    run.exits(7).prints("udp:192.0.2.1:9 closed\n");
}

#[cfg(feature = "tls")]
mod tls {
    use super::super::{check, listener, objects};
    use crate::support::certificates::Authority;
    use crate::support::process::Daemon;
    use crate::support::sockit::{Sockit, sockit};

    /// A TLS server for `localhost` whose certificate expires in so many days, and a half.
    fn server(authority: &Authority, days: i64) -> Daemon {
        let paper = authority.certificate_with(&["localhost"], |params| {
            let now = std::time::SystemTime::now();
            params.not_after = now.into();
            params.not_after += std::time::Duration::from_secs(12 * 3600);
            let day = std::time::Duration::from_secs(24 * 3600);
            (0..days).for_each(|_| params.not_after += day);
            (days..0).for_each(|_| params.not_after -= day);
            params.not_before = params.not_after - 400 * day;
        });
        sockit("tcp-server -q --print-port --tls --service discard --cert").arg(paper).serve()
    }

    fn tls(server: &Daemon) -> Sockit {
        sockit(&format!("check --tls localhost:{}", server.port()))
    }

    #[test]
    fn handshake_that_succeeds_is_open_with_subject_and_days() {
        let authority = Authority::new();
        let server = server(&authority, 57);
        let run = tls(&server).arg("--ca-file").arg(authority.ca()).run();
        run.exits(0).logs_nothing();
        let text = run.text();
        assert!(text.starts_with(&format!("localhost:{} open ", server.port())), "{text}");
        assert!(text.ends_with(" ms, CN=subject, valid for 57 days\n"), "{text}");
        let run = tls(&server).arg("--ca-file").arg(authority.ca()).and("--json").run();
        let object = &objects(&run)[0];
        assert_eq!((&object["subject"], &object["days_left"]), (&"CN=subject".into(), &57.into()));
    }

    #[test]
    fn certificate_that_is_not_accepted_exits_60() {
        let authority = Authority::new();
        let unknown = server(&authority, 57);
        let run = tls(&unknown).run();
        assert!(run.exits(60).text().contains(" failed: tls: "), "{}", run.text());
        let expired = server(&authority, -3);
        let run = tls(&expired).arg("--ca-file").arg(authority.ca()).run();
        assert!(run.exits(60).text().contains("expired"), "{}", run.text());
        let run = tls(&expired).and("--insecure").run();
        assert!(run.exits(0).text().ends_with(", expired 3 days ago\n"), "{}", run.text());
    }

    #[test]
    fn port_without_tls_exits_35_and_a_silent_one_28() {
        let plain = sockit("tcp-server").serve();
        let run = tls(&plain).and("--insecure").run();
        assert!(run.exits(35).text().contains("failed: tls: the peer does not speak TLS"));
        let (_listener, silent) = listener();
        let run = check("--tls --insecure --json --timeout 2s", &[silent]).run();
        let object = &objects(run.exits(28))[0];
        assert_eq!((&object["status"], &object["phase"]), (&"timeout".into(), &"tls".into()));
    }

    #[test]
    fn server_sees_a_clean_end_of_tls() {
        let server = sockit("tcp-server --once --tls --service echo").serve();
        tls(&server).and("--insecure").run().exits(0);
        server.wait().exits(0).logs("ended by peer");
    }
}
