//! Copies one direction of a relayed connection through its faults.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::chain::FaultChain;
use super::piece::{DirectionEnd, Piece};
use super::queue::{Next, Queue};
use crate::net::stream::{Reader, Writer};
use crate::report::event::FaultEvent;
use crate::transfer::{TransferError, TransferOptions, is_interrupted, write_counted};

/// Bytes per read.
const BUFFER: usize = 64 << 10;
/// Stack of the reading thread, in bytes; TLS needs some.
const STACK: usize = 256 << 10;
/// How far reading may be ahead of a rate or a pause: enough for a late wake-up.
const READ_AHEAD: Duration = Duration::from_millis(250);
/// How often a wait for a due time checks that the connection is still open.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// As [`crate::transfer::pump`], through faults: `from` is read by a thread of its own, so that
/// bytes which are delayed do not hold back those behind them.
///
/// After a failure or an end that is not the source's the thread is still blocked on `from`, until
/// the connection is shut down or aborted.
pub fn pump(
    from: Box<dyn Reader>,
    faults: FaultChain,
    mut delivery: Delivery<'_>,
) -> Result<DirectionEnd, TransferError> {
    let queue = Arc::new(Queue::default());
    let source = SourceReader { queue: queue.clone(), faults };
    let builder = thread::Builder::new().name("faults".into()).stack_size(STACK);
    builder.spawn(move || source.run(from)).map_err(TransferError::Read)?;
    let ended = delivery.run(&queue);
    queue.stop_reading();
    let end = ended?;
    match queue.take_error() {
        Some(e) if end == DirectionEnd::Eof => Err(TransferError::Read(e)),
        _ => Ok(end),
    }
}

/// Reads the source and passes its bytes through the faults into the queue.
struct SourceReader {
    queue: Arc<Queue>,
    faults: FaultChain,
}

impl SourceReader {
    fn run(mut self, mut from: Box<dyn Reader>) {
        let mut buffer = vec![0; self.faults.max_read().min(BUFFER)];
        // An end at offset 0 comes before any byte.
        let mut pieces = self.faults.feed(&[], Instant::now());
        loop {
            let has_ended = pieces.last().is_some_and(|piece| piece.end.is_some());
            self.queue.push(pieces);
            if has_ended {
                // Unread bytes would make a reset of the close.
                return discard(&mut *from, &mut buffer);
            }
            if !self.queue.wait_for_room(self.faults.can_read_at(READ_AHEAD)) {
                return;
            }
            pieces = match from.read(&mut buffer) {
                Ok(0) => self.faults.finish(Instant::now()),
                Ok(n) => self.faults.feed(&buffer[..n], Instant::now()),
                Err(e) if e.kind() == ErrorKind::Interrupted => Vec::new(),
                Err(e) => {
                    self.queue.fail(e);
                    self.faults.finish(Instant::now())
                }
            };
        }
    }
}

impl Drop for SourceReader {
    fn drop(&mut self) {
        self.queue.stop_writing();
    }
}

fn discard(from: &mut dyn Reader, buffer: &mut [u8]) {
    loop {
        match from.skip(buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Writes the pieces of a direction when they are due.
pub struct Delivery<'a> {
    /// The destination.
    pub to: &'a mut dyn Writer,
    /// Meter and tap of what is delivered.
    pub transfer: &'a mut TransferOptions,
    /// Receives each fault when it is delivered.
    pub on_fault: &'a dyn Fn(FaultEvent),
}

impl Delivery<'_> {
    fn run(&mut self, queue: &Queue) -> Result<DirectionEnd, TransferError> {
        loop {
            match queue.next(CHECK_INTERVAL) {
                Next::Due(piece) => {
                    let end = piece.end;
                    self.deliver(piece).map_err(TransferError::Write)?;
                    if let Some(end) = end {
                        return Ok(end);
                    }
                }
                // Fails once the connection is aborted.
                Next::Wait => self.to.flush().map_err(TransferError::Write)?,
                Next::Stopped => {
                    return Err(TransferError::Read(io::Error::other("internal error")));
                }
            }
        }
    }

    fn deliver(&mut self, piece: Piece) -> io::Result<()> {
        // Before they are sent, as without faults.
        if let Some(tap) = self.transfer.tap.as_mut().filter(|_| !piece.bytes.is_empty()) {
            tap.on_bytes(&piece.bytes);
        }
        write_counted(&piece.bytes, self.to, &self.transfer.meter, is_interrupted)?;
        self.to.flush()?;
        piece.events.into_iter().for_each(self.on_fault);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Receiver, channel};

    use super::super::FaultPlan;
    use super::*;
    use crate::net::stream::Stream;

    /// A direction that is pumped on a thread of its own.
    struct Running {
        source: UnixStream,
        sink: UnixStream,
        outcome: Receiver<Result<DirectionEnd, TransferError>>,
    }

    fn start(specs: &[&str]) -> Running {
        let faults = specs.iter().map(|spec| spec.parse().unwrap()).collect();
        let faults = FaultPlan { faults, seed: 1 }.stream_faults(1).to_client.unwrap();
        let (source, from) = UnixStream::pair().unwrap();
        let (sink, to) = UnixStream::pair().unwrap();
        sink.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (sender, outcome) = channel();
        thread::spawn(move || {
            let from = Stream::from_socket(from.into()).unwrap();
            let mut to = Stream::from_socket(to.into()).unwrap();
            let transfer = &mut TransferOptions::default();
            let delivery = Delivery { to: &mut *to.writer, transfer, on_fault: &|_| () };
            let ended = pump(from.reader, faults, delivery);
            let _ = sender.send(ended);
        });
        Running { source, sink, outcome }
    }

    impl Running {
        fn end(&self) -> Result<DirectionEnd, TransferError> {
            self.outcome.recv_timeout(Duration::from_secs(20)).unwrap()
        }
    }

    #[test]
    fn delayed_bytes_do_not_hold_back_those_behind_them() {
        let mut running = start(&["delay=300ms"]);
        let began = Instant::now();
        let mut source = running.source.try_clone().unwrap();
        let writing = thread::spawn(move || {
            source.write_all(&vec![7; 8 << 20]).unwrap();
            source.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = vec![0];
        running.sink.read_exact(&mut received).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(300));
        running.sink.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), 8 << 20);
        // 128 buffers, each delayed on its own, would take 38 seconds.
        assert!(began.elapsed() < Duration::from_secs(15));
        writing.join().unwrap();
        assert_eq!(running.end().unwrap(), DirectionEnd::Eof);
    }

    #[test]
    fn rate_holds_back_the_source() {
        let running = start(&["rate=1Ki"]);
        running.source.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut taken = 0;
        while let Ok(n) = (&running.source).write(&[0; 4096]) {
            taken += n;
        }
        assert!(taken < 1 << 20, "{taken} bytes were taken");
    }

    #[test]
    fn receiver_that_does_not_read_holds_back_the_source() {
        let running = start(&["delay=1ms"]);
        running.source.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut taken = 0;
        while let Ok(n) = (&running.source).write(&[0; 65536]) {
            taken += n;
        }
        assert!(taken < 8 << 20, "{taken} bytes were taken");
    }

    #[test]
    fn failure_to_write_ends_the_direction_while_the_source_is_silent() {
        let running = start(&["delay=1ms"]);
        let Running { mut source, sink, outcome } = running;
        drop(sink);
        source.write_all(b"lost").unwrap();
        let ended = outcome.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(matches!(ended, Err(TransferError::Write(_))));
    }

    #[test]
    fn end_of_a_fault_comes_without_the_end_of_the_source() {
        for (spec, end) in [("close@3", DirectionEnd::Closed), ("reset@3", DirectionEnd::Reset)] {
            let mut running = start(&[spec]);
            running.source.write_all(b"abcdef").unwrap();
            assert_eq!(running.end().unwrap(), end);
            let mut received = Vec::new();
            running.sink.read_to_end(&mut received).unwrap();
            assert_eq!(received, b"abc");
        }
    }

    #[test]
    fn what_is_dropped_ends_unnoticed() {
        let mut running = start(&["drop@3"]);
        running.source.write_all(b"abcdef").unwrap();
        let mut received = [0; 3];
        running.sink.read_exact(&mut received).unwrap();
        assert!(running.outcome.recv_timeout(Duration::from_millis(50)).is_err());
        running.source.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(running.end().unwrap(), DirectionEnd::Discarded);
    }
}
