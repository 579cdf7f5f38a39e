//! The terminal of a prompt as a source of single keys, and its state before.

use std::io::IsTerminal;
use std::thread;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGQUIT};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::terminal::put;
use crate::process::signals::is_ignored;

/// Terminals whose cursor cannot be moved.
const SIMPLE: [&str; 3] = ["dumb", "emacs", "cons25"];

/// The state of the terminal before the prompt.
#[derive(Clone)]
pub struct Keys(Termios);

impl Keys {
    /// Takes single keys from stdin from now on, where a line can be edited: stdin and stderr must
    /// be terminals, and not of the simplest kind.
    pub fn open() -> Option<Keys> {
        let term = std::env::var("TERM").unwrap_or_default();
        let simple = SIMPLE.iter().any(|name| name.eq_ignore_ascii_case(&term));
        if simple || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let keys = Keys(tcgetattr(rustix::stdio::stdin()).ok()?);
        keys.restore_on_signals().ok()?;
        keys.take();
        Some(keys)
    }

    /// Each key is read by itself and without an echo. ^C stays a signal; ^Z is a key, so that the
    /// terminal can be restored before the process stops.
    pub fn take(&self) {
        let mut modes = self.0.clone();
        modes.input_modes.remove(InputModes::IXON | InputModes::ISTRIP);
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes);
    }

    /// Signals end the process as they usually do, but only after the terminal is restored.
    fn restore_on_signals(&self) -> std::io::Result<()> {
        let fatal = [SIGHUP, SIGQUIT].into_iter().filter(|signal| !is_ignored(*signal));
        let mut signals = Signals::new(fatal)?;
        let keys = self.clone();
        let wait = move || {
            for signal in signals.forever() {
                keys.restore();
                let _ = emulate_default_handler(signal);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
    }

    /// Takes the prompt away and restores the terminal.
    pub fn restore(&self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.0);
        put(b"\r\x1b[K");
    }
}
