//! `relay --fault`: each fault as client and server see it, and the same faults again with the same seed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::route::*;
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, sockit};

fn some_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

/// Sends `bytes` in writes of different lengths, which `n` chooses.
fn send_in_pieces(socket: &socket2::Socket, bytes: &[u8], n: usize) {
    let lengths = [1 + n % 7, 3000 + 331 * n, 17, 65_536];
    let mut rest = bytes;
    for length in lengths.iter().cycle().skip(n) {
        let (piece, more) = rest.split_at((*length).min(rest.len()));
        send(socket, piece);
        rest = more;
        if rest.is_empty() {
            return;
        }
    }
}

/// Keeps both processors busy until dropped.
struct Load(std::sync::Arc<AtomicBool>);

impl Load {
    fn start() -> Load {
        let is_over = std::sync::Arc::new(AtomicBool::new(false));
        for _ in 0..4 {
            let is_over = is_over.clone();
            thread::spawn(move || while !is_over.load(Ordering::Relaxed) {});
        }
        Load(is_over)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The fault events of a run with three connections, without their times.
fn fault_events(n: usize) -> BTreeSet<String> {
    let specs = "--fault corrupt=1/4Ki --fault delay=1ms±1ms --fault slice=200..900 --fault refuse=1/3 \
                 --fault to-target:stall=1ms@70k --fault to-client:close@90k --fault to-target:drop@95k";
    let mut route = Route::relay_with(&format!("--json --seed 42 --max-accepts 3 {specs}"));
    let bytes = some_bytes(100_000);
    for _ in 0..3 {
        let Some(Ends { client, server }) = route.connect_unless_refused() else { continue };
        thread::scope(|scope| {
            scope.spawn(|| {
                send_in_pieces(&client, &bytes, n);
                half_close(&client);
            });
            scope.spawn(|| {
                send_in_pieces(&server, &bytes, n + 1);
                half_close(&server);
            });
            scope.spawn(|| assert_eq!(receive(&server, 95_000).len(), 95_000));
            assert_eq!(read_to_end(&client).0.len(), 90_000);
        });
    }
    let run = route.relays.remove(0).wait();
    let events = run.exits(0).events_named("fault");
    let without_time = |mut event: serde_json::Value| {
        event.as_object_mut().unwrap().remove("time");
        event.to_string()
    };
    events.into_iter().map(without_time).collect()
}

#[test]
fn same_seed_gives_the_same_events_however_writes_are_divided_and_however_busy_the_machine_is() {
    let first = fault_events(0);
    // Two connections with 22 and 23 flipped bits, two more events per fault, and a refusal.
    assert!((90..110).contains(&first.len()), "{}", first.len());
    for n in 1..4 {
        assert_eq!(fault_events(n), first);
    }
    let _load = Load::start();
    for n in 4..7 {
        assert_eq!(fault_events(n), first);
    }
}

#[test]
fn fault_that_never_occurs_changes_no_ending() {
    let route = Route::relay_with("--fault close@1Ti");
    let Ends { client, server } = route.connect();
    send(&client, b"question");
    half_close(&client);
    assert_eq!(read_to_end(&server), (b"question".to_vec(), End::Eof));
    send(&server, &[7; 300_000]);
    drop(server);
    assert_eq!(read_to_end(&client), (vec![7; 300_000], End::Eof));

    for len in [0, 1, 50_000] {
        let Ends { client, server } = route.connect();
        send(&server, &vec![7; len]);
        reset(server);
        assert_eq!(read_to_end(&client), (vec![7; len], End::Reset));
        let Ends { client, server } = route.connect();
        send(&client, &vec![7; len]);
        reset(client);
        assert_eq!(read_to_end(&server), (vec![7; len], End::Reset));
    }

    let Ends { client, server } = route.connect();
    let sent = send_until_full(&server, Duration::from_millis(500));
    assert!(sent < 12 << 20, "{sent} bytes were taken");
    assert_eq!(receive(&client, sent).len(), sent);
}

#[test]
fn streams_in_both_directions_arrive_through_harmless_faults() {
    let faults =
        "--fault delay=5ms±3ms --fault slice=100..9000 --fault rate=64Mi --fault stall=10ms@1Mi";
    let route = Route::relay_with(faults);
    let Ends { client, server } = route.connect();
    let bytes = some_bytes(4 << 20);
    thread::scope(|scope| {
        for sender in [&client, &server] {
            scope.spawn(|| {
                send(sender, &bytes);
                half_close(sender);
            });
        }
        let at_server = scope.spawn(|| read_to_end(&server));
        assert!(read_to_end(&client) == (bytes.clone(), End::Eof));
        assert!(at_server.join().unwrap() == (bytes.clone(), End::Eof));
    });
}

#[test]
fn delay_is_added_to_each_direction() {
    let route = Route::relay_with("--fault delay=200ms");
    let Ends { client, server } = route.connect();
    let began = Instant::now();
    send(&client, b"q");
    receive(&server, 1);
    assert!(began.elapsed() >= Duration::from_millis(200));
    send(&server, b"a");
    receive(&client, 1);
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[test]
fn rate_is_that_of_the_flag() {
    let route = Route::relay_with("--fault to-client:rate=256Ki");
    let Ends { client, server } = route.connect();
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| send(&server, &[7; 256 << 10]));
        receive(&client, 256 << 10);
    });
    // A loaded machine may be later, never earlier.
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
}

#[test]
fn stall_holds_the_byte_at_its_offset() {
    let route = Route::relay_with("--fault to-client:stall=300ms@5");
    let Ends { client, server } = route.connect();
    let began = Instant::now();
    send(&server, b"1234567");
    assert_eq!(receive(&client, 5), b"12345");
    assert_eq!(receive(&client, 2), b"67");
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn close_is_a_clean_end_for_the_receiver_also_of_an_endless_sender() {
    let mut route = Route::relay_with("--fault to-client:close@4096 --once --json");
    let Ends { client, server } = route.connect();
    let sender = thread::spawn(move || send_until_error(&server));
    assert_eq!(read_to_end(&client), (vec![7; 4096], End::Eof));
    drop(client);
    sender.join().unwrap();
    let closed = route.relays.remove(0).wait().exits(0).events_named("closed");
    assert_eq!(
        (&closed[0]["ended_by"], &closed[0]["bytes_to_client"]),
        (&"fault".into(), &4096.into())
    );
}

/// A sender that waits for a window would otherwise wait for a minute.
#[test]
fn close_resets_a_sender_that_does_not_end() {
    let route = Route::relay_with("--fault to-client:close@4096");
    let Ends { client, server } = route.connect();
    send(&server, &[7; 5000]);
    assert_eq!(read_to_end(&client), (vec![7; 4096], End::Eof));
    drop(client);
    wait_for_reset(&server);
    assert_eq!(read_to_end(&server), (Vec::new(), End::Eof));
}

#[test]
fn close_of_both_directions_lets_a_client_read_all_before_it_stops_sending() {
    let route = Route::relay_with("--fault close@4096");
    let Ends { client, server } = route.connect();
    send(&client, &[7; 200_000]);
    assert_eq!(read_to_end(&server), (vec![7; 4096], End::Eof));
    send(&server, &[8; 200_000]);
    assert_eq!(read_to_end(&client), (vec![8; 4096], End::Eof));
}

#[test]
fn reset_comes_after_the_bytes_before_its_offset() {
    for (spec, is_to_client) in [("to-client:reset@4096", true), ("to-target:reset@4096", false)] {
        let route = Route::relay_with(&format!("--fault {spec}"));
        let Ends { client, server } = route.connect();
        let (sender, receiver) = if is_to_client { (server, client) } else { (client, server) };
        send(&sender, &[7; 5000]);
        assert_eq!(read_to_end(&receiver), (vec![7; 4096], End::Reset), "{spec}");
        wait_for_reset(&sender);
    }
}

#[test]
fn reset_at_offset_0_is_before_any_byte() {
    let route = Route::relay_with("--fault reset@0");
    let Ends { client, server } = route.connect();
    assert_eq!(read_to_end(&client), (Vec::new(), End::Reset));
    assert_eq!(read_to_end(&server), (Vec::new(), End::Reset));
}

#[test]
fn drop_keeps_the_connection_open_until_the_other_direction_ends() {
    let mut route = Route::relay_with("--fault to-client:drop@5 --once --json");
    let Ends { client, server } = route.connect();
    send(&server, b"1234567");
    half_close(&server);
    assert_eq!(receive(&client, 5), b"12345");
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let more = std::io::Read::read(&mut &client, &mut [0]).map_err(|e| e.kind());
    assert_eq!(more, Err(std::io::ErrorKind::WouldBlock));
    send(&client, b"still open");
    half_close(&client);
    assert_eq!(read_to_end(&server), (b"still open".to_vec(), End::Eof));
    client.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(read_to_end(&client), (Vec::new(), End::Eof));
    route.relays.remove(0).wait().exits(0);
}

#[test]
fn refuse_resets_one_connection_of_its_number() {
    let mut route = Route::relay_with("--fault refuse=1/5 --json --max-accepts 10");
    let refused = (0..10).filter(|_| route.connect_unless_refused().is_none()).count();
    assert_eq!(refused, 2);
    let run = route.relays.remove(0).wait();
    let events = run.exits(0).events_named("fault");
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["fault"] == "refuse" && event["direction"].is_null()));
}

#[test]
fn corrupt_flips_the_bit_that_its_event_names() {
    let mut route = Route::relay_with("--fault to-target:corrupt=1/1Ki --once --json");
    let Ends { client, server } = route.connect();
    let mut bytes = some_bytes(10 << 10);
    send(&client, &bytes);
    half_close(&client);
    let (received, _) = read_to_end(&server);
    drop(server);
    drop(client);
    let events = route.relays.remove(0).wait().exits(0).events_named("fault");
    assert_eq!(events.len(), 10);
    for event in &events {
        assert_eq!(
            (&event["direction"], &event["spec"]),
            (&"to_target".into(), &"corrupt=1/1Ki".into())
        );
        bytes[event["offset"].as_u64().unwrap() as usize] ^= 1 << event["bit"].as_u64().unwrap();
    }
    assert_eq!(received, bytes);
}

#[test]
fn seed_that_was_not_given_is_printed_and_repeats_the_run() {
    let corrupted = |relay: Daemon, listener: std::net::TcpListener| {
        let client = std::net::TcpStream::connect(relay.addr()).unwrap();
        std::io::Write::write_all(&mut &client, &[0; 1000]).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (received, _) = read_to_end(&server.into());
        drop(client);
        (received, relay.wait())
    };
    let start = |flags: &str| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        (sockit(&format!("relay 0 {target} --fault corrupt=1/10 --once {flags}")).serve(), listener)
    };
    let (relay, listener) = start("--json");
    let (first, run) = corrupted(relay, listener);
    let seed = run.exits(0).events_named("seed")[0]["seed"].as_u64().unwrap();
    let (relay, listener) = start(&format!("--seed {seed}"));
    let (second, run) = corrupted(relay, listener);
    assert_eq!(first, second);
    run.exits(0).never_logs("Seed");
    let (relay, _listener) = start("");
    relay.wait_for_log("Seed of the faults: ");
}

#[test]
fn connection_that_is_stalled_ends_when_its_client_resets_it() {
    let mut route = Route::relay_with("--fault to-client:stall=1h@0 --once --json");
    let Ends { client, server } = route.connect();
    send(&server, b"never arrives");
    reset(client);
    wait_for_reset(&server);
    route.relays.remove(0).wait();
}

#[test]
fn connection_that_is_stalled_ends_with_the_run() {
    for direction in ["to-client", "to-target"] {
        let flags = format!("--fault {direction}:stall=1h@0 --grace 100ms");
        let mut route = Route::relay_with(&flags);
        let Ends { client, server } = route.connect();
        send(&server, b"never arrives");
        send(&client, b"never arrives");
        assert_ne!(route.relays.remove(0).stop().code, 0);
        drop(client);
    }
}

#[test]
fn unknown_faults_and_values_out_of_range_are_usage_errors() {
    let unknown = sockit("relay 0 127.0.0.1:1 --fault jitter=5ms").run();
    for known in ["delay=20ms", "close@4096", "refuse=1/20", "reorder=2%"] {
        unknown.exits(2).logs(known);
    }
    for spec in
        ["close@-1", "close@99999999999999999999", "rate=0", "delay=2h", "slice=7..1", "refuse=2"]
    {
        sockit("relay 0 127.0.0.1:1 --fault").arg(spec).run().exits(2).logs(spec);
    }
    sockit("relay 0 127.0.0.1:1 --fault loss=5%").run().exits(2).logs("--udp");
    sockit("relay 0 127.0.0.1:1 --seed 1").run().exits(2).logs("--fault");
}
