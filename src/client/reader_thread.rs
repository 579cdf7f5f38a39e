//! The thread that reads the connection of a prompt or a script, so that a wait for data can end
//! early.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::net::stream::Reader;
use crate::net::tls_alert;
use crate::transfer::TransferOptions;

/// Reads that may be queued; then the thread stops reading, and TCP slows the peer down.
const MAX_QUEUED: usize = 16;
/// Bytes of the largest read.
const MAX_READ: usize = 64 << 10;

/// The outcome of one read(2): no bytes at the end of the stream.
pub type ReadResult = io::Result<Vec<u8>>;

/// The thread that reads.
pub struct ReaderThread {
    /// The receiving half of the connection.
    pub reader: Box<dyn Reader>,
    /// What happens to received bytes.
    pub options: TransferOptions,
}

impl ReaderThread {
    /// Starts to read. Fails when the thread cannot be created.
    pub fn start(self) -> io::Result<Receiver<ReadResult>> {
        let (sender, reads) = sync_channel(MAX_QUEUED);
        let thread = thread::Builder::new().name("receiver".into()).stack_size(256 << 10);
        thread.spawn(move || self.run(&sender))?;
        Ok(reads)
    }

    fn run(mut self, sender: &SyncSender<ReadResult>) {
        let mut buffer = vec![0; self.options.chunk_size(MAX_READ)];
        // Whether all that came, in one read, is a TLS alert.
        let mut is_alert = None;
        loop {
            let read = match self.reader.read(&mut buffer) {
                Ok(0) if is_alert == Some(true) => Err(tls_alert::plaintext_to_tls_error()),
                Ok(0) => Ok(Vec::new()),
                Ok(n) => {
                    is_alert = Some(is_alert.is_none() && tls_alert::is_alert(&buffer[..n]));
                    self.options.begin(&buffer[..n]);
                    Ok(buffer[..n].to_vec())
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => Err(e),
            };
            let is_last = !matches!(&read, Ok(bytes) if !bytes.is_empty());
            if sender.send(read).is_err() || is_last {
                return;
            }
        }
    }
}
