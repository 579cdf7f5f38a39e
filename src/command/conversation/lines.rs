//! Where a prompt's messages come from: an edited line with history where that can be done, plain
//! lines otherwise. Reading happens on a thread of its own, so that the peer's end can end the
//! prompt.

use std::io::{BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use super::screen::Plain;
#[cfg(feature = "prompt")]
use super::screen::Saved;
use crate::failure::{Code, Failure, Stage};
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
#[cfg(feature = "prompt")]
type Above = Box<dyn FnMut(String) + Send>;

/// The user's lines.
pub struct Lines {
    lines: Receiver<Line>,
    manner: Manner,
}

/// A prompt with an editor.
#[cfg(feature = "prompt")]
struct Edited {
    /// Draws replies above the line in the making.
    above: Above,
    /// Lets it ask for the next line: until then it leaves the terminal alone, which may have been
    /// given back by then.
    go: SyncSender<()>,
    saved: Saved,
    report: Report,
}

/// How the prompt stands on the screen.
enum Manner {
    /// With an editor.
    #[cfg(feature = "prompt")]
    Edited(Edited),
    /// Plain.
    Plain(Plain),
    /// Not any more.
    Closed,
}

impl Lines {
    /// Starts to read lines; where they are edited, talk goes above the prompt from now on.
    /// `beside_replies` says that those appear on a terminal.
    ///
    /// Fails when no thread can be had.
    pub fn open(beside_replies: bool, report: &Report) -> Result<Lines, Failure> {
        let (sender, lines) = sync_channel(1);
        let manner = match editor(report) {
            Some((manner, reads)) => {
                spawn(move || reads(sender))?;
                manner
            }
            None => {
                spawn(move || read(&sender))?;
                Manner::Plain(plain(beside_replies, report))
            }
        };
        Ok(Lines { lines, manner })
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
        match &self.manner {
            #[cfg(feature = "prompt")]
            Manner::Edited(edited) => drop(edited.go.try_send(())),
            Manner::Plain(prompt) => prompt.ask(),
            Manner::Closed => {}
        }
    }

    /// Whether somebody sits there and types.
    pub fn are_typed(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Shows a reply on the terminal, above the prompt, or where there is no editor by `show`. A
    /// terminal gets the peer's text as it is: it was asked for as data.
    pub fn above(
        &mut self,
        reply: Vec<u8>,
        show: impl FnOnce(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match &mut self.manner {
            #[cfg(feature = "prompt")]
            Manner::Edited(edited) => {
                (edited.above)(String::from_utf8_lossy(&reply).into_owned());
                Ok(())
            }
            Manner::Plain(prompt) if prompt.beside_replies => {
                prompt.step_aside();
                show(&reply)?;
                prompt.ask();
                Ok(())
            }
            Manner::Plain(_) | Manner::Closed => show(&reply),
        }
    }

    /// Takes the prompt away and gives the terminal back as it was, though a thread still reads
    /// from it.
    pub fn close(&mut self) {
        match std::mem::replace(&mut self.manner, Manner::Closed) {
            #[cfg(feature = "prompt")]
            Manner::Edited(edited) => {
                edited.report.speak_through(None);
                edited.saved.restore();
            }
            Manner::Plain(prompt) if prompt.beside_replies => prompt.step_aside(),
            Manner::Plain(_) | Manner::Closed => {}
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.close();
    }
}

/// A plain prompt, which talk does not share a line with from now on. Talk that is JSON is nothing
/// else: then there is none.
fn plain(beside_replies: bool, report: &Report) -> Plain {
    let beside = beside_replies && std::io::stderr().is_terminal();
    let prompt = Plain::new(beside, !report.is_json());
    if prompt.is_shown {
        let aside = prompt.clone();
        report.speak_through(Some(Box::new(move |line| aside.tell(&line))));
    }
    prompt.ask();
    prompt
}

fn spawn(reads: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name("lines".into()).spawn(reads);
    spawned.map(drop).map_err(|e| Failure::new(Stage::Stdin, "-", e).with_code(Code::Negative))
}

/// Plain lines.
fn read(sender: &SyncSender<Line>) {
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
}

/// What reads lines on its thread.
type Reads = Box<dyn FnOnce(SyncSender<Line>) + Send>;

/// An editor, where the terminals allow one.
#[cfg(feature = "prompt")]
fn editor(report: &Report) -> Option<(Manner, Reads)> {
    use rustyline::error::ReadlineError;
    use rustyline::{Config, ExternalPrinter, history::MemHistory};

    let behavior = super::screen::editable()?;
    let config = Config::builder().behavior(behavior).auto_add_history(true).build();
    let history = MemHistory::new();
    let mut editor = rustyline::Editor::<(), MemHistory>::with_history(config, history).ok()?;
    let mut talk = editor.create_external_printer().ok()?;
    let mut replies = editor.create_external_printer().ok()?;
    let saved = Saved::keep_keys()?;
    report.speak_through(Some(Box::new(move |line| drop(talk.print(line)))));
    let (go, may_go) = sync_channel(1);
    let reads = move |sender: SyncSender<Line>| loop {
        let line = match editor.readline("> ") {
            Ok(text) => Line::Message(text),
            Err(ReadlineError::Interrupted) => Line::Interrupted,
            Err(_) => Line::End,
        };
        let last = !matches!(line, Line::Message(_));
        if sender.send(line).is_err() || last || may_go.recv().is_err() {
            return;
        }
    };
    let above = Box::new(move |reply| drop(replies.print(reply)));
    let edited = Edited { above, go, saved, report: report.clone() };
    Some((Manner::Edited(edited), Box::new(reads)))
}

#[cfg(not(feature = "prompt"))]
fn editor(_: &Report) -> Option<(Manner, Reads)> {
    None
}
