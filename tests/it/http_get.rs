//! http-get: whole or told. A scripted server tells it truths and lies, real servers the rest.

mod apache;
mod endings;
mod files;
mod httpbin;
mod lies;
mod limits;
pub mod origin;
mod pieces;
mod place;
mod real;
mod redirects;
mod requests;
#[cfg(feature = "tls")]
mod secure;
mod sending;
