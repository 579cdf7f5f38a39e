//! Flags of the service file: a file to send, or a directory to save in.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::service::Service;
use crate::service::file::{SaveFile, SendFile};

/// Flags of the service file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files (file)")]
pub struct FileServiceFlags {
    /// Send this file to each connection (implies --service file)
    #[arg(long, value_name = "PATH", conflicts_with = "save", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// First byte of --file to send [0]
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "file")]
    pub offset: Option<u64>,
    /// Maximum number of bytes of --file to send
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "file")]
    pub count: Option<u64>,
    /// Save what each connection sends in a new file in DIR (implies --service file)
    ///
    /// The name consists of the local time and the peer's address. It ends in .part until the file
    /// is complete and on the disk. Existing files are never overwritten.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub save: Option<PathBuf>,
}

impl FileServiceFlags {
    /// The first of these flags that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        let file = self.file.as_ref().map(|_| "--file");
        file.or(self.save.as_ref().map(|_| "--save"))
    }

    /// The service that sends or saves.
    ///
    /// Fails with code 2 without either flag, else as [`SendFile::new`] and [`SaveFile::new`] do.
    pub fn service(&self) -> Result<Box<dyn Service>, Failure> {
        match (&self.file, &self.save) {
            (Some(path), _) => {
                Ok(Box::new(SendFile::new(path, self.offset.unwrap_or(0), self.count)?))
            }
            (None, Some(folder)) => Ok(Box::new(SaveFile::new(folder)?)),
            (None, None) => Err(Failure::usage(
                Phase::File,
                "--service file",
                "needs --file PATH or --save DIR",
            )),
        }
    }
}
