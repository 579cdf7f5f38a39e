//! `man`: prints a manual page per command, from the flags, examples and tables of `--help`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Command;
use rustix::fs::OFlags;

use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout::Stdout;
use crate::process::output_file;
use crate::usage::man_page::{self, ManPage};

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print only the page of this command
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
    /// Write each page to a file in DIR, which is created if missing
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub out_dir: Option<PathBuf>,
}

impl Args {
    /// Writes the pages of `cli` to stdout or to files.
    ///
    /// Fails with code 2 on an unknown command, with 23 when a page cannot be written.
    pub fn run(self, cli: Command) -> Result<ExitCode, Failure> {
        let mut pages = man_page::all(cli);
        if let Some(name) = self.command {
            pages.retain(|page| page.command == name);
            if pages.is_empty() {
                let failure = Failure::usage(Phase::File, name, "no page of this name");
                return Err(failure.with_hint("sockit -h lists the commands"));
            }
        }
        match &self.out_dir {
            Some(dir) => write_files(&pages, dir)?,
            None => Stdout::standard().write_document(
                &pages.into_iter().flat_map(|page| page.text).collect::<Vec<_>>(),
            )?,
        }
        Ok(ExitCode::Done)
    }
}

fn write_files(pages: &[ManPage], dir: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, e| Failure::write_file(path.display(), e);
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    for page in pages {
        let path = dir.join(&page.file);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let written = output_file::open(&path, flags, 0o666);
        written.and_then(|mut file| file.write_all(&page.text)).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}
