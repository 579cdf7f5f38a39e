use proptest::prelude::*;

use super::*;
use crate::http::{Head, Leniency};

/// The result of one response, however it is split.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Outcome {
    head: Option<Head>,
    interims: usize,
    body: Vec<u8>,
    notes: Vec<String>,
    result: Result<(), Error>,
    progress: BodyProgress,
}

impl Outcome {
    fn code(&self) -> Option<ExitCode> {
        self.result.as_ref().err().map(|error| error.code)
    }
}

/// Reads `pieces` as one stream.
fn read<'a>(
    options: ParserOptions,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    end: StreamEnd,
) -> Outcome {
    let mut parser = ResponseParser::new(options);
    let mut outcome = Outcome {
        head: None,
        interims: 0,
        body: Vec::new(),
        notes: Vec::new(),
        result: Ok(()),
        progress: BodyProgress::default(),
    };
    let mut done = false;
    for mut piece in pieces {
        while !done && step(&mut parser, &mut piece, &mut outcome, &mut done) {}
    }
    if !done {
        parser.end(end);
        while !done && step(&mut parser, &mut &[][..], &mut outcome, &mut done) {}
        assert!(done, "a stream that has ended must end the response");
    }
    // The position of an error depends on the input that the decoder had.
    if outcome.code() != Some(ExitCode::Coding) {
        outcome.progress = parser.progress();
    }
    outcome
}

/// Reads one event; false when more input is needed or the response is done.
fn step(
    parser: &mut ResponseParser,
    piece: &mut &[u8],
    outcome: &mut Outcome,
    done: &mut bool,
) -> bool {
    match parser.next(piece) {
        Ok(ParserEvent::NeedInput) => {
            assert!(piece.is_empty(), "More with input left");
            return false;
        }
        Ok(ParserEvent::Interim(_)) => outcome.interims += 1,
        Ok(ParserEvent::Head(head)) => outcome.head = Some(head),
        Ok(ParserEvent::Http09(bytes)) => outcome.body.extend_from_slice(&bytes),
        Ok(ParserEvent::Body(bytes)) => {
            assert!(!bytes.is_empty(), "an empty piece of body");
            outcome.body.extend_from_slice(bytes);
        }
        Ok(ParserEvent::Note(note)) => outcome.notes.push(note),
        Ok(ParserEvent::Done) => *done = true,
        Err(mut error) => {
            // How much of another protocol is quoted depends on how much was received.
            error.text.truncate(error.text.find("it begins").unwrap_or(error.text.len()));
            (outcome.result, *done) = (Err(error), true);
        }
    }
    !*done
}

fn parse(text: &[u8]) -> Outcome {
    read(ParserOptions::default(), [text], StreamEnd::Clean)
}

#[test]
fn each_framing_gives_its_body() {
    for (text, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length:\t5\t\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello"),
        ("HTTP/1.0 200 OK\nConnection: keep-alive\n\nHTTP/1.0 200 OK", "HTTP/1.0 200 OK"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
        ),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", ""),
        ("HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n\r\n", ""),
        (
            "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hint\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
            "x",
        ),
    ] {
        let outcome = parse(text.as_bytes());
        assert_eq!(outcome.result, Ok(()), "{text}");
        assert_eq!(outcome.body, body.as_bytes(), "{text}");
    }
}

#[test]
fn unusual_but_unambiguous_is_accepted_with_note() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: foo\r\n\r\nx",
    ] {
        let outcome = parse(text.as_bytes());
        assert_eq!((outcome.result, outcome.body), (Ok(()), b"x".to_vec()), "{text}");
        assert_eq!(outcome.notes.len(), 1, "{text}");
    }
}

#[test]
fn wrong_framing_is_refused() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5abc",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 5,",
        "Content-Length: 00000000000000000005",
        "Content-Length: 99999999999999999999",
        "Content-Length: 5.0",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunkedchunked",
        "Transfer-Encoding: identityx",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\n abc",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5abc",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello");
        assert_eq!(parse(text.as_bytes()).code(), Some(ExitCode::Protocol), "{fields}");
    }
}

#[test]
fn truncation_is_detected_after_delivery() {
    for (text, code, body) in [
        ("", ExitCode::Empty, ""),
        ("H", ExitCode::Partial, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", ExitCode::Partial, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", ExitCode::Partial, "hel"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ExitCode::Partial, ""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            ExitCode::Partial,
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            ExitCode::Partial,
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
            ExitCode::Protocol,
            "hello",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", ExitCode::Partial, ""),
        ("HTTP/1.1 100 Go on\r\n\r\n", ExitCode::Empty, ""),
        ("SSH-2.0-OpenSSH\r\n", ExitCode::Protocol, ""),
        ("HTTP/1.1 101 Switching\r\n\r\n", ExitCode::Protocol, ""),
    ] {
        let outcome = parse(text.as_bytes());
        assert_eq!((outcome.code(), outcome.body), (Some(code), body.into()), "{text:?}");
    }
    let text: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhello";
    let cut = read(ParserOptions::default(), [text], StreamEnd::Truncated);
    assert_eq!((cut.code(), cut.body), (Some(ExitCode::Partial), b"hello".to_vec()));
    let text: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(read(ParserOptions::default(), [text], StreamEnd::Truncated).result, Ok(()));
}

#[test]
fn endless_interim_responses_exceed_limit() {
    let outcome = parse("HTTP/1.1 100 Go on\r\n\r\n".repeat(50).as_bytes());
    assert_eq!(outcome.code(), Some(ExitCode::Limit));
}

#[test]
fn http09_is_accepted_when_allowed() {
    let options = || ParserOptions { http09: true, ..ParserOptions::default() };
    for text in ["<html>", "H", "HTTPr\n", "\r\nHTT"] {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        let outcome = read(options(), pieces, StreamEnd::Clean);
        assert_eq!((outcome.result, outcome.body), (Ok(()), text.into()), "{text:?}");
    }
    let head = ParserOptions { head_request: true, ..options() };
    assert_eq!(read(head, [&b"<html>"[..]], StreamEnd::Clean).code(), Some(ExitCode::Protocol));
    assert_eq!(read(options(), [], StreamEnd::Clean).code(), Some(ExitCode::Empty));
}

#[test]
fn lenient_accepts_syntax_but_not_wrong_framing() {
    let options = || ParserOptions { leniency: Leniency::Lenient, ..ParserOptions::default() };
    for text in [
        "HTTP/1.1  200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\n Folded: at once\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1 \nx\n0\n\n",
    ] {
        let outcome = read(options(), [text.as_bytes()], StreamEnd::Clean);
        assert_eq!((outcome.result, outcome.body), (Ok(()), b"x".to_vec()), "{text}");
    }
    let text: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx";
    assert_eq!(read(options(), [text], StreamEnd::Clean).code(), Some(ExitCode::Protocol));
}

fn gzipped(size: usize) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let piece = vec![0; 1 << 20];
    for _ in 0..size >> 20 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn decompression_bomb_fails_and_large_body_does_not() {
    let response = |size| {
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec(), gzipped(size)].concat()
    };
    let bomb = response(100 << 20);
    let outcome = parse(&bomb);
    assert_eq!(outcome.code(), Some(ExitCode::Limit));
    assert_eq!(outcome.progress.decoded, 64 << 20);
    assert_eq!(parse(&response(60 << 20)).result, Ok(()));
    let capped = |max| ParserOptions { max_decoded: Some(max), ..ParserOptions::default() };
    assert_eq!(read(capped(100 << 20), [&bomb[..]], StreamEnd::Clean).result, Ok(()));
    let short = read(capped(1000), [&bomb[..]], StreamEnd::Clean);
    assert_eq!((short.code(), short.body.len()), (Some(ExitCode::Limit), 1000));
}

#[test]
fn passthrough_bytes_bypass_parser() {
    let mut parser = ResponseParser::new(ParserOptions::default());
    let mut input: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    assert!(matches!(parser.next(&mut input), Ok(ParserEvent::Head(_))));
    assert_eq!(parser.passthrough_len(), 100);
    parser.advance_passthrough(60);
    assert_eq!((parser.passthrough_len(), parser.progress().received), (40, 60));
    parser.advance_passthrough(40);
    assert!(matches!(parser.next(&mut input), Ok(ParserEvent::Done)));
}

/// Answers that are nearly right: parts of real ones, put together, then bent a little.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404\n",
        "HTTP/1.1 100 Go on\r\n\r\n",
        "\r\n",
        "\n",
        "Content-Length: 5\r\n",
        "Content-Length: 12\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: br\r\n",
        "Content-Encoding: deflate\r\n",
        "Content-Encoding: zstd\r\n",
        "A: b\r\n",
        " fold\r\n",
        "\r\n\r\n",
        "hello",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "5;a=b\r\n",
        "\r",
        "\0",
        ":",
        " ",
        "T: r\r\n",
        "\x1f\u{8b}\x08",
    ]);
    let parts = prop::collection::vec(part, 0..12);
    let noise = prop::collection::vec(any::<u8>(), 0..4);
    let begin = prop::sample::select(vec!["HTTP/1.1 200 OK\r\n", ""]);
    (begin, parts, noise).prop_map(|(begin, parts, noise)| {
        [begin.as_bytes(), parts.concat().as_bytes(), &noise].concat()
    })
}

proptest! {
    #[test]
    fn any_split_gives_same_events(
        text in answers(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        leniency in prop::sample::select(vec![Leniency::Strict, Leniency::Lenient]),
        http09: bool,
    ) {
        let options = || ParserOptions { leniency, http09, max_header: 100, ..ParserOptions::default() };
        let unsplit = read(options(), [&text[..]], StreamEnd::Clean);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| &text[pair[0]..pair[1]]);
        prop_assert_eq!(&read(options(), pieces, StreamEnd::Clean), &unsplit);
        prop_assert_eq!(&read(options(), text.chunks(1), StreamEnd::Clean), &unsplit);
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), coding in 0..5_usize) {
        let coding = ["gzip", "deflate", "br", "zstd", "zstd, gzip"][coding];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n");
        read(ParserOptions::default(), [head.as_bytes(), &bytes[..]], StreamEnd::Clean);
        read(ParserOptions::default(), [&bytes[..]], StreamEnd::Clean);
    }
}
