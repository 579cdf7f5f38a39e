//! What is fuzzed of message framing, apart from the fuzzer, so that the ordinary tests can run
//! it too.

use sockit::service::framing::Framing;
use sockit::service::message_splitter::{FramingError, InputState, MessageSplitter};

/// The longest message that is taken.
const MOST: usize = 64;

/// Cuts `bytes` into messages, once whole and once in pieces: the first byte chooses the framing,
/// the second the size of the pieces.
///
/// Panics where a promise is broken: other messages from other pieces (where the framing does not
/// go by pieces), bytes that are lost or made up, a message beyond the limit.
pub fn framing(bytes: &[u8]) {
    let [choice, step, text @ ..] = bytes else { return };
    let words = ["line", "chunk", "bytes:1", "bytes:7", "length:1", "length:2"];
    let word = words[usize::from(*choice) % words.len()];
    let Ok(framing) = word.parse() else { panic!("{word} is a framing") };
    let whole = cut(framing, text, text.len().max(1));
    let pieces = cut(framing, text, usize::from(*step).max(1));
    if framing != Framing::Chunk {
        assert_eq!(whole, pieces);
    }
    for messages in [whole, pieces].into_iter().flatten() {
        assert_eq!(messages.concat(), text);
    }
}

/// The messages with their line ends, as they come when each read brings `step` bytes.
fn cut(framing: Framing, text: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FramingError> {
    let mut splitter = MessageSplitter::new(framing, MOST);
    let mut messages = Vec::new();
    for mut piece in text.chunks(step) {
        while !piece.is_empty() {
            let space = splitter.space();
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            piece = &piece[n..];
            splitter.filled(n);
            drain(&mut splitter, InputState::Idle, framing, &mut messages)?;
        }
    }
    drain(&mut splitter, InputState::Eof, framing, &mut messages)?;
    Ok(messages)
}

fn drain(
    splitter: &mut MessageSplitter,
    flow: InputState,
    framing: Framing,
    to: &mut Vec<Vec<u8>>,
) -> Result<(), FramingError> {
    while let Some(message) = splitter.next(flow)? {
        assert!(message.text.len() <= MOST, "a message of {} bytes", message.text.len());
        let mut bytes = Vec::new();
        let framed = framing.append(&mut bytes, |out| out.extend_from_slice(message.text));
        framed.expect("a length that was read can be written");
        bytes.extend_from_slice(message.line_end);
        to.push(bytes);
    }
    Ok(())
}
