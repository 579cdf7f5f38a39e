//! What is observed of a stream: its calls, with the bytes that they moved.

/// A call that succeeded.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// These bytes were sent, of so many that were to be sent.
    Sent(&'a [u8], usize),
    /// `sendfile(2)` sent so many bytes of a file, from this offset on.
    SentFile(u64, usize),
    /// These bytes were received.
    Received(&'a [u8]),
    /// Our end of stream was sent.
    SentEnd,
    /// The peer's end of stream was received.
    ReceivedEnd,
    /// Both directions were shut down.
    ShutDown,
    /// The receiving direction was shut down.
    ReadShutDown,
    /// The connection was reset.
    Reset,
    /// The connection is about to be closed.
    Closing,
}

/// What an observer needs of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Observation {
    /// Nothing: it is not observed.
    #[default]
    None,
    /// The calls. A file may stay in the kernel ([`Call::SentFile`]); other bytes may not.
    Calls,
    /// All bytes.
    Bytes,
}

/// Observes a stream. Both directions may call it concurrently.
pub trait StreamObserver: Send + Sync {
    /// Called after each call, before the next one of the same direction.
    fn on_call(&self, call: Call<'_>);

    /// What it needs.
    fn observation(&self) -> Observation {
        Observation::Calls
    }
}
