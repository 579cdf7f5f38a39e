//! The fuzzed code for HTTP responses, separate from the fuzzer, so that the ordinary tests can run it too.

use sockit::error::ExitCode;
use sockit::http::{Leniency, ParserEvent, ParserOptions, ResponseParser, StreamEnd};

/// Parses `bytes` as a response, once complete and once split, and compares the results.
///
/// The first byte selects the options, the second the size of the pieces. Panics when the events
/// depend on the split, a body exceeds its limit, or a response does not end.
pub fn response(bytes: &[u8]) {
    let [choice, step, text @ ..] = bytes else { return };
    let (result, body) = read(*choice, &[text]);
    let step = usize::from(*step).max(1);
    let pieces: Vec<&[u8]> = text.chunks(step).collect();
    let (other_result, other_body) = read(*choice, &pieces);
    // How much is delivered before an error in a coding depends on how much input the decoder had,
    // and with it the first error of an inner coding.
    let broken = [&result, &other_result].contains(&&Err(ExitCode::Coding));
    let common = if broken {
        assert!(result.is_err() && other_result.is_err(), "{result:?}, {other_result:?}");
        body.len().min(other_body.len())
    } else {
        assert_eq!(result, other_result);
        body.len().max(other_body.len())
    };
    assert_eq!(body.get(..common), other_body.get(..common));
}

const MAX_DECODED: u64 = 1 << 16;

fn options(choice: u8) -> ParserOptions {
    ParserOptions {
        head_request: choice & 1 != 0,
        max_header: if choice & 2 != 0 { 64 } else { 4096 },
        max_decoded: (choice & 4 != 0).then_some(MAX_DECODED),
        decode: choice & 8 == 0,
        leniency: if choice & 16 != 0 { Leniency::Lenient } else { Leniency::Strict },
        http09: choice & 32 != 0,
    }
}

/// The result and the body.
type Outcome = (Result<(), ExitCode>, Vec<u8>);

fn read(choice: u8, pieces: &[&[u8]]) -> Outcome {
    let mut parser = ResponseParser::new(options(choice));
    let mut body = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        if let Some(result) = events(&mut parser, &mut piece, &mut body) {
            return (result, body);
        }
        assert!(piece.is_empty(), "input is needed while there is input");
    }
    parser.end(if choice & 64 == 0 { StreamEnd::Clean } else { StreamEnd::Truncated });
    let result = events(&mut parser, &mut &[][..], &mut body).expect("an end");
    (result, body)
}

fn events(
    parser: &mut ResponseParser,
    piece: &mut &[u8],
    body: &mut Vec<u8>,
) -> Option<Result<(), ExitCode>> {
    loop {
        match parser.next(piece) {
            Ok(ParserEvent::NeedInput) => return None,
            Ok(ParserEvent::Done) => return Some(Ok(())),
            Ok(ParserEvent::Body(bytes)) => body.extend_from_slice(bytes),
            Ok(ParserEvent::Http09(bytes)) => body.extend_from_slice(&bytes),
            Ok(ParserEvent::Interim(_) | ParserEvent::Head(_) | ParserEvent::Note(_)) => {}
            Err(error) => return Some(Err(error.code)),
        }
        assert!(body.len() < 80 << 20, "the decoded size is not limited");
    }
}
