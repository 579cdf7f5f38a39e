//! Raw mode: a terminal that delivers single keys without echo (termios(3)).

use std::io::{IsTerminal, Write};
use std::os::fd::BorrowedFd;
use std::thread;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGQUIT};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::net::stdio::{FdStream, StdStreams};
use crate::process::signals::is_ignored;

/// Values of TERM for terminals whose cursor cannot be moved.
const SIMPLE_TERMINALS: [&str; 3] = ["dumb", "emacs", "cons25"];

/// A terminal in raw mode, and its state before that.
#[derive(Clone)]
pub struct RawMode {
    stdin: BorrowedFd<'static>,
    stderr: BorrowedFd<'static>,
    original: Termios,
}

impl RawMode {
    /// Sets raw mode for stdin. Returns `None` if no line can be edited: stdin and stderr must be
    /// terminals whose cursor can be moved, by the value `term` of TERM.
    pub fn open(std: StdStreams, term: &str) -> Option<RawMode> {
        let StdStreams { stdin, stderr, .. } = std;
        let is_simple = SIMPLE_TERMINALS.iter().any(|name| name.eq_ignore_ascii_case(term));
        if is_simple || !stdin.is_terminal() || !stderr.is_terminal() {
            return None;
        }
        let raw_mode = RawMode { stdin, stderr, original: tcgetattr(stdin).ok()? };
        raw_mode.restore_on_signals().ok()?;
        raw_mode.enable();
        Some(raw_mode)
    }

    /// Sets raw mode. ^C stays a signal; ^Z is a key, so that the terminal can be restored before
    /// the process stops.
    pub fn enable(&self) {
        let mut modes = self.original.clone();
        modes.input_modes.remove(InputModes::IXON | InputModes::ISTRIP);
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
        let _ = tcsetattr(self.stdin, OptionalActions::Now, &modes);
    }

    /// Restores the terminal before SIGHUP or SIGQUIT end the process.
    fn restore_on_signals(&self) -> std::io::Result<()> {
        let fatal = [SIGHUP, SIGQUIT].into_iter().filter(|signal| !is_ignored(*signal));
        let mut signals = Signals::new(fatal)?;
        let raw_mode = self.clone();
        let wait = move || {
            for signal in signals.forever() {
                raw_mode.restore();
                let _ = emulate_default_handler(signal);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
    }

    /// Restores the terminal, and erases the line with the prompt.
    pub fn restore(&self) {
        let _ = tcsetattr(self.stdin, OptionalActions::Drain, &self.original);
        let _ = FdStream(self.stderr).write_all(b"\r\x1b[K");
    }
}
