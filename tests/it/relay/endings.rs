//! Orderly ends: nothing is lost, a half-close is a half-close, and back-pressure reaches the sender.

use std::io::Read;
use std::thread;
use std::time::Duration;

use super::route::*;

const MIB: usize = 1 << 20;

/// Bytes that differ at every offset of a block.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

#[test]
fn answer_after_the_clients_half_close_arrives() {
    on_all_routes(|route| {
        let Ends { client, server } = route.connect();
        send(&client, b"question");
        half_close(&client);
        assert_eq!(read_to_end(&server), (b"question".to_vec(), End::Eof), "{}", route.name);
        send(&server, b"late answer");
        drop(server);
        assert_eq!(read_to_end(&client), (b"late answer".to_vec(), End::Eof), "{}", route.name);
    });
}

#[test]
fn client_continues_after_the_servers_half_close() {
    on_all_routes(|route| {
        let Ends { client, server } = route.connect();
        send(&server, b"all");
        half_close(&server);
        assert_eq!(read_to_end(&client), (b"all".to_vec(), End::Eof), "{}", route.name);
        let upload = pattern(300_000);
        send(&client, &upload);
        drop(client);
        assert_eq!(read_to_end(&server), (upload, End::Eof), "{}", route.name);
    });
}

#[test]
fn server_may_speak_first() {
    on_all_routes(|route| {
        let Ends { client, server } = route.connect();
        send(&server, b"220 ready");
        assert_eq!(receive(&client, 9), b"220 ready");
    });
}

#[test]
fn sixty_four_mebibytes_each_way_arrive_concurrently() {
    on_all_routes(|route| {
        let Ends { client, server } = route.connect();
        let block = pattern(MIB);
        thread::scope(|scope| {
            for socket in [&client, &server] {
                scope.spawn(|| {
                    (0..64).for_each(|_| send(socket, &block));
                    half_close(socket);
                });
                scope.spawn(|| {
                    for n in 0..64 {
                        assert!(receive(socket, MIB) == block, "block {n} ({})", route.name);
                    }
                    assert_eq!(read_to_end(socket), (Vec::new(), End::Eof), "{}", route.name);
                });
            }
        });
    });
}

#[test]
fn client_that_does_not_read_stops_the_server() {
    on_all_routes(|route| {
        let Ends { client, server } = route.connect();
        let sent = send_until_full(&server, Duration::from_secs(1));
        let limit = 8 * MIB * route.relays.len().max(1);
        assert!(sent < limit, "{sent} bytes were accepted ({})", route.name);
        drop(client);
    });
}

#[test]
fn tail_before_close_reaches_a_slow_reader() {
    on_all_routes(|route| {
        let Ends { client, server } = route.connect();
        let tail = pattern(MIB);
        thread::scope(|scope| {
            scope.spawn(|| {
                send(&server, &tail);
                drop(server);
            });
            let (mut received, mut piece) = (Vec::new(), vec![0; 16384]);
            loop {
                match (&client).read(&mut piece).expect("no error") {
                    0 => break,
                    n => received.extend_from_slice(&piece[..n]),
                }
                thread::sleep(Duration::from_millis(2));
            }
            assert!(received == tail, "{} bytes ({})", received.len(), route.name);
        });
    });
}

#[test]
fn writes_of_one_byte_are_relayed() {
    on_all_routes(|route| {
        let Ends { client, server } = route.connect();
        let bytes = pattern(3000);
        thread::scope(|scope| {
            scope.spawn(|| {
                bytes.iter().for_each(|byte| send(&client, &[*byte]));
                half_close(&client);
            });
            assert_eq!(read_to_end(&server), (bytes.clone(), End::Eof), "{}", route.name);
        });
    });
}

#[test]
fn simultaneous_close_is_clean_on_both_sides() {
    on_all_routes(|route| {
        for _ in 0..20 {
            let Ends { client, server } = route.connect();
            send(&client, b"to server");
            send(&server, b"to client");
            thread::scope(|scope| {
                for socket in [&client, &server] {
                    scope.spawn(|| {
                        half_close(socket);
                        assert_eq!(read_to_end(socket).1, End::Eof, "{}", route.name);
                    });
                }
            });
        }
    });
}

#[test]
fn two_hundred_connections_are_relayed_concurrently() {
    on_all_routes(|route| {
        let all: Vec<Ends> = (0..200).map(|_| route.connect()).collect();
        for (n, Ends { client, server }) in all.iter().enumerate() {
            send(client, format!("client {n:03}").as_bytes());
            send(server, format!("server {n:03}").as_bytes());
        }
        // A Unix client is accepted before the relay has connected for it: only the pairs of bytes
        // are fixed, not their order.
        let mut received: Vec<_> = all.iter().map(|ends| receive(&ends.server, 10)).collect();
        received.sort();
        let sent: Vec<_> = (0..200).map(|n| format!("client {n:03}").into_bytes()).collect();
        assert_eq!(received, sent, "{}", route.name);
        all.iter().for_each(|ends| assert!(receive(&ends.client, 10).starts_with(b"server ")));
    });
}

#[test]
fn idle_connection_stays_open_without_idle_timeout() {
    let route = Route::relay();
    let Ends { client, server } = route.connect();
    // Longer than any time limit of the relay's own, except the grace of a shutdown.
    thread::sleep(Duration::from_millis(1500));
    send(&client, b"still");
    assert_eq!(receive(&server, 5), b"still");
    send(&server, b"here");
    assert_eq!(receive(&client, 4), b"here");
}
