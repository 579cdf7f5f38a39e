//! The terminals of a prompt: whether a line can be edited there, and their state before.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "prompt")]
pub use edited::{Saved, editable};

/// The prompt itself, on stderr, for input that is not edited. Clones are the same prompt.
#[derive(Debug, Clone)]
pub struct Plain {
    /// Whether replies appear on the terminal where the prompt stands.
    pub beside_replies: bool,
    /// Whether anybody wants to see it.
    pub is_shown: bool,
    stands: Arc<AtomicBool>,
}

impl Plain {
    /// A prompt that does not stand yet.
    pub fn new(beside_replies: bool, is_shown: bool) -> Plain {
        Plain { beside_replies, is_shown, stands: Arc::default() }
    }

    /// Asks for a message.
    pub fn ask(&self) {
        if self.is_shown {
            say(b"> ");
            self.stands.store(true, Ordering::SeqCst);
        }
    }

    /// A line is about to be written where the prompt stands: over it on a terminal, else below.
    pub fn step_aside(&self) {
        if self.stands.swap(false, Ordering::SeqCst) {
            say(if self.beside_replies { b"\r" } else { b"\n" });
        }
    }

    /// Tells a line of talk.
    pub fn tell(&self, line: &str) {
        self.step_aside();
        say(line.as_bytes());
    }
}

fn say(bytes: &[u8]) {
    // Talk: what cannot be told has nobody to be told to.
    let _ = std::io::stderr().write_all(bytes);
}

#[cfg(feature = "prompt")]
mod edited {
    use std::io::IsTerminal;
    use std::thread;

    use rustix::termios::{LocalModes, OptionalActions, Termios};
    use rustix::termios::{tcgetattr, tcgetsid, tcsetattr};
    use rustyline::Behavior;
    use signal_hook::consts::{SIGHUP, SIGQUIT};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use super::say;

    /// Terminals without a cursor to move, which no editor takes.
    const SIMPLE: [&str; 3] = ["dumb", "emacs", "cons25"];

    /// How a line can be edited, if it can: stdin and stderr must be terminals that know what to
    /// do with an editor. It draws on /dev/tty, so that a redirected stdout gets replies and
    /// nothing else; where stdin is not our controlling terminal, it can only draw on stdout.
    pub fn editable() -> Option<Behavior> {
        let term = std::env::var("TERM").unwrap_or_default();
        let simple = SIMPLE.iter().any(|name| name.eq_ignore_ascii_case(&term));
        if simple || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        match tcgetsid(rustix::stdio::stdin()).is_ok() {
            true => Some(Behavior::PreferTerm),
            false => std::io::stdout().is_terminal().then_some(Behavior::Stdio),
        }
    }

    /// The state of the terminal before the prompt.
    #[derive(Clone)]
    pub struct Saved(Termios);

    impl Saved {
        /// Between two edited lines the terminal would take keys line by line, and swallow a ^D
        /// typed then: from now on it hands out single keys.
        pub fn keep_keys() -> Option<Saved> {
            let saved = Saved(tcgetattr(rustix::stdio::stdin()).ok()?);
            saved.outlive_signals().ok()?;
            let mut keys = saved.0.clone();
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &keys).ok()?;
            Some(saved)
        }

        /// Signals that end us as they end anybody, but not before the terminal is as it was.
        fn outlive_signals(&self) -> std::io::Result<()> {
            let mut signals = Signals::new([SIGHUP, SIGQUIT])?;
            let saved = self.clone();
            let wait = move || {
                for signal in signals.forever() {
                    saved.restore();
                    let _ = emulate_default_handler(signal);
                }
            };
            thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
        }

        /// Takes the prompt away and puts everything back.
        pub fn restore(&self) {
            let stdin = rustix::stdio::stdin();
            let _ = tcsetattr(stdin, OptionalActions::Drain, &self.0);
            // The editor has asked to be told what is pasted; nobody wants that any more.
            say(b"\x1b[?2004l\r\x1b[K");
        }
    }
}
