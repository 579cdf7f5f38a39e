//! Our own standard output: data and nothing else, written whole and at once.

use std::io;

use crate::failure::{Failure, Stage};

/// Writes all of `bytes` to stdout, unbuffered.
///
/// Fails at [`Stage::Stdout`] with code 23, also when the reader is gone (EPIPE): whether that is
/// an error is the caller's to say.
pub fn write_all(bytes: &[u8]) -> Result<(), Failure> {
    put_all(bytes).map_err(|e| Failure::new(Stage::Stdout, "-", e))
}

fn put_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Whether a failure is only that whoever read our stdout has gone.
pub fn reader_is_gone(failure: &Failure) -> bool {
    failure.stage == Stage::Stdout && failure.errno() == Some(libc::EPIPE)
}

/// Writes a product of ours (a man page, a script for a shell), as [`write_all`]; a reader that
/// leaves early is content with what it has.
pub fn product(bytes: &[u8]) -> Result<(), Failure> {
    write_all(bytes).or_else(|failure| match reader_is_gone(&failure) {
        true => Ok(()),
        false => Err(failure),
    })
}
