//! The messages typed at a prompt: lines of a line editor where the terminals allow one, else lines
//! of stdin. A thread reads them, so that the peer can end the session meanwhile.

#[cfg(feature = "prompt")]
use std::io::Read;
use std::io::{BufRead, BufReader, IsTerminal};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

#[cfg(feature = "prompt")]
use super::line_editor::KeyEffect;
use super::output_sink::OutputSink;
#[cfg(feature = "prompt")]
use super::raw_mode::RawMode;
use super::terminal::{Prompt, PromptPlace};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdio::{FdStream, StdStreams};
use crate::report::Report;

/// The input of a prompt.
pub struct PromptInput {
    stdin: BorrowedFd<'static>,
    /// Messages without their line ends, until ^D or the end of stdin.
    messages: Receiver<Vec<u8>>,
    /// Lets the thread read the next line.
    permits: SyncSender<()>,
    /// The prompt on the terminal.
    pub prompt: Prompt,
    report: Report,
}

impl PromptInput {
    /// Draws the prompt and starts to read; log output is printed above the prompt from now on.
    ///
    /// Fails at [`Phase::Stdin`] when the thread cannot be created.
    pub fn open(
        std: StdStreams,
        output: &OutputSink,
        report: &Report,
    ) -> Result<PromptInput, Failure> {
        let (sender, messages) = sync_channel(1);
        let (permits, next_permit) = sync_channel(1);
        let stdin = std.stdin;
        let thread = InputThread { stdin, sender, next_permit };
        let prompt = prompt(std, output, report);
        if prompt.is_visible() {
            let prompt = prompt.clone();
            report.set_line_printer(Some(Box::new(move |line| prompt.print_log(&line))));
        }
        prompt.draw();
        let shared = prompt.clone();
        let spawned =
            thread::Builder::new().name("input".into()).spawn(move || thread.run(&shared));
        spawned.map_err(|e| Failure::new(Phase::Stdin, "-", e).with_code(ExitCode::Negative))?;
        Ok(PromptInput { stdin, messages, permits, prompt, report: report.clone() })
    }

    /// The next message, without its line end, if it is there.
    ///
    /// Fails with `Disconnected` at the end of the input.
    pub fn next(&self) -> Result<Vec<u8>, TryRecvError> {
        self.messages.try_recv()
    }

    /// Prompts for the next message, once the last one is sent.
    pub fn ready(&self) {
        self.prompt.draw();
        let _ = self.permits.try_send(());
    }

    /// Whether stdin is a terminal.
    pub fn is_interactive(&self) -> bool {
        self.stdin.is_terminal()
    }

    /// Removes the prompt and restores the terminal. The thread may still be reading from it.
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
struct InputThread {
    stdin: BorrowedFd<'static>,
    sender: SyncSender<Vec<u8>>,
    next_permit: Receiver<()>,
}

impl InputThread {
    fn run(self, prompt: &Prompt) {
        if prompt.is_edited() {
            #[cfg(feature = "prompt")]
            self.read_keys(prompt);
        } else {
            self.read_lines();
        }
    }

    /// Passes a message on and waits for the permit for the next; `false` at the end of the session.
    fn send(&self, message: Vec<u8>) -> bool {
        self.sender.send(message).is_ok() && self.next_permit.recv().is_ok()
    }

    fn read_lines(&self) {
        for line in BufReader::new(FdStream(self.stdin)).split(b'\n') {
            let Ok(mut line) = line else { break };
            if line.ends_with(b"\r") {
                line.pop();
            }
            if !self.send(line) {
                return;
            }
        }
    }

    #[cfg(feature = "prompt")]
    fn read_keys(&self, prompt: &Prompt) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = FdStream(self.stdin).read(&mut buffer) {
            let mut bytes = &buffer[..n];
            while !bytes.is_empty() {
                match prompt.type_keys(&mut bytes) {
                    KeyEffect::Edited => {}
                    KeyEffect::Suspend => prompt.suspend(),
                    KeyEffect::Entered(line) => {
                        if !self.send(line) {
                            return;
                        }
                    }
                    KeyEffect::Eof => return,
                }
            }
        }
    }
}

/// A prompt with a line editor where the terminals allow one, else a plain one.
fn prompt(std: StdStreams, output: &OutputSink, report: &Report) -> Prompt {
    let is_shared = output.is_terminal() && std.stderr.is_terminal();
    let place = if is_shared { PromptPlace::WithReplies } else { PromptPlace::Apart };
    #[cfg(feature = "prompt")]
    let term = std::env::var("TERM").unwrap_or_default();
    #[cfg(feature = "prompt")]
    if let Some(raw_mode) = RawMode::open(std, &term) {
        return Prompt::plain(std.stderr, place).with_editor(raw_mode);
    }
    // stderr contains nothing but JSON Lines under `--json`.
    let place = if report.is_json() { PromptPlace::Hidden } else { place };
    Prompt::plain(std.stderr, place)
}
