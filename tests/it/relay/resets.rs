//! Connections that end early: what one peer does to its connection happens to the other's.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use super::route::*;
use crate::support::peer::Refusing;
use crate::support::sockit::sockit;

#[test]
fn servers_reset_reaches_the_client() {
    on_tcp_routes(|route| {
        let Ends { client, server } = route.connect();
        reset(server);
        assert_eq!(read_to_end(&client), (Vec::new(), End::Reset), "{}", route.name);
    });
}

#[test]
fn servers_reset_after_data_reaches_the_client_after_the_data() {
    on_tcp_routes(|route| {
        for len in [1, 2048, 50_000] {
            let Ends { client, server } = route.connect();
            send(&server, &vec![7; len]);
            reset(server);
            assert_eq!(read_to_end(&client), (vec![7; len], End::Reset), "{}", route.name);
        }
    });
}

#[test]
fn clients_reset_reaches_the_server() {
    on_tcp_routes(|route| {
        for len in [0, 1, 2048, 50_000] {
            let Ends { client, server } = route.connect();
            send(&client, &vec![7; len]);
            reset(client);
            assert_eq!(read_to_end(&server), (vec![7; len], End::Reset), "{}", route.name);
        }
    });
}

#[test]
fn reset_after_the_half_close_of_the_same_peer_reaches_the_other() {
    on_tcp_routes(|route| {
        let Ends { client, server } = route.connect();
        half_close(&server);
        assert_eq!(read_to_end(&client), (Vec::new(), End::Eof), "{}", route.name);
        reset(server);
        wait_for_reset(&client);
        let Ends { client, server } = route.connect();
        half_close(&client);
        assert_eq!(read_to_end(&server), (Vec::new(), End::Eof), "{}", route.name);
        reset(client);
        wait_for_reset(&server);
    });
}

#[test]
fn reset_by_the_receiver_stops_the_sender() {
    on_tcp_routes(|route| {
        for by_client in [true, false] {
            let Ends { client, server } = route.connect();
            let (sender, receiver) = if by_client { (server, client) } else { (client, server) };
            let failed = thread::spawn(move || send_until_error(&sender));
            receive(&receiver, 100_000);
            reset(receiver);
            let kind = failed.join().unwrap();
            assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
        }
    });
}

/// The relay reads no more from the sender, so that only its socket's state shows the reset.
#[test]
fn reset_by_a_sender_that_is_blocked_reaches_the_receiver() {
    on_tcp_routes(|route| {
        for by_client in [true, false] {
            let Ends { client, server } = route.connect();
            let (sender, receiver) = if by_client { (client, server) } else { (server, client) };
            send_until_full(&sender, Duration::from_millis(300));
            reset(sender);
            wait_for_reset(&receiver);
        }
    });
}

#[test]
fn close_with_unread_data_is_a_reset() {
    on_tcp_routes(|route| {
        for by_client in [true, false] {
            let Ends { client, server } = route.connect();
            let (sender, closer) = if by_client { (server, client) } else { (client, server) };
            send(&sender, b"unread");
            wait_until_readable(&closer);
            drop(closer);
            assert_eq!(read_to_end(&sender).1, End::Reset, "{}", route.name);
        }
    });
}

#[test]
fn answer_before_a_close_with_unread_data_arrives() {
    on_tcp_routes(|route| {
        let Ends { client, server } = route.connect();
        send(&client, &[7; 100_000]);
        wait_until_readable(&server);
        send(&server, b"413 too large");
        drop(server);
        let (answer, end) = read_to_end(&client);
        assert_eq!((answer.as_slice(), end), (&b"413 too large"[..], End::Reset), "{}", route.name);
    });
}

/// A Unix socket has no reset but the close with unread data.
#[test]
fn reset_by_a_unix_peer_reaches_the_other() {
    let route = Route::to_unix();
    let Ends { client, server } = route.connect();
    send(&client, b"unread");
    wait_until_readable(&server);
    drop(server);
    assert_eq!(read_to_end(&client).1, End::Reset);
    let route = Route::from_unix();
    let Ends { client, server } = route.connect();
    send(&server, b"unread");
    wait_until_readable(&client);
    drop(client);
    assert_eq!(read_to_end(&server).1, End::Reset);
}

/// The thread that watches the peer which sends no more has to notice it too.
#[test]
fn reset_ends_a_unix_peer_that_has_half_closed() {
    let routes = [Route::from_unix(), Route::to_unix()];
    let [from_unix, to_unix] = routes.each_ref().map(Route::connect);
    for (unix, tcp) in [(from_unix.client, from_unix.server), (to_unix.server, to_unix.client)] {
        half_close(&unix);
        assert_eq!(read_to_end(&tcp), (Vec::new(), End::Eof));
        reset(tcp);
        read_to_end(&unix);
    }
}

#[test]
fn unreachable_target_resets_the_client_with_an_error_line() {
    for target in [Refusing::new().addr().to_string(), "unix:/nonexistent/socket".to_string()] {
        let relay = sockit(&format!("relay 0 {target}")).serve();
        let client = socket2::Socket::from(crate::support::peer::connect(relay.addr()));
        assert_eq!(read_to_end(&client), (Vec::new(), End::Reset), "{target}");
        let run = relay.stop();
        run.exits(0).fails_at("connect");
    }
}

/// Bytes between two relays that use TLS pass through a connection of the test, which it ends without
/// close_notify.
#[cfg(feature = "tls")]
#[test]
fn tls_stream_without_close_notify_is_a_reset_on_the_other_side() {
    use std::net::{Shutdown, TcpListener};

    let inner = Route::relay_with("--listen-tls");
    let hop = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = hop.local_addr().unwrap();
    let outer = sockit(&format!("relay 0 {target} --tls --insecure -q --print-port")).serve();
    let client = socket2::Socket::from(crate::support::peer::connect(outer.addr()));
    let from_client = hop.accept().unwrap().0;
    let to_server = crate::support::peer::connect(inner.relays[0].addr());
    for (from, to) in [(&from_client, &to_server), (&to_server, &from_client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
    let server = inner.accept();
    send(&client, b"half a question");
    assert_eq!(receive(&server, 15), b"half a question");
    send(&server, b"half an answer");
    assert_eq!(receive(&client, 14), b"half an answer");
    to_server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&server), (Vec::new(), End::Reset));
    from_client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&client), (Vec::new(), End::Reset));
}
