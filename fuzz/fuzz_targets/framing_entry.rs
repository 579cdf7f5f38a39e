//! The fuzzed code for message framing, separate from the fuzzer, so that the ordinary tests can run
//! it too.

use sockit::service::framing::Framing;
use sockit::service::message_splitter::{FramingError, InputState, MessageSplitter};

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 64;

/// Splits `bytes` into messages, once complete and once in pieces: the first byte selects the
/// framing, the second the size of the pieces.
///
/// Panics when the messages depend on the pieces (except `chunk`), when bytes are lost or added, or
/// when a message exceeds the limit.
pub fn framing(bytes: &[u8]) {
    let [choice, step, text @ ..] = bytes else { return };
    let words = ["line", "chunk", "bytes:1", "bytes:7", "length:1", "length:2"];
    let word = words[usize::from(*choice) % words.len()];
    let Ok(framing) = word.parse() else { panic!("{word} is a framing") };
    let complete = split(framing, text, text.len().max(1));
    let pieces = split(framing, text, usize::from(*step).max(1));
    if framing != Framing::Chunk {
        assert_eq!(complete, pieces);
    }
    for messages in [complete, pieces].into_iter().flatten() {
        assert_eq!(messages.concat(), text);
    }
}

/// The messages with their line ends, when each read returns `step` bytes.
fn split(framing: Framing, text: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FramingError> {
    let mut splitter = MessageSplitter::new(framing, MAX_MESSAGE);
    let mut messages = Vec::new();
    for mut piece in text.chunks(step) {
        while !piece.is_empty() {
            let space = splitter.space();
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            piece = &piece[n..];
            splitter.filled(n);
            take_messages(&mut splitter, InputState::Idle, framing, &mut messages)?;
        }
    }
    take_messages(&mut splitter, InputState::Eof, framing, &mut messages)?;
    Ok(messages)
}

fn take_messages(
    splitter: &mut MessageSplitter,
    state: InputState,
    framing: Framing,
    to: &mut Vec<Vec<u8>>,
) -> Result<(), FramingError> {
    while let Some(message) = splitter.next(state)? {
        assert!(message.text.len() <= MAX_MESSAGE, "a message of {} bytes", message.text.len());
        let mut bytes = Vec::new();
        let framed = framing.append(&mut bytes, |out| out.extend_from_slice(message.text));
        framed.expect("a length that was read can be written");
        bytes.extend_from_slice(message.line_end);
        to.push(bytes);
    }
    Ok(())
}
