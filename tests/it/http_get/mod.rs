//! `sockit http-get`, against a scripted server.

mod download_dir;
mod files;
#[cfg(feature = "tls")]
mod https;
mod limits;
mod malformed;
mod ranges;
mod redirects;
mod requests;
mod sending;
mod transfer_end;
