//! What a session is asked to do, and who observes it.

use std::time::Duration;

/// What counts as local input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InputMode {
    /// Everything but the null device.
    #[default]
    NotNull,
    /// The null device too: an input that ends immediately.
    Any,
    /// Nothing.
    Ignored,
}

/// What follows the end of the local input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLocalEof {
    /// Half-close, and continue until the peer's end of stream.
    #[default]
    HalfClose,
    /// Send nothing, and continue until the peer's end of stream.
    KeepOpen,
    /// Close as soon as everything is acknowledged.
    HangUp,
    /// Half-close, and close as soon as everything is acknowledged and everything received is read.
    SendOnly,
}

/// How a session runs, and when it ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct DuplexOptions {
    /// What counts as local input.
    pub input: InputMode,
    /// What follows the end of the local input.
    pub on_local_eof: OnLocalEof,
    /// Fails when no byte has moved in either direction for this long.
    pub idle_timeout: Option<Duration>,
    /// Ends the local input when no byte has moved in either direction for this long.
    pub input_timeout: Option<Duration>,
    /// Ends successfully when the local input has ended and no byte has moved for this long.
    pub linger: Option<Duration>,
    /// Ends the session when no byte has moved for this long after the peer's end of stream; with 0
    /// immediately, whatever the local input still holds.
    pub exit_on_eof: Option<Duration>,
    /// Pause before the first byte is sent.
    pub delay: Duration,
    /// Pause after each line sent.
    pub line_delay: Option<Duration>,
    /// Whether LF is sent as CR LF.
    pub crlf: bool,
    /// Whether a server runs the session. The local reader then outlives it, and must not be left
    /// blocked; a shutdown lets it finish what is in flight, because the server's drain resets what
    /// takes too long. Otherwise a shutdown ends the session immediately.
    pub is_server: bool,
}

/// Callbacks of a running session.
pub trait DuplexObserver {
    /// Our end of stream is about to be sent.
    fn on_local_eof(&self) {}
    /// The peer's end of stream was received.
    fn on_peer_eof(&self) {}
    /// No byte has moved for `SILENCE_LIMIT`, and without input our end of stream is unsent.
    fn peer_silent_without_input(&self) {}
    /// Called whenever the session wakes, and several times a second when `needs_ticks`.
    fn tick(&self) {}
    /// Whether [`DuplexObserver::tick`] is to be called at short intervals.
    fn needs_ticks(&self) -> bool {
        false
    }
}

/// How long a peer may be silent before [`DuplexObserver::peer_silent_without_input`].
pub const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// The warning for [`DuplexObserver::peer_silent_without_input`].
pub const NO_END_OF_INPUT: &str = "nothing received for 5 s, and no end of input was sent: the input is the null device or \
     closed (--half-close sends it immediately)";
