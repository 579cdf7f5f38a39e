//! Where a prompt's messages come from: an edited line with history on a terminal, plain lines
//! otherwise. Reading happens on a thread of its own, so that the peer's end can end the prompt.

use std::io::{BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::prompt::plain_prompt;
use crate::failure::{Code, Failure, Stage};
use crate::pump::stdout;
use crate::report::Report;

/// Something the user did.
pub enum Line {
    /// A message, without its line end.
    Message(String),
    /// ^D, or the end of stdin.
    End,
    /// ^C, where the prompt itself reads the keys; elsewhere it is SIGINT.
    #[cfg(feature = "prompt")]
    Interrupted,
}

/// Prints whole lines above the prompt.
type Above = Box<dyn FnMut(String) + Send>;

/// The user's lines.
pub struct Lines {
    lines: Receiver<Line>,
    above: Option<Above>,
    plain: bool,
    saved: Option<Termios>,
}

impl Lines {
    /// Starts to read lines; on a terminal, talk goes above the prompt from now on.
    ///
    /// Fails when no thread or no line editor can be had.
    pub fn open(report: &Report) -> Result<Lines, Failure> {
        let saved = tcgetattr(rustix::stdio::stdin()).ok();
        let (sender, lines) = sync_channel(1);
        let edited = std::io::stdin().is_terminal() && cfg!(feature = "prompt");
        if let (true, Some(saved)) = (edited, &saved) {
            keep_keys(saved);
        }
        let above = if edited { edit(sender, report)? } else { read(sender)? };
        Ok(Lines { lines, plain: above.is_none(), above, saved })
    }

    /// The next thing the user did, if anything.
    pub fn next(&self) -> Option<Line> {
        match self.lines.try_recv() {
            Ok(line) => Some(line),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Line::End),
        }
    }

    /// The last message is on its way: prompt for the next.
    pub fn ready(&self) {
        if self.plain {
            plain_prompt();
        }
    }

    /// Shows a reply above the prompt. A terminal gets the peer's text as it is: it was asked for
    /// as data.
    pub fn above(&mut self, reply: Vec<u8>) -> Result<(), Failure> {
        match &mut self.above {
            Some(above) => {
                above(String::from_utf8_lossy(&reply).into_owned());
                Ok(())
            }
            None => stdout::write_all(&reply),
        }
    }

    /// Gives the terminal back as it was, though a thread still reads from it.
    pub fn close(&mut self, report: &Report) {
        report.speak_through(None);
        if let (Some(saved), Some(_)) = (&self.saved, &self.above) {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, saved);
            let _ = rustix::io::write(rustix::stdio::stderr(), b"\r\x1b[K");
        }
        self.above = None;
    }
}

/// Between two edited lines the terminal would take keys line by line, and swallow a ^D typed then:
/// it hands out single keys as long as the prompt lives.
fn keep_keys(saved: &Termios) {
    let mut keys = saved.clone();
    keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &keys);
}

fn spawn(reads: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name("lines".into()).spawn(reads);
    spawned.map(drop).map_err(|e| Failure::new(Stage::Stdin, "-", e).with_code(Code::Negative))
}

/// Plain lines, with a plain prompt before each.
fn read(sender: SyncSender<Line>) -> Result<Option<Above>, Failure> {
    plain_prompt();
    spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(mut line) = line else { break };
            if line.ends_with(b"\r") {
                line.pop();
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            if sender.send(Line::Message(text)).is_err() {
                return;
            }
        }
        let _ = sender.send(Line::End);
    })?;
    Ok(None)
}

#[cfg(feature = "prompt")]
fn edit(sender: SyncSender<Line>, report: &Report) -> Result<Option<Above>, Failure> {
    use rustyline::error::ReadlineError;
    use rustyline::{Behavior, Config, ExternalPrinter, history::MemHistory};

    let failed =
        |e: ReadlineError| Failure::new(Stage::Stdin, "-", e.to_string()).with_code(Code::Negative);
    // The terminal itself, so that a redirected stdout gets replies and nothing else.
    let config = Config::builder().behavior(Behavior::PreferTerm).auto_add_history(true).build();
    let mut editor = rustyline::Editor::<(), MemHistory>::with_history(config, MemHistory::new())
        .map_err(failed)?;
    let mut talk = editor.create_external_printer().map_err(failed)?;
    let mut replies = editor.create_external_printer().map_err(failed)?;
    report.speak_through(Some(Box::new(move |line| drop(talk.print(line)))));
    spawn(move || {
        loop {
            let line = match editor.readline("> ") {
                Ok(text) => Line::Message(text),
                Err(ReadlineError::Interrupted) => Line::Interrupted,
                Err(_) => Line::End,
            };
            let last = !matches!(line, Line::Message(_));
            if sender.send(line).is_err() || last {
                return;
            }
        }
    })?;
    Ok(Some(Box::new(move |reply| drop(replies.print(reply)))))
}

#[cfg(not(feature = "prompt"))]
fn edit(sender: SyncSender<Line>, _: &Report) -> Result<Option<Above>, Failure> {
    read(sender)
}
