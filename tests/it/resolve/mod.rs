//! `sockit resolve`.

mod failures;
mod local;
mod server;
mod verify;
