//! The flags that name a file to send or a folder to save in.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::service::Service;
use crate::service::file::{Save, Send};

/// Flags of the service file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files (file)")]
pub struct FileServiceFlags {
    /// Send this file to each connection; alone, it is the service
    #[arg(long, value_name = "PATH", conflicts_with = "save", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Begin at this byte of the file
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "file")]
    pub offset: Option<u64>,
    /// Send at most this much of it
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "file")]
    pub count: Option<u64>,
    /// Save what each connection sends in a new file in DIR; alone, it is the service
    ///
    /// The file is named by the local time and the peer. Until all of it has come and is on the
    /// disk its name ends in .part; no file is ever overwritten.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub save: Option<PathBuf>,
}

impl FileServiceFlags {
    /// The first of these flags that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        let file = self.file.as_ref().map(|_| "--file");
        file.or(self.save.as_ref().map(|_| "--save"))
    }

    /// The service that sends the file, or saves.
    ///
    /// Fails with code 2 when there is neither, else as [`Send::new`] and [`Save::new`] do.
    pub fn service(&self) -> Result<Box<dyn Service>, Failure> {
        match (&self.file, &self.save) {
            (Some(path), _) => Ok(Box::new(Send::new(path, self.offset.unwrap_or(0), self.count)?)),
            (None, Some(folder)) => Ok(Box::new(Save::new(folder)?)),
            (None, None) => {
                let why = "which file? --file PATH or --save DIR says it";
                Err(Failure::usage(Phase::File, "--service file", why))
            }
        }
    }
}
