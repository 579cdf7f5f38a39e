//! `sockit tcp-client`.

mod connect;
mod prompt;
mod proxy;
mod script;
mod session;
mod session_files;
