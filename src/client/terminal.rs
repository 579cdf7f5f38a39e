//! The prompt on the terminal. A plain one is `> ` on stderr; with a line editor the edited line
//! follows it, and replies and log lines are printed above.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "prompt")]
use super::line_editor::{KeyEffect, LineEditor, printable};
#[cfg(feature = "prompt")]
use super::raw_mode::RawMode;
use crate::error::Failure;
use crate::net::stdio::FdStream;

/// Where a prompt is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptPlace {
    /// On the terminal on which replies are printed.
    WithReplies,
    /// On stderr, apart from the replies.
    Apart,
    /// Nowhere.
    Hidden,
}

/// A prompt. Clones share its state.
#[derive(Clone)]
pub struct Prompt {
    place: PromptPlace,
    state: Arc<Mutex<State>>,
}

struct State {
    stderr: BorrowedFd<'static>,
    /// Whether the prompt is on the last line of the terminal.
    is_drawn: bool,
    /// Whether it has been removed for good.
    is_closed: bool,
    #[cfg(feature = "prompt")]
    edited: Option<EditedInput>,
}

#[cfg(feature = "prompt")]
struct EditedInput {
    editor: LineEditor,
    raw_mode: RawMode,
}

impl Prompt {
    /// A prompt without a line editor, not yet drawn.
    pub fn plain(stderr: BorrowedFd<'static>, place: PromptPlace) -> Prompt {
        let state = State {
            stderr,
            is_drawn: false,
            is_closed: false,
            #[cfg(feature = "prompt")]
            edited: None,
        };
        Prompt { place, state: Arc::new(Mutex::new(state)) }
    }

    /// Draws the prompt for the next message.
    pub fn draw(&self) {
        if self.is_visible() {
            self.lock().draw();
        }
    }

    /// Whether the prompt is printed at all.
    pub fn is_visible(&self) -> bool {
        self.place != PromptPlace::Hidden
    }

    /// Prints a reply by `print`, above the prompt if both are on the same terminal.
    ///
    /// Fails as `print` does.
    pub fn print_above(&self, print: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        if self.place != PromptPlace::WithReplies {
            return print();
        }
        let mut state = self.lock();
        state.erase(self.place);
        print()?;
        state.draw();
        Ok(())
    }

    /// Prints a line of log output on stderr.
    pub fn print_log(&self, line: &str) {
        let mut state = self.lock();
        let was_drawn = state.is_drawn;
        state.erase(self.place);
        state.print(line);
        if was_drawn && state.is_edited() {
            state.draw();
        }
    }

    /// Removes the prompt for good, and restores the terminal.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        #[cfg(feature = "prompt")]
        if let Some(edited) = state.edited.take() {
            state.is_drawn = false;
            return edited.raw_mode.restore();
        }
        if self.place == PromptPlace::WithReplies {
            state.erase(self.place);
        }
    }

    /// Whether there is a line editor.
    pub fn is_edited(&self) -> bool {
        self.lock().is_edited()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "prompt")]
impl Prompt {
    /// This prompt, with a line editor on a terminal in raw mode.
    pub fn with_editor(self, raw_mode: RawMode) -> Prompt {
        self.lock().edited = Some(EditedInput { editor: LineEditor::default(), raw_mode });
        self
    }

    /// Passes typed bytes to the line editor, up to the first key that does more than edit. Returns
    /// that key's effect, and removes the processed bytes.
    pub fn type_keys(&self, bytes: &mut &[u8]) -> KeyEffect {
        let mut state = self.lock();
        let Some(edited) = &mut state.edited else { return KeyEffect::Eof };
        while let [key, rest @ ..] = *bytes {
            *bytes = rest;
            let effect = edited.editor.on_key(*key);
            if let KeyEffect::Entered(line) = &effect {
                state.print(&format!("\r\x1b[K> {}\n", printable(line)));
                state.is_drawn = false;
                return effect;
            }
            if effect != KeyEffect::Edited {
                return effect;
            }
        }
        state.draw();
        KeyEffect::Edited
    }

    /// Restores the terminal and stops the process as ^Z does, until SIGCONT.
    pub fn suspend(&self) {
        let mut state = self.lock();
        let Some(edited) = &state.edited else { return };
        edited.raw_mode.restore();
        let signal = rustix::process::Signal::TSTP;
        let _ = rustix::process::kill_current_process_group(signal);
        edited.raw_mode.enable();
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
        if let Some(edited) = &self.edited {
            let view = edited.editor.view(columns(self.stderr).saturating_sub(2));
            let column = view.column + 2;
            return self.print(&format!("\r\x1b[K> {}\r\x1b[{column}C", view.text));
        }
        self.print("> ");
    }

    /// Moves to the line on which something else is printed: the prompt's own if replies are on its
    /// terminal, else the next.
    fn erase(&mut self, place: PromptPlace) {
        if !std::mem::take(&mut self.is_drawn) {
            return;
        }
        match place {
            _ if self.is_edited() => self.print("\r\x1b[K"),
            PromptPlace::WithReplies => self.print("\r"),
            PromptPlace::Apart | PromptPlace::Hidden => self.print("\n"),
        }
    }

    /// Writes to stderr. A failure is ignored, because errors are reported there.
    fn print(&self, text: &str) {
        let _ = FdStream(self.stderr).write_all(text.as_bytes());
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

/// The width of the terminal; 80 if it is unknown.
#[cfg(feature = "prompt")]
fn columns(stderr: BorrowedFd<'_>) -> usize {
    let size = rustix::termios::tcgetwinsize(stderr);
    size.map_or(80, |size| if size.ws_col == 0 { 80 } else { size.ws_col.into() })
}
