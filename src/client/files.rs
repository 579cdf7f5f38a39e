//! The files of a conversation, opened before anybody is called: one that is missing, or must not
//! be written, costs no connection, and a call that nobody takes costs no file.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{ExitCode, Failure, Phase};
use crate::flags::session::SessionFlags;
use crate::net::stdio::FdStream;
use crate::net::stream::Writer;
use crate::process::output_file;
use crate::report::Report;
use crate::report::hexdump::HexDump;
use crate::transfer::tap::Tap;

/// What a conversation reads from and writes to besides its peer; where there is no file it is
/// stdin or stdout.
pub struct Files {
    /// `--input`.
    pub input: Option<File>,
    /// `--output`.
    pub output: Option<OutputFile>,
    hex: Option<HexDump>,
}

impl Files {
    /// Opens what `talk` names.
    ///
    /// Fails at [`Stage::File`] with 26 for what is read, 23 for what is written, and 2 for a
    /// file that is to be both.
    pub fn open(talk: &SessionFlags, report: &Report) -> Result<Files, Failure> {
        let input = open_input(talk)?;
        if let (Some(input), Some(path)) = (&input, talk.output_file()) {
            refuse_same(input, path)?;
        }
        let output = talk.output_file().map(OutputFile::open).transpose()?;
        let hex = talk.hex.as_deref().map(|path| HexDump::open(path, report)).transpose()?;
        Ok(Files { input, output, hex })
    }

    /// The connection stands: a new output file stays, even if nothing comes.
    pub fn connected(&mut self) {
        if let Some(output) = &mut self.output {
            output.is_unused = false;
        }
    }

    /// Both directions' taps, if a dump was asked for.
    pub fn taps(&mut self) -> (Option<Tap>, Option<Tap>) {
        match self.hex.take().map(Tap::pair) {
            Some((sent, received)) => (Some(sent), Some(received)),
            None => (None, None),
        }
    }
}

fn open_input(talk: &SessionFlags) -> Result<Option<File>, Failure> {
    match (talk.input_file(), talk.offset, talk.count) {
        (Some(path), offset, _) => open_at(path, offset).map(Some),
        (None, None, None) => Ok(None),
        (None, offset, _) => stdin_slice(offset).map(Some),
    }
}

fn open_at(path: &Path, offset: Option<u64>) -> Result<File, Failure> {
    let failed = |e| Failure::new(Phase::File, path.display(), e);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    skip(file, offset).map_err(failed)
}

/// `--input -` with `--offset` or `--count`: a descriptor of our own for stdin.
fn stdin_slice(offset: Option<u64>) -> Result<File, Failure> {
    let failed = |e| Failure::new(Phase::Stdin, "-", e);
    let stdin = rustix::stdio::stdin().try_clone_to_owned().map_err(failed)?;
    skip(File::from(stdin), offset).map_err(failed)
}

fn skip(mut file: File, offset: Option<u64>) -> io::Result<File> {
    let Some(offset) = offset else { return Ok(file) };
    let facts = file.metadata()?;
    if facts.is_file() && facts.len() < offset {
        let why = format!("its {} bytes end before --offset", facts.len());
        return Err(io::Error::other(why));
    }
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// What comes must not overwrite what is still to be sent.
fn refuse_same(input: &File, output: &Path) -> Result<(), Failure> {
    let (Ok(one), Ok(other)) = (input.metadata(), output.metadata()) else { return Ok(()) };
    match one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()) {
        true => Err(Failure::usage(Phase::File, output.display(), "--output is --input itself")),
        false => Ok(()),
    }
}

/// The file of `--output`. What was in it stays until something comes, or until it is certain
/// that nothing does.
#[derive(Debug)]
pub struct OutputFile {
    file: FdStream<File>,
    path: PathBuf,
    has_old_content: Cell<bool>,
    /// Made by us, for a connection that does not stand yet.
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
        let file = opened.map_err(|e| unwritten(path, e))?;
        let holds_old = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0);
        let (file, holds_old) = (FdStream(file), Cell::new(holds_old));
        Ok(OutputFile { file, path: path.to_path_buf(), has_old_content: holds_old, is_unused })
    }

    /// Writes all of `bytes`.
    ///
    /// Fails at [`Stage::File`] with 23.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.write_all(bytes).and_then(|()| self.flush());
        written.map_err(|e| unwritten(&self.path, e))
    }

    fn clear(&self) -> io::Result<()> {
        match self.has_old_content.replace(false) {
            true => self.file.0.set_len(0),
            false => Ok(()),
        }
    }
}

fn unwritten(path: &Path, e: io::Error) -> Failure {
    Failure::new(Phase::File, path.display(), e).with_code(ExitCode::Write)
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.clear()?;
        self.file.write(bytes)
    }

    /// Also the end of a flow that brought nothing.
    fn flush(&mut self) -> io::Result<()> {
        self.clear()
    }
}

impl Writer for OutputFile {
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whoever asks has something to write, or knows that nothing comes: a pump waits for the
    /// peer's first word before it chooses its way.
    fn raw(&self) -> Option<BorrowedFd<'_>> {
        self.clear().ok()?;
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
