//! A stream whose calls are observed (`-vv`, `--hex` of servers), in the order in which they were made.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::stream::{Reader, Stream, Writer};
use super::stream_observer::{Call, Observation, StreamObserver};

/// How long received bytes wait for a write that began before they arrived: a reply must not be
/// observed before its request, but a write that blocks must not stop the reader.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// What both halves share.
struct Shared {
    observer: Arc<dyn StreamObserver>,
    /// When the current write began.
    writing: Mutex<Option<Instant>>,
    written: Condvar,
}

impl Shared {
    /// Makes a call of the sending half; its observation comes before that of a reply to it.
    fn write<T>(&self, call: impl FnOnce() -> T) -> T {
        self.set_writing(Some(Instant::now()));
        let done = call();
        self.set_writing(None);
        done
    }

    fn set_writing(&self, since: Option<Instant>) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = since;
        self.written.notify_all();
    }

    fn wait_for_write(&self) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let left = writing.map_or(Duration::ZERO, |at| MAX_WAIT.saturating_sub(at.elapsed()));
        if !left.is_zero() {
            drop(self.written.wait_timeout_while(writing, left, |writing| writing.is_some()));
        }
    }
}

struct ObservedReader {
    inner: Box<dyn Reader>,
    shared: Arc<Shared>,
}

impl Read for ObservedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.shared.wait_for_write();
        match n {
            0 if buffer.is_empty() => {}
            0 => self.shared.observer.on_call(Call::ReceivedEnd),
            n => self.shared.observer.on_call(Call::Received(&buffer[..n])),
        }
        Ok(n)
    }
}

impl Reader for ObservedReader {
    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.plain_fd()
    }

    fn observation(&self) -> Observation {
        self.inner.observation().max(self.shared.observer.observation())
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready()
    }
}

struct ObservedWriter {
    inner: Box<dyn Writer>,
    shared: Arc<Shared>,
}

impl Write for ObservedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (inner, shared) = (&mut self.inner, &self.shared);
        shared.write(|| {
            let n = inner.write(bytes)?;
            shared.observer.on_call(Call::Sent(&bytes[..n], bytes.len()));
            Ok(n)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Writer for ObservedWriter {
    fn half_close(&mut self) -> io::Result<()> {
        let (inner, shared) = (&mut self.inner, &self.shared);
        shared.write(|| {
            inner.half_close()?;
            shared.observer.on_call(Call::SentEnd);
            Ok(())
        })
    }

    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.plain_fd()
    }

    fn observation(&self) -> Observation {
        self.inner.observation().max(self.shared.observer.observation())
    }

    fn on_sendfile(&self, offset: u64, bytes: usize) {
        self.inner.on_sendfile(offset, bytes);
        self.shared.observer.on_call(Call::SentFile(offset, bytes));
    }
}

impl Stream {
    /// The same stream, whose calls `observer` sees from now on.
    pub fn observed(self, observer: Arc<dyn StreamObserver>) -> Stream {
        self.handle.set_observer(observer.clone());
        let (writing, written) = (Mutex::default(), Condvar::default());
        let shared = Arc::new(Shared { observer, writing, written });
        Stream {
            reader: Box::new(ObservedReader { inner: self.reader, shared: shared.clone() }),
            writer: Box::new(ObservedWriter { inner: self.writer, shared }),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[derive(Default)]
    struct Calls(Mutex<Vec<String>>);

    impl StreamObserver for Calls {
        fn on_call(&self, call: Call<'_>) {
            let text = match call {
                Call::Sent(bytes, of) => format!("sent {} of {of}", bytes.len()),
                Call::Received(bytes) => format!("received {}", bytes.len()),
                call => format!("{call:?}"),
            };
            self.0.lock().unwrap().push(text);
        }
    }

    #[test]
    fn calls_are_observed_in_their_order() {
        let (local, peer) = UnixStream::pair().unwrap();
        let calls = Arc::new(Calls::default());
        let stream = Stream::from_socket(local.into()).unwrap().observed(calls.clone());
        let Stream { mut reader, mut writer, handle, .. } = stream;
        writer.write_all(b"hello").unwrap();
        writer.half_close().unwrap();
        std::io::copy(&mut &peer, &mut &peer).unwrap();
        drop(peer);
        let mut reply = Vec::new();
        reader.read_to_end(&mut reply).unwrap();
        handle.shutdown();
        assert_eq!(reply, b"hello");
        let calls = calls.0.lock().unwrap();
        assert_eq!(*calls, ["sent 5 of 5", "SentEnd", "received 5", "ReceivedEnd", "ShutDown"]);
    }

    #[test]
    fn blocked_write_does_not_stop_the_reader() {
        let (local, peer) = UnixStream::pair().unwrap();
        let calls = Arc::new(Calls::default());
        let stream = Stream::from_socket(local.into()).unwrap().observed(calls);
        let Stream { mut reader, mut writer, .. } = stream;
        let blocked = std::thread::spawn(move || writer.write_all(&vec![0; 8 << 20]).is_err());
        (&peer).write_all(b"reply").unwrap();
        let mut reply = [0; 5];
        reader.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"reply");
        drop(peer);
        assert!(blocked.join().unwrap());
    }
}
