//! The files of a session. They are opened before connecting: a file that is missing or must not be
//! written costs no connection, and a connection that fails leaves no new file.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::options::SessionOptions;
use crate::error::{Failure, Phase};
use crate::net::stdio::{FdStream, StdStreams};
use crate::net::stream::Writer;
use crate::process::output_file;
use crate::report::Report;
use crate::report::hexdump::HexDump;
use crate::transfer::TransferOptions;
use crate::transfer::tap::Taps;
use crate::transfer::throttle::Throttle;

/// The hint for `--offset` with an input that has no positions (lseek(2), `ESPIPE`).
const NO_OFFSET_IN_PIPE: &str = "--offset needs a file; in front of a pipe, tail -c +N skips bytes";

/// The local files of a session, and the standard streams that are used without them.
pub struct Files {
    /// The standard streams.
    pub std: StdStreams,
    /// `--input`.
    pub input: Option<File>,
    /// `--output`.
    pub output: Option<OutputFile>,
    hex: Option<HexDump>,
}

impl Files {
    /// Opens the files that `options` name.
    ///
    /// Fails at [`Phase::File`] with 26 for the input, 23 for an output, and 2 when input and
    /// output are the same file.
    pub fn open(
        options: &SessionOptions,
        std: StdStreams,
        report: &Report,
    ) -> Result<Files, Failure> {
        let input = open_input(options, std.stdin)?;
        let path = options.output.as_deref();
        if let (Some(input), Some(path)) = (&input, path) {
            refuse_same(input, path)?;
        }
        let output = path.map(OutputFile::open).transpose()?;
        let hex = options.hex.as_deref().map(|path| HexDump::open(path, report)).transpose()?;
        Ok(Files { std, input, output, hex })
    }

    /// Keeps a new output file, even if nothing is received. Until then it is removed on drop.
    pub fn keep_output(&mut self) {
        if let Some(output) = &mut self.output {
            output.is_unused = false;
        }
    }

    /// What happens to sent and to received bytes: `--rate`, and the taps of the hex dump.
    pub fn transfers(&mut self, rate: Option<u64>) -> [TransferOptions; 2] {
        let Taps { sent, received } = self.hex.take().map(Taps::new).unwrap_or_default();
        [sent, received].map(|tap| {
            let throttle = rate.map(Throttle::new);
            TransferOptions { throttle, tap, ..TransferOptions::default() }
        })
    }
}

/// `--input`, or a duplicated descriptor of stdin with `--offset` or `--count`.
fn open_input(options: &SessionOptions, stdin: BorrowedFd<'_>) -> Result<Option<File>, Failure> {
    let (phase, name) = match &options.input {
        Some(path) => (Phase::File, path.display().to_string()),
        None if options.offset.or(options.count).is_none() => return Ok(None),
        None => (Phase::Stdin, "-".to_string()),
    };
    let file = match &options.input {
        Some(path) => open_file(path),
        None => stdin.try_clone_to_owned().map(File::from),
    };
    let file = file.and_then(|file| skip(file, options.offset));
    file.map(Some).map_err(|e| {
        let is_pipe = e.raw_os_error() == Some(libc::ESPIPE);
        let failure = Failure::new(phase, name, e);
        if is_pipe { failure.with_hint(NO_OFFSET_IN_PIPE) } else { failure }
    })
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

fn skip(mut file: File, offset: Option<u64>) -> io::Result<File> {
    let Some(offset) = offset else { return Ok(file) };
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() < offset {
        let why = format!("--offset is beyond the end of the file ({} bytes)", metadata.len());
        return Err(io::Error::other(why));
    }
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// Refuses an output file that is the input: received bytes would overwrite unsent ones.
fn refuse_same(input: &File, output: &Path) -> Result<(), Failure> {
    let (Ok(one), Ok(other)) = (input.metadata(), output.metadata()) else { return Ok(()) };
    if one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()) {
        let why = "--output and --input are the same file";
        return Err(Failure::usage(Phase::File, output.display(), why));
    }
    Ok(())
}

/// The file of `--output`. Its old content is kept until the first byte is received, or until the
/// session has ended without one.
#[derive(Debug)]
pub struct OutputFile {
    file: FdStream<File>,
    path: PathBuf,
    has_old_content: Cell<bool>,
    /// Whether it was created here, for a connection that is not established yet.
    is_unused: bool,
}

impl OutputFile {
    fn open(path: &Path) -> Result<OutputFile, Failure> {
        let mut is_unused = false;
        let opened = match output_file::open(path, OFlags::WRONLY, 0) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                is_unused = true;
                output_file::open(path, OFlags::WRONLY | OFlags::CREATE, 0o666)
            }
            opened => opened,
        };
        let file = opened.map_err(|e| Failure::write_file(path.display(), e))?;
        let has_content = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0);
        let (file, has_old_content) = (FdStream(file), Cell::new(has_content));
        Ok(OutputFile { file, path: path.to_path_buf(), has_old_content, is_unused })
    }

    /// Writes all of `bytes`.
    ///
    /// Fails at [`Phase::File`] with 23.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.write_all(bytes).and_then(|()| self.flush());
        written.map_err(|e| Failure::write_file(self.path.display(), e))
    }

    fn remove_old_content(&self) -> io::Result<()> {
        if self.has_old_content.replace(false) { self.file.0.set_len(0) } else { Ok(()) }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.remove_old_content()?;
        self.file.write(bytes)
    }

    /// Called at the end of the session too, also when nothing was received.
    fn flush(&mut self) -> io::Result<()> {
        self.remove_old_content()
    }
}

impl Writer for OutputFile {
    fn half_close(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// A transfer asks for the descriptor only when it has bytes to write or knows that there are
    /// none: it waits for the peer's first byte before it chooses a method.
    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        self.remove_old_content().ok()?;
        Some(self.file.0.as_fd())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.is_unused {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
