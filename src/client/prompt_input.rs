//! Where a prompt's messages come from: an edited line with history where that can be done, plain
//! lines otherwise. Reading happens on a thread of its own, so that the peer's end can end the
//! prompt.

#[cfg(feature = "prompt")]
use std::io::Read;
use std::io::{BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

#[cfg(feature = "prompt")]
use super::line_editor::Typed;
#[cfg(feature = "prompt")]
use super::raw_mode::Keys;
use super::terminal::Prompt;
use crate::error::{ExitCode, Failure, Phase};
#[cfg(feature = "prompt")]
use crate::net::stdio::FdStream;
use crate::report::Report;

/// Something the user did.
pub enum InputEvent {
    /// A message, without its line end.
    Message(Vec<u8>),
    /// ^D, or the end of stdin.
    End,
}

/// The user's lines.
pub struct PromptInput {
    lines: Receiver<InputEvent>,
    /// Lets the reader take the next line.
    go: SyncSender<()>,
    prompt: Prompt,
    report: Report,
}

impl PromptInput {
    /// Starts to read lines, and draws the prompt; log output does not share a line with it from
    /// now on. `beside_replies` says that replies appear on a terminal.
    ///
    /// Fails when no thread can be had.
    pub fn open(beside_replies: bool, report: &Report) -> Result<PromptInput, Failure> {
        let (sender, lines) = sync_channel(1);
        let (go, may_go) = sync_channel(1);
        let source = Source { sender, may_go };
        // JSON Lines on stderr leave no room for a plain prompt.
        let beside_replies = beside_replies && std::io::stderr().is_terminal();
        let prompt = edited().unwrap_or_else(|| Prompt::plain(beside_replies, !report.is_json()));
        if prompt.is_shown {
            let prompt = prompt.clone();
            report.set_line_printer(Some(Box::new(move |line| prompt.log(&line))));
        }
        prompt.print_prompt();
        let reading = prompt.clone();
        let spawned =
            thread::Builder::new().name("lines".into()).spawn(move || source.run(&reading));
        spawned.map_err(|e| Failure::new(Phase::Stdin, "-", e).with_code(ExitCode::Negative))?;
        Ok(PromptInput { lines, go, prompt, report: report.clone() })
    }

    /// The next thing the user did, if anything.
    pub fn next(&self) -> Option<InputEvent> {
        match self.lines.try_recv() {
            Ok(line) => Some(line),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(InputEvent::End),
        }
    }

    /// The last message is on its way: prompt for the next.
    pub fn ready(&self) {
        self.prompt.print_prompt();
        let _ = self.go.try_send(());
    }

    /// Whether stdin is a terminal.
    pub fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Prints a reply by `print`, above the prompt where that is on the same terminal.
    pub fn print_above(&self, print: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        self.prompt.above(print)
    }

    /// Takes the prompt away and restores the terminal, though a thread still reads from it.
    pub fn close(&self) {
        if self.prompt.is_edited() {
            self.report.set_line_printer(None);
        }
        self.prompt.close();
    }
}

impl Drop for PromptInput {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread that reads.
struct Source {
    sender: SyncSender<InputEvent>,
    may_go: Receiver<()>,
}

impl Source {
    fn run(self, prompt: &Prompt) {
        if prompt.is_edited() {
            #[cfg(feature = "prompt")]
            return self.read_keys(prompt);
        }
        self.read_lines();
    }

    /// Sends one message and waits until the next may follow; false at the end of the session.
    fn send(&self, message: Vec<u8>) -> bool {
        self.sender.send(InputEvent::Message(message)).is_ok() && self.may_go.recv().is_ok()
    }

    fn read_lines(&self) {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(mut line) = line else { break };
            if line.ends_with(b"\r") {
                line.pop();
            }
            if !self.send(line) {
                return;
            }
        }
        let _ = self.sender.send(InputEvent::End);
    }

    #[cfg(feature = "prompt")]
    fn read_keys(&self, prompt: &Prompt) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = FdStream(rustix::stdio::stdin()).read(&mut buffer) {
            let mut bytes = &buffer[..n];
            while !bytes.is_empty() {
                let (typed, used) = prompt.typed(bytes);
                bytes = &bytes[used..];
                match typed {
                    Typed::Edited => {}
                    Typed::Suspend => prompt.suspend(),
                    Typed::Entered(line) => {
                        if !self.send(line) {
                            return;
                        }
                    }
                    Typed::End => return drop(self.sender.send(InputEvent::End)),
                }
            }
        }
        let _ = self.sender.send(InputEvent::End);
    }
}

/// A prompt with an editor, where the terminals allow one.
#[cfg(feature = "prompt")]
fn edited() -> Option<Prompt> {
    Keys::open().map(Prompt::edited)
}

#[cfg(not(feature = "prompt"))]
fn edited() -> Option<Prompt> {
    None
}
