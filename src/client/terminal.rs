//! The prompt on the screen. Without an editor it is `> ` on stderr; with one the line that is
//! being typed follows it, and whatever is printed comes above.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "prompt")]
use super::line_editor::{Editor, Typed};
#[cfg(feature = "prompt")]
use super::raw_mode::Keys;
use crate::error::Failure;

/// The prompt. Clones are the same prompt.
#[derive(Clone)]
pub struct Prompt {
    /// Whether replies are printed on the terminal that shows the prompt.
    beside_replies: bool,
    /// Whether the prompt is shown at all.
    pub is_shown: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Whether the prompt is at the end of the screen.
    is_drawn: bool,
    /// Whether it has been taken away for good.
    is_closed: bool,
    #[cfg(feature = "prompt")]
    edited: Option<(Editor, Keys)>,
}

impl Prompt {
    /// A prompt without an editor, not yet drawn.
    pub fn plain(beside_replies: bool, is_shown: bool) -> Prompt {
        Prompt { beside_replies, is_shown, state: Arc::default() }
    }

    /// A prompt with an editor, not yet drawn; `keys` is what the terminal was before.
    #[cfg(feature = "prompt")]
    pub fn edited(keys: Keys) -> Prompt {
        let state = State { edited: Some((Editor::default(), keys)), ..State::default() };
        Prompt { beside_replies: true, is_shown: true, state: Arc::new(Mutex::new(state)) }
    }

    /// Draws the prompt: the next message is awaited.
    pub fn print_prompt(&self) {
        if self.is_shown {
            self.lock().draw();
        }
    }

    /// Prints a reply by `print`; on the terminal of the prompt above the line being typed.
    pub fn above(&self, print: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        if !self.beside_replies {
            return print();
        }
        let mut state = self.lock();
        state.erase(self.beside_replies);
        print()?;
        if self.is_shown {
            state.draw();
        }
        Ok(())
    }

    /// Prints a line of log output.
    pub fn log(&self, line: &str) {
        let mut state = self.lock();
        let was_drawn = state.is_drawn;
        state.erase(self.beside_replies);
        put(line.as_bytes());
        if was_drawn && state.is_edited() {
            state.draw();
        }
    }

    /// Takes the prompt away for good, and restores the terminal.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        #[cfg(feature = "prompt")]
        if let Some((_, keys)) = state.edited.take() {
            state.is_drawn = false;
            return keys.restore();
        }
        if self.beside_replies {
            state.erase(true);
        }
    }

    /// Whether the line is edited here, key by key.
    pub fn is_edited(&self) -> bool {
        self.lock().is_edited()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "prompt")]
impl Prompt {
    /// Gives what was typed to the editor, up to the first key that does more than edit; returns
    /// what that key did, and how many bytes were used.
    pub fn typed(&self, bytes: &[u8]) -> (Typed, usize) {
        let mut state = self.lock();
        let Some((editor, _)) = &mut state.edited else { return (Typed::End, bytes.len()) };
        for (at, byte) in bytes.iter().enumerate() {
            match editor.key(*byte) {
                Typed::Edited => {}
                Typed::Entered(line) => {
                    put(format!("\r\x1b[K> {}\n", super::line_editor::text(&line)).as_bytes());
                    state.is_drawn = false;
                    return (Typed::Entered(line), at + 1);
                }
                done => return (done, at + 1),
            }
        }
        state.draw();
        (Typed::Edited, bytes.len())
    }

    /// Stops this process as ^Z does, with the terminal as it was, until it is continued.
    pub fn suspend(&self) {
        let mut state = self.lock();
        let Some((_, keys)) = &state.edited else { return };
        keys.restore();
        let signal = rustix::process::Signal::TSTP;
        let _ = rustix::process::kill_current_process_group(signal);
        keys.take();
        state.draw();
    }
}

impl State {
    fn draw(&mut self) {
        if self.is_closed {
            return;
        }
        self.is_drawn = true;
        #[cfg(feature = "prompt")]
        if let Some((editor, _)) = &self.edited {
            let view = editor.view(columns().saturating_sub(2));
            let column = view.column + 2;
            return put(format!("\r\x1b[K> {}\r\x1b[{column}C", view.text).as_bytes());
        }
        put(b"> ");
    }

    /// Makes room for a line where the prompt is: over it on a terminal, else below.
    fn erase(&mut self, beside_replies: bool) {
        if std::mem::take(&mut self.is_drawn) {
            match (self.is_edited(), beside_replies) {
                (true, _) => put(b"\r\x1b[K"),
                (false, true) => put(b"\r"),
                (false, false) => put(b"\n"),
            }
        }
    }

    #[cfg(feature = "prompt")]
    fn is_edited(&self) -> bool {
        self.edited.is_some()
    }

    #[cfg(not(feature = "prompt"))]
    fn is_edited(&self) -> bool {
        false
    }
}

/// How wide the terminal is; one that does not say is taken for 80 columns.
#[cfg(feature = "prompt")]
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
    size.map_or(80, |size| if size.ws_col == 0 { 80 } else { size.ws_col.into() })
}

/// Writes to stderr; a failure there has no place to be reported.
pub fn put(bytes: &[u8]) {
    let _ = std::io::stderr().write_all(bytes);
}
