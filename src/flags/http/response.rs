//! Flags of http-get for the responses that it accepts.

use std::time::Duration;

use crate::fetch::options::LimitOptions;
use crate::flags::values::{self, Limit};
use crate::http::{Leniency, ParserOptions};

/// What is accepted as a response.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Response")]
pub struct ResponseFlags {
    /// Write a gzip, deflate, br or zstd body without decoding it
    #[arg(long)]
    pub no_decode: bool,
    /// Maximum decoded size in bytes (replaces the decompression-bomb heuristic); 0 = none
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub max_decoded: Option<u64>,
    /// Maximum size of the header in bytes
    #[arg(long, value_name = "SIZE", default_value = "256Ki", value_parser = header_size)]
    pub max_header: usize,
    /// Accept malformed header and chunk-size lines (length errors are always fatal)
    #[arg(long)]
    pub lenient: bool,
    /// Accept HTTP/0.9 responses
    #[arg(long = "http0.9")]
    pub http09: bool,
    /// Exit with 0 for every status, 400 and above too
    #[arg(long)]
    pub any_status: bool,
    /// Receive at most SIZE bytes per second
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub rate: Option<u64>,
    /// Exit with 28 if less than SIZE bytes per second arrive, averaged over --speed-time
    #[arg(long, value_name = "SIZE/s", value_parser = values::rate)]
    pub speed_limit: Option<u64>,
    /// Time over which --speed-limit is averaged
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = speed_time,
          requires = "speed_limit")]
    pub speed_time: Duration,
    /// Exit with 28 if no data arrives for this long; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::limit)]
    pub idle_timeout: Limit,
    /// Timeout of the complete run; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true,
          value_parser = values::limit)]
    pub timeout: Limit,
}

impl ResponseFlags {
    /// How responses are parsed.
    pub fn parser_options(&self) -> ParserOptions {
        ParserOptions {
            max_header: self.max_header,
            max_decoded: self.max_decoded.map(|max| if max == 0 { u64::MAX } else { max }),
            decode: !self.no_decode,
            leniency: if self.lenient { Leniency::Lenient } else { Leniency::Strict },
            http09: self.http09,
            ..ParserOptions::default()
        }
    }

    /// The limits of each transfer.
    pub fn limits(&self) -> LimitOptions {
        LimitOptions {
            idle_timeout: self.idle_timeout.0,
            max_rate: self.rate,
            min_rate: self.speed_limit.map(|rate| (rate, self.speed_time)),
        }
    }
}

fn speed_time(word: &str) -> Result<Duration, String> {
    match values::duration(word)? {
        Duration::ZERO => Err("the time must be longer than 0".to_string()),
        time => Ok(time),
    }
}

fn header_size(word: &str) -> Result<usize, String> {
    match values::size(word)? {
        bytes @ 64..=0x4000_0000 => Ok(bytes as usize),
        _ => Err(format!("'{word}' is not a header size from 64 bytes to 1Gi")),
    }
}
