//! `sockit tcp-client`.

mod connect;
mod prompt;
pub mod proxy;
mod script;
mod session;
mod session_files;
