//! Faults on byte slices, with a seed and times that the tests choose.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::relay::direction::Direction;
use crate::report::event::FaultEvent;

/// What a direction delivers: the bytes, how it ended, and the events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Delivered {
    bytes: Vec<u8>,
    end: Option<DirectionEnd>,
    events: Vec<FaultEvent>,
}

fn plan(seed: u64, specs: &[&str]) -> FaultPlan {
    FaultPlan { faults: specs.iter().map(|spec| spec.parse().unwrap()).collect(), seed }
}

fn to_client(seed: u64, specs: &[&str]) -> FaultChain {
    plan(seed, specs).stream_faults(1).to_client.unwrap()
}

fn some_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

/// Feeds `bytes` in reads of these lengths, over and over, a millisecond each.
fn run(mut faults: FaultChain, bytes: &[u8], lengths: &[usize]) -> (Delivered, Vec<Piece>) {
    let began = Instant::now();
    let mut pieces = faults.feed(&[], began);
    let mut rest = bytes;
    for (length, at) in lengths.iter().cycle().zip(1..) {
        if rest.is_empty() {
            break;
        }
        let (read, more) = rest.split_at((*length).min(rest.len()));
        rest = more;
        pieces.extend(faults.feed(read, began + Duration::from_millis(at)));
    }
    pieces.extend(faults.finish(began + Duration::from_secs(3600)));
    let mut delivered = Delivered::default();
    for piece in &pieces {
        delivered.bytes.extend(&piece.bytes);
        delivered.end = delivered.end.or(piece.end);
        delivered.events.extend(piece.events.clone());
    }
    (delivered, pieces)
}

/// Length of the delivered bytes, the end, and the offsets of the events.
fn outcome(spec: &str) -> (usize, Option<DirectionEnd>, Vec<u64>) {
    let (delivered, _) = run(to_client(1, &[spec]), &some_bytes(10_000), &[300]);
    let offsets = delivered.events.iter().filter_map(|event| event.offset);
    (delivered.bytes.len(), delivered.end, offsets.collect())
}

#[test]
fn faults_end_a_direction_at_their_offset() {
    use DirectionEnd::*;
    assert_eq!(outcome("close@4096"), (4096, Some(Closed), vec![4096]));
    assert_eq!(outcome("reset@4096"), (4096, Some(Reset), vec![4096]));
    assert_eq!(outcome("drop@4096"), (4096, Some(Discarded), vec![4096]));
    assert_eq!(outcome("close@0"), (0, Some(Closed), vec![0]));
    assert_eq!(outcome("drop@0"), (0, Some(Discarded), vec![0]));
    assert_eq!(outcome("reset@10000"), (10_000, Some(Reset), vec![10_000]));
    assert_eq!(outcome("reset@10001"), (10_000, Some(Eof), vec![]));
    assert_eq!(outcome("slice=1..7"), (10_000, Some(Eof), vec![0]));
}

#[test]
fn end_comes_when_its_offset_is_reached_not_with_the_byte_after_it() {
    for spec in ["close@5", "reset@5"] {
        let mut faults = to_client(1, &[spec]);
        assert!(faults.feed(b"1234", Instant::now()).iter().all(|piece| piece.end.is_none()));
        assert!(
            faults.feed(b"5", Instant::now()).iter().any(|piece| piece.end.is_some()),
            "{spec}"
        );
    }
}

#[test]
fn reset_of_both_directions_is_one_event() {
    let mut both = plan(1, &["reset@3"]).stream_faults(1);
    let now = Instant::now();
    let first = both.to_target.as_mut().unwrap().feed(b"abc", now);
    let second = both.to_client.as_mut().unwrap().feed(b"abc", now);
    assert_eq!(first.last().unwrap().events.len(), 1);
    assert!(second.last().unwrap().events.is_empty());
    assert_eq!(second.last().unwrap().end, Some(DirectionEnd::Reset));
}

#[test]
fn corrupt_flips_one_bit_per_block() {
    let bytes = some_bytes(64 << 10);
    let (delivered, _) = run(to_client(9, &["corrupt=1/1Ki"]), &bytes, &[1000, 17]);
    let blocks = bytes.chunks(1024).zip(delivered.bytes.chunks(1024));
    for (before, after) in blocks {
        let flipped: u32 = before.iter().zip(after).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(flipped, 1);
    }
    assert_eq!(delivered.events.len(), 64);
    let event = &delivered.events[0];
    let at = event.offset.unwrap() as usize;
    assert_eq!(delivered.bytes[at], bytes[at] ^ 1 << event.bit.unwrap());
}

#[test]
fn delay_is_added_to_every_byte_and_to_the_end() {
    let mut faults = to_client(1, &["delay=20ms"]);
    let now = Instant::now();
    let pieces = faults.feed(b"a", now);
    assert_eq!(pieces[0].due, now + Duration::from_millis(20));
    assert_eq!(pieces[0].events.len(), 1);
    let later = now + Duration::from_secs(1);
    assert_eq!(faults.finish(later)[0].due, later + Duration::from_millis(20));
    assert_eq!(faults.can_read_at(Duration::ZERO), Some(later));
}

#[test]
fn jitter_stays_in_its_range_and_differs_between_blocks() {
    let mut faults = to_client(3, &["delay=20ms±10ms"]);
    let mut times = Vec::new();
    let mut now = Instant::now();
    for _ in 0..200 {
        now += Duration::from_secs(1);
        let pieces = faults.feed(&[0; 1024], now);
        times.extend(pieces.iter().map(|piece| piece.due - now));
    }
    let (min, max) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(
        (10..12).contains(&min.as_millis()) && (28..=30).contains(&max.as_millis()),
        "{min:?} {max:?}"
    );
    assert!("delay=20ms+-10ms".parse::<FaultSpec>().is_ok());
}

#[test]
fn rate_is_exact() {
    let (delivered, pieces) =
        run(to_client(1, &["rate=64Ki"]), &some_bytes(256 << 10), &[3000, 1, 40_000]);
    let bytes: Vec<_> = pieces.iter().filter(|piece| !piece.bytes.is_empty()).collect();
    let took = bytes.last().unwrap().due - bytes[0].due;
    let sent = delivered.bytes.len() - bytes[0].bytes.len();
    let expected = Duration::from_secs_f64(sent as f64 / 65536.0);
    assert!(took.abs_diff(expected) < Duration::from_millis(5), "{took:?} {expected:?}");
    assert_eq!(to_client(1, &["rate=64Ki"]).max_read(), 3276);
}

#[test]
fn stall_is_once_and_at_its_offset() {
    let (_, pieces) = run(to_client(1, &["stall=5s@4096"]), &some_bytes(10_000), &[10_000]);
    let data: Vec<_> = pieces.iter().filter(|piece| !piece.bytes.is_empty()).collect();
    assert_eq!((data.len(), data[1].offset), (2, 4096));
    assert_eq!(data[1].due - data[0].due, Duration::from_secs(5));
    let (delivered, _) = run(to_client(1, &["stall=5s@4096"]), &some_bytes(10_000), &[1]);
    assert_eq!(delivered.bytes, some_bytes(10_000));
    let (_, pieces) = run(to_client(1, &["stall=5s@0"]), &some_bytes(10), &[10]);
    assert_eq!(pieces.iter().map(|piece| piece.events.len()).sum::<usize>(), 1);
    for (offset, stalls) in [(9, 1), (10, 1), (11, 0)] {
        let stall = format!("stall=5s@{offset}");
        let (_, pieces) = run(to_client(1, &[&stall]), &some_bytes(10), &[10]);
        let events = pieces.iter().map(|piece| piece.events.len()).sum::<usize>();
        assert_eq!(events, stalls, "{stall}");
    }
}

#[test]
fn slices_have_their_lengths() {
    let (_, pieces) = run(to_client(1, &["slice=1..7"]), &some_bytes(10_000), &[10_000]);
    let lengths: Vec<_> =
        pieces.iter().map(|piece| piece.bytes.len()).filter(|len| *len > 0).collect();
    let before_last = &lengths[..lengths.len() - 1];
    assert!((1..=7).all(|len| before_last.contains(&len)));
    assert!(before_last.iter().all(|len| (1..=7).contains(len)));
}

#[test]
fn refuse_picks_one_of_each_twenty() {
    let plan = plan(5, &["refuse=1/20"]);
    let refused = |range: std::ops::RangeInclusive<u64>| {
        range.filter(|conn| plan.refuses(*conn).is_some()).count()
    };
    assert!((0..50).all(|block| refused(block * 20 + 1..=block * 20 + 20) == 1));
    let event = (1..=20).find_map(|conn| plan.refuses(conn)).unwrap();
    assert_eq!((event.direction, event.offset, event.fault), (None, None, "refuse"));
    assert!(plan.stream_faults(1).to_client.is_none());
}

fn datagram(bytes: &[u8]) -> Piece {
    Piece::new(PieceKind::Datagram, bytes, Instant::now())
}

/// Numbers of the datagrams that leave when 0..`count` enter, and the number of events.
fn datagrams(spec: &str, count: u32) -> (Vec<u32>, usize) {
    let mut faults = plan(11, &[spec]).datagram_faults(1, Direction::ToTarget);
    let entered = (0..count).map(|n| datagram(&n.to_be_bytes()));
    let entered = entered.chain([Piece::eof(Instant::now())]);
    let left: Vec<Piece> = entered.flat_map(|piece| faults.pass(piece)).collect();
    let sent = left.iter().filter(|piece| piece.kind == PieceKind::Datagram);
    let number = |piece: &Piece| u32::from_be_bytes(piece.bytes[..].try_into().unwrap());
    (sent.map(number).collect(), left.iter().map(|piece| piece.events.len()).sum())
}

#[test]
fn datagrams_are_lost_duplicated_and_reordered_at_their_rates() {
    let (sent, events) = datagrams("loss=5%", 1000);
    assert_eq!((sent.len(), events), (950, 50));
    let (sent, events) = datagrams("duplicate=1%", 1000);
    assert_eq!((sent.len(), events), (1010, 10));
    let (sent, events) = datagrams("reorder=2%", 1000);
    let swapped = sent.windows(2).filter(|two| two[0] > two[1]).count();
    assert_eq!((sent.len(), events), (1000, 20));
    assert!((19..=20).contains(&swapped), "{swapped}");
    let (sent, _) = datagrams("loss=100%", 100);
    assert!(sent.is_empty());
    let (sent, _) = datagrams("loss=90%", 10_000);
    assert!((950..=1050).contains(&sent.len()), "{}", sent.len());
    let (sent, _) = datagrams("loss=40%", 10_000);
    assert!((5800..=6200).contains(&sent.len()), "{}", sent.len());
}

#[test]
fn empty_datagram_is_a_datagram() {
    let mut faults = plan(1, &["delay=1ms"]).datagram_faults(1, Direction::ToClient);
    let left = faults.pass(datagram(&[]));
    assert_eq!((left.len(), left[0].kind), (1, PieceKind::Datagram));
}

#[test]
fn direction_limits_a_fault() {
    let both = plan(1, &["to-client:delay=1ms"]).stream_faults(1);
    assert!(both.to_client.is_some() && both.to_target.is_none());
    let both = plan(1, &["to-target:close@1"]).stream_faults(1);
    assert!(both.to_client.is_none() && both.to_target.is_some());
}

#[test]
fn seed_connection_and_direction_change_the_decisions() {
    let bytes = some_bytes(4096);
    let corrupted = |seed, conn, is_to_client: bool| {
        let faults = plan(seed, &["corrupt=1/4Ki"]).stream_faults(conn);
        let faults = if is_to_client { faults.to_client } else { faults.to_target };
        run(faults.unwrap(), &bytes, &[4096]).0.bytes
    };
    let one = corrupted(1, 1, true);
    assert_eq!(one, corrupted(1, 1, true));
    for other in [corrupted(2, 1, true), corrupted(1, 2, true), corrupted(1, 1, false)] {
        assert_ne!(one, other);
    }
}

#[test]
fn every_usage_is_parsed_and_every_other_word_is_refused() {
    for kind in FAULTS {
        assert!(kind.usage.parse::<FaultSpec>().is_ok(), "{}", kind.usage);
    }
    let unknown = "jitter=1ms".parse::<FaultSpec>().unwrap_err();
    assert!(FAULTS.iter().all(|kind| unknown.contains(kind.usage)), "{unknown}");
    let malformed = "delay delay= delay@5ms delay=-1s delay=2h delay=1ms±2ms rate=0 rate=-1 slice=0 \
                     slice=7..1 slice=1.. slice=1..2Mi stall=5s stall=5s@ stall=25h@1 close=1 \
                     close@-1 close@99999999999999999999 drop@x refuse=2/20 refuse=1/0 refuse=0% \
                     loss=101% loss=-1% loss=inf% loss=nan% corrupt=1/0 corrupt=2/8 corrupt=1/8Ei \
                     to-client:refuse=1/2 to-both:delay=1ms to-client: é delay±";
    for word in malformed.split(' ').chain([""]) {
        assert!(word.parse::<FaultSpec>().is_err(), "{word}");
    }
    let check = |spec: &str| {
        let spec: FaultSpec = spec.parse().unwrap();
        (spec.check_for_streams().is_ok(), spec.check_for_datagrams().is_ok())
    };
    assert_eq!(check("loss=5%"), (false, true));
    assert_eq!(check("delay=5ms"), (true, true));
    assert_eq!(check("close@5"), (true, false));
}

proptest! {
    #[test]
    fn lengths_of_reads_do_not_change_the_faults(
        seed: u64,
        len in 0usize..6000,
        lengths in prop::collection::vec(1usize..3000, 1..6),
        at in 0usize..6000,
        specs in prop::sample::subsequence(
            vec!["delay=5ms±5ms", "rate=1Mi", "slice=1..9", "stall=1s@2000", "corrupt=1/100", "close@AT",
                 "reset@AT", "drop@AT"], 1..8).prop_shuffle(),
    ) {
        let specs: Vec<_> = specs.iter().map(|spec| spec.replace("AT", &at.to_string())).collect();
        let specs: Vec<_> = specs.iter().map(String::as_str).collect();
        let bytes = some_bytes(len);
        let (in_one, _) = run(to_client(seed, &specs), &bytes, &[len.max(1)]);
        let (in_pieces, pieces) = run(to_client(seed, &specs), &bytes, &lengths);
        prop_assert_eq!(in_one, in_pieces);
        prop_assert!(pieces.is_sorted_by_key(|piece| piece.due));
    }

    #[test]
    fn any_spec_is_parsed_without_panic(word in "(delay|rate|slice|stall|close|refuse|corrupt|loss)?[=@]?.*") {
        let _ = word.parse::<FaultSpec>();
    }
}
