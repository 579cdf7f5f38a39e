//! What is fuzzed, apart from the fuzzer, so that the ordinary tests can run it too.

use sockit::http::{ErrorKind, Event, Leniency, ParserOptions, ResponseParser, StreamEnd};

/// Reads `bytes` as an answer, once whole and once split, and compares the outcomes.
///
/// The first byte chooses the rules, the second the size of the pieces. Panics where a promise
/// is broken: different facts from different splits, a body over its limit, an answer that does
/// not come to an end.
pub fn answer(bytes: &[u8]) {
    let [choice, step, text @ ..] = bytes else { return };
    let (verdict, body) = read(*choice, &[text]);
    let step = usize::from(*step).max(1);
    let pieces: Vec<&[u8]> = text.chunks(step).collect();
    let (other_verdict, other_body) = read(*choice, &pieces);
    // How much of what precedes a break in a coding comes out depends on how much of it the
    // decoder had in hand when it met the break; and with it, what a coding inside finds first.
    let broken = [&verdict, &other_verdict].contains(&&Err(ErrorKind::Coding));
    let common = if broken {
        assert!(verdict.is_err() && other_verdict.is_err(), "{verdict:?}, {other_verdict:?}");
        body.len().min(other_body.len())
    } else {
        assert_eq!(verdict, other_verdict);
        body.len().max(other_body.len())
    };
    assert_eq!(body.get(..common), other_body.get(..common));
}

const MAX_DECODED: u64 = 1 << 16;

fn rules(choice: u8) -> ParserOptions {
    ParserOptions {
        head_request: choice & 1 != 0,
        max_header: if choice & 2 != 0 { 64 } else { 4096 },
        max_decoded: (choice & 4 != 0).then_some(MAX_DECODED),
        decode: choice & 8 == 0,
        leniency: if choice & 16 != 0 { Leniency::Lenient } else { Leniency::Strict },
        http09: choice & 32 != 0,
    }
}

/// The verdict and the body.
type Outcome = (Result<(), ErrorKind>, Vec<u8>);

fn read(choice: u8, pieces: &[&[u8]]) -> Outcome {
    let mut answer = ResponseParser::new(rules(choice));
    let mut body = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        if let Some(verdict) = facts(&mut answer, &mut piece, &mut body) {
            return (verdict, body);
        }
        assert!(piece.is_empty(), "more was wanted while there was more");
    }
    answer.end(if choice & 64 == 0 { StreamEnd::Clean } else { StreamEnd::Truncated });
    let verdict = facts(&mut answer, &mut &[][..], &mut body).expect("an end");
    (verdict, body)
}

fn facts(
    answer: &mut ResponseParser,
    piece: &mut &[u8],
    body: &mut Vec<u8>,
) -> Option<Result<(), ErrorKind>> {
    loop {
        match answer.next(piece) {
            Ok(Event::NeedInput) => return None,
            Ok(Event::Done) => return Some(Ok(())),
            Ok(Event::Body(bytes)) => body.extend_from_slice(bytes),
            Ok(Event::Interim(_) | Event::Head | Event::Note(_)) => {}
            Err(error) => return Some(Err(error.kind)),
        }
        assert!(body.len() < 80 << 20, "a bomb went off");
    }
}
