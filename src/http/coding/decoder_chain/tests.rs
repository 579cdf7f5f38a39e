use std::io::Read;

use flate2::Compression;

use super::*;
use crate::error::ExitCode;

fn head(codings: &str) -> Head {
    Head::of(200, &[("Content-Encoding", codings)])
}

/// The body and its notes, or its beginning and the error.
type Decoded = Result<(Vec<u8>, VecDeque<String>), (Vec<u8>, Error)>;

/// Decodes `input` in pieces of `step` bytes to its end.
fn decode(codings: &str, mut input: &[u8], step: usize) -> Decoded {
    let mut notes = VecDeque::new();
    let chain = DecoderChain::new(&head(codings), None, &mut notes).map_err(|e| (Vec::new(), e))?;
    let mut chain = chain.unwrap();
    let mut all = Vec::new();
    loop {
        let (mut piece, rest) = input.split_at(step.min(input.len()));
        loop {
            match chain.step(&mut piece) {
                Ok(true) => all.extend_from_slice(chain.output()),
                Ok(false) => break,
                Err(error) => return Err((all, error)),
            }
        }
        assert!(piece.is_empty());
        input = rest;
        if input.is_empty() {
            return match chain.finish(BodyFraming::Chunked, &mut notes) {
                Ok(()) => Ok((all, notes)),
                Err(error) => Err((all, error)),
            };
        }
    }
}

#[test]
fn part_of_an_encoded_body_is_not_decoded() {
    for (range, is_decoded) in [("bytes 0-9/10", true), ("bytes 0-8/10", false)] {
        let fields = [("Content-Encoding", "gzip"), ("Content-Range", range)];
        let mut notes = VecDeque::new();
        let chain = DecoderChain::new(&Head::of(206, &fields), None, &mut notes).unwrap();
        assert_eq!((chain.is_none(), notes.is_empty()), (!is_decoded, is_decoded), "{range}");
    }
}

fn read_all(mut encoder: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    encoder.read_to_end(&mut all).unwrap();
    all
}

fn gzip(data: &[u8]) -> Vec<u8> {
    read_all(flate2::read::GzEncoder::new(data, Compression::default()))
}

fn zlib(data: &[u8]) -> Vec<u8> {
    read_all(flate2::read::ZlibEncoder::new(data, Compression::default()))
}

fn raw(data: &[u8]) -> Vec<u8> {
    read_all(flate2::read::DeflateEncoder::new(data, Compression::default()))
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

/// "Hello, brotli! " 20 times, as brotli's reference encoder writes it.
const BROTLI: &[u8] = include_bytes!("../../../../tests/data/http/hello.br");

fn text() -> Vec<u8> {
    (0..20_000).flat_map(|n| format!("line {n} of some text\n").into_bytes()).collect()
}

#[test]
fn every_coding_is_decoded_in_any_split() {
    let text = text();
    let gz = gzip(&text);
    for (codings, body) in [
        ("gzip", gz.clone()),
        ("x-gzip", [gzip(&text[..1000]), gzip(b""), gzip(&text[1000..])].concat()),
        ("deflate", zlib(&text)),
        ("Deflate", raw(&text)),
        ("zstd", zstd(&text)),
        (
            "zstd",
            [
                zstd(&text[..1000]),
                vec![0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3],
                zstd(&text[1000..]),
            ]
            .concat(),
        ),
        ("deflate, identity, gzip, none", gzip(&zlib(&text))),
        ("gzip, gzip, gzip, gzip, gzip", gzip(&gzip(&gzip(&gzip(&gz))))),
    ] {
        for step in [1, 7, 4096, usize::MAX] {
            let (all, notes) = decode(codings, &body, step).unwrap();
            assert!(all == text && notes.is_empty(), "{codings} by {step}: {notes:?}");
        }
    }
}

#[test]
fn brotli_is_decoded() {
    for step in [1, usize::MAX] {
        let (all, _) = decode("br", BROTLI, step).unwrap();
        assert_eq!(all, b"Hello, brotli! ".repeat(20));
    }
    let (all, error) = decode("br", &BROTLI[..BROTLI.len() - 2], 1).unwrap_err();
    assert_eq!(error.code, ExitCode::Partial);
    assert!(b"Hello, brotli! ".repeat(20).starts_with(&all));
}

#[test]
fn truncation_is_detected_at_every_byte() {
    let text = &text()[..2000];
    for (codings, body) in [
        ("gzip", gzip(text)),
        ("deflate", zlib(text)),
        ("deflate", raw(text)),
        ("zstd", zstd(text)),
    ] {
        for cut in 1..body.len() {
            let (_, error) = decode(codings, &body[..cut], usize::MAX).unwrap_err();
            assert_eq!(error.code, ExitCode::Partial, "{codings} at {cut}: {error}");
        }
    }
}

#[test]
fn last_block_of_zstd_is_delivered_without_its_checksum() {
    let frame = b"\x28\xb5\x2f\xfd\x24\x05\x29\0\0hello";
    for sum in 0..4 {
        let body = [&frame[..], &[7; 4][..sum]].concat();
        let chain = DecoderChain::new(&head("zstd"), None, &mut VecDeque::new()).unwrap();
        let mut chain = chain.unwrap();
        assert!(!chain.step(&mut body.as_slice()).unwrap());
        chain.flush_truncated();
        assert!(chain.step(&mut &[][..]).unwrap());
        assert_eq!(chain.output(), b"hello", "{sum}");
        assert!(!chain.step(&mut &[][..]).unwrap());
        let error = chain.finish(BodyFraming::Close, &mut VecDeque::new()).unwrap_err();
        assert_eq!(error.code, ExitCode::Partial);
    }
}

#[test]
fn wrong_byte_is_detected() {
    let text = &text()[..2000];
    for (codings, body) in [("gzip", gzip(text)), ("deflate", zlib(text)), ("zstd", zstd(text))] {
        for at in 0..body.len() {
            let mut broken = body.clone();
            broken[at] ^= 0x55;
            let got = decode(codings, &broken, usize::MAX);
            assert!(!matches!(&got, Ok((all, _)) if all != text), "{codings} at {at}");
        }
    }
}

#[test]
fn gzip_header_with_every_field_is_read_and_its_checksum_verified() {
    let fields = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x03\0abcname\0comment\0";
    let mut crc = flate2::Crc::new();
    crc.update(fields);
    let sum = &crc.sum().to_le_bytes()[..2];
    let body = [&fields[..], sum, &gzip(b"hello")[10..]].concat();
    for step in 1..body.len() {
        assert_eq!(decode("gzip", &body, step).unwrap().0, b"hello");
        let (_, error) = decode("gzip", &body[..step], 1).unwrap_err();
        assert_eq!(error.code, ExitCode::Partial, "{step}");
    }
    for at in 10..fields.len() + 2 {
        let mut broken = body.clone();
        broken[at] ^= 0x55;
        assert!(decode("gzip", &broken, 1).is_err(), "{at}");
    }
}

#[test]
fn wrong_checksum_of_gzip_is_named_after_the_data() {
    let mut body = gzip(b"hello");
    let at = body.len() - 5;
    body[at] ^= 1;
    for step in [1, body.len()] {
        let (all, error) = decode("gzip", &body, step).unwrap_err();
        assert_eq!((&all[..], error.code), (&b"hello"[..], ExitCode::Coding));
        assert!(error.text.ends_with("incorrect data check"), "{error}");
    }
}

#[test]
fn bytes_after_the_end_are_noted() {
    for (codings, body) in [
        ("gzip", gzip(b"x")),
        ("deflate", zlib(b"x")),
        ("deflate", raw(b"")),
        ("zstd", zstd(b"x")),
        ("br", BROTLI.to_vec()),
    ] {
        for trailing in [&b"\x1f"[..], b"junk", b"\0\0\0\0\0\0\0\0\0\0\0\0"] {
            let (_, notes) = decode(codings, &[&body, trailing].concat(), 1).unwrap();
            assert!(
                notes[0].contains(&format!("{} bytes after the end", trailing.len())),
                "{notes:?}"
            );
        }
    }
}

#[test]
fn body_without_its_declared_coding_is_refused() {
    for codings in ["gzip", "deflate", "br", "zstd"] {
        let (_, error) =
            decode(codings, b"\xff\xff\xff\xff plain text, not encoded", 1).unwrap_err();
        assert_eq!(error.code, ExitCode::Coding, "{codings}");
    }
    let (_, error) = decode("gzip, gzip, gzip, gzip, gzip, gzip", b"", 1).unwrap_err();
    assert_eq!(error.code, ExitCode::Coding);
}

#[test]
fn too_many_empty_gzip_members_exceed_limit() {
    let nested = gzip(&gzip(b"").repeat(11_000));
    for (codings, body) in [
        ("gzip", gzip(b"").repeat(11_000)),
        ("gzip", gzip(b"x").repeat(11_000)),
        ("gzip, gzip", nested),
    ] {
        assert_eq!(decode(codings, &body, 4096).unwrap_err().1.code, ExitCode::Limit, "{codings}");
    }
    let logs = [gzip(b"").repeat(5_000), gzip(&[b'x'; 100]).repeat(11_000)].concat();
    assert_eq!(decode("gzip", &logs, 4096).unwrap().0.len(), 1_100_000);
}

#[test]
fn unknown_coding_is_not_decoded() {
    let mut notes = VecDeque::new();
    assert!(DecoderChain::new(&head("compress"), None, &mut notes).unwrap().is_none());
    assert_eq!(notes.len(), 1);
    let (all, notes) = decode("foo, gzip", &gzip(b"inner"), 1).unwrap();
    assert_eq!((all.as_slice(), notes.len()), (&b"inner"[..], 1));
}

#[test]
fn windows_are_limited_before_allocation() {
    let window_16_mib_zstd = [0x28, 0xb5, 0x2f, 0xfd, 0, 14 << 3, 1, 0, 0];
    let (_, error) = decode("zstd", &window_16_mib_zstd, 1).unwrap_err();
    assert_eq!(error.code, ExitCode::Limit, "{error}");
    let window_16_mib_br = [0x0f, 0, 0, 0];
    let (_, error) = decode("br, br", &window_16_mib_br, 1).unwrap_err();
    assert_eq!(error.code, ExitCode::Limit, "{error}");
    let large_window_br = [0x11, 0x19, 0, 0];
    assert_eq!(decode("br", &large_window_br, 1).unwrap_err().1.code, ExitCode::Coding);
}

#[test]
fn error_of_broken_deflate_does_not_depend_on_the_pieces() {
    // A stored byte-aligned start, then a distance beyond the first byte (zlib-rs has two messages).
    let broken = [b"\xcb\x42\x10".as_slice(), &[0xff; 400]].concat();
    let (body, error) = decode("deflate", &broken, 1).unwrap_err();
    let (other_body, other) = decode("deflate", &broken, broken.len()).unwrap_err();
    assert_eq!((body, &error.text), (other_body, &other.text));
    assert_eq!(error.text, "broken deflate coding");
}
