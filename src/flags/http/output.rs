//! Flags of http-get for its output.

use std::path::PathBuf;

use crate::error::{Failure, Phase};
use crate::fetch::options::OutputOptions;
use crate::fetch::output::Destination;
use crate::fetch::partial_file::KeptName;
use crate::http::HttpUrl;

/// Where the response is written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Save the body in FILE, through FILE.part; once per URL; - is stdout
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Vec<PathBuf>,
    /// Save the body under the last segment of the URL
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub remote_name: bool,
    /// Write the response header to stdout before the body
    #[arg(short, long)]
    pub include: bool,
    /// Rename FILE.part to FILE even if the transfer is interrupted
    #[arg(long)]
    pub keep_partial: bool,
    /// Continue FILE.part if the file on the server is unchanged; download a complete FILE only if
    /// it has changed
    #[arg(long = "continue", conflicts_with_all = ["range", "raw", "head"])]
    pub resume: bool,
    /// Write the complete response as received, with header and framing
    #[arg(long)]
    pub raw: bool,
    /// Print the times of name lookup, connecting, TLS, first byte and the complete transfer
    #[arg(long)]
    pub stats: bool,
}

impl OutputFlags {
    /// Returns the destination of each body.
    ///
    /// Fails with code 2 on more files than URLs, a URL without a file name, or `--continue`
    /// without a file.
    pub fn destinations(&self, urls: &[HttpUrl]) -> Result<Vec<Destination>, Failure> {
        if self.output.len() > urls.len() {
            return Err(Failure::usage(Phase::File, "--output", "more files than URLs"));
        }
        urls.iter().enumerate().map(|(k, url)| self.destination(k, url)).collect()
    }

    fn destination(&self, k: usize, url: &HttpUrl) -> Result<Destination, Failure> {
        let destination = match self.output.get(k) {
            Some(path) if path.as_os_str() != "-" => Destination::File(path.clone()),
            None if self.remote_name => match url.file_name() {
                Some(name) => Destination::File(name.into()),
                None => {
                    let failure = Failure::usage(Phase::File, url, "the URL has no file name");
                    return Err(failure.with_hint("-o FILE sets the file"));
                }
            },
            _ => Destination::Stdout,
        };
        if self.resume && destination == Destination::Stdout {
            let why = "only a file (-o, -O) can be continued";
            return Err(Failure::usage(Phase::File, "--continue", why));
        }
        Ok(destination)
    }

    /// The options of the output.
    pub fn options(&self) -> OutputOptions {
        OutputOptions {
            include_header: self.include,
            kept_name: if self.keep_partial { KeptName::Target } else { KeptName::Part },
            resume: self.resume,
            raw: self.raw,
            stats: self.stats,
        }
    }
}
