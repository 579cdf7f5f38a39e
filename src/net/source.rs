//! A local file as the source of a transfer, up to the size that it has at the beginning.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, fstat, tell};

use super::stdio::FdStream;
use super::stream::Reader;

/// A file, a pipe or a terminal as the source of a transfer, from its current position.
///
/// A regular file is read to the size that it has when the transfer begins: no more when it grows,
/// and an error when it shrinks.
#[derive(Debug)]
pub struct Source<T> {
    file: FdStream<T>,
    extent: Extent,
}

/// How much of a source is read.
#[derive(Debug)]
enum Extent {
    /// All of it.
    Unlimited,
    /// At most this many bytes.
    Count(u64),
    /// The bytes before this offset.
    End(u64),
}

impl<T: AsFd> Source<T> {
    /// `file` from its current position, at most `count` bytes of it.
    pub fn new(file: T, count: Option<u64>) -> Source<T> {
        let extent = match (end_offset(file.as_fd(), count), count) {
            (Some(end), _) => Extent::End(end),
            (None, Some(count)) => Extent::Count(count),
            (None, None) => Extent::Unlimited,
        };
        Source { file: FdStream(file), extent }
    }

    /// Reads what is left before `end`.
    fn read_before(&mut self, end: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // Twice: a file that is being rewritten may be empty for a moment.
        for _ in 0..2 {
            let left = bytes_before(self.file.0.as_fd(), end)?;
            let max = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let n = self.file.read(&mut buffer[..max])?;
            if n > 0 || max == 0 {
                return Ok(n);
            }
            check_length(self.file.0.as_fd(), end)?;
        }
        // A file of sysfs has fewer bytes than its size (sysfs(5)).
        Ok(0)
    }
}

/// The offset at which a regular file ends, or `count` bytes of it; `None` for anything else, and
/// where a size of 0 has no meaning (proc(5)).
fn end_offset(file: BorrowedFd<'_>, count: Option<u64>) -> Option<u64> {
    let stat = fstat(file).ok()?;
    let size = u64::try_from(stat.st_size).ok().filter(|size| *size > 0)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let position = tell(file).ok()?;
    Some(count.map_or(size, |count| size.min(position.saturating_add(count))))
}

/// Bytes from the position of `file` to the offset `end`.
pub fn bytes_before(file: BorrowedFd<'_>, end: u64) -> io::Result<u64> {
    Ok(end.saturating_sub(tell(file)?))
}

/// Fails when `file` is shorter than `end`.
fn check_length(file: BorrowedFd<'_>, end: u64) -> io::Result<()> {
    let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
    if size >= end {
        return Ok(());
    }
    let missing = bytes_before(file, end)?;
    Err(io::Error::other(format!("the file became shorter: {missing} bytes could not be sent")))
}

impl<T: AsFd> Read for Source<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.extent {
            Extent::Unlimited => self.file.read(buffer),
            Extent::Count(left) => {
                let max = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let n = self.file.read(&mut buffer[..max])?;
                *left -= n as u64;
                Ok(n)
            }
            Extent::End(end) => {
                let end = *end;
                self.read_before(end, buffer)
            }
        }
    }
}

impl<T: AsFd + Send> Reader for Source<T> {
    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        match self.extent {
            Extent::Count(_) => None,
            _ => Some(self.file.0.as_fd()),
        }
    }

    fn end_offset(&self) -> Option<u64> {
        match self.extent {
            Extent::End(end) => Some(end),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, write};

    #[test]
    fn growing_source_ends_at_its_first_size() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        for (count, expected) in [(None, "1234"), (Some(3), "123"), (Some(9), "1234")] {
            write(&path, "1234").unwrap();
            let mut source = Source::new(File::open(&path).unwrap(), count);
            write(&path, "123456789").unwrap();
            let mut text = String::new();
            source.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected, "{count:?}");
        }
    }

    #[test]
    fn truncated_source_fails_unless_it_was_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        for (before, shrinks_by, fails) in [(1, 1, true), (4, 4, false), (0, 4, true)] {
            write(&path, "1234").unwrap();
            let mut source = Source::new(File::open(&path).unwrap(), None);
            source.read_exact(&mut vec![0; before]).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(4 - shrinks_by).unwrap();
            let rest = source.read_to_end(&mut Vec::new());
            assert_eq!(rest.is_err(), fails, "{before} {shrinks_by}");
        }
    }

    #[test]
    fn source_without_size_is_read_to_its_end() {
        for path in ["/proc/self/status", "/sys/kernel/uevent_seqnum"] {
            let Ok(file) = File::open(path) else { continue };
            let mut text = String::new();
            Source::new(file, None).read_to_string(&mut text).unwrap();
            assert!(text.ends_with('\n'), "{path}");
        }
    }
}
