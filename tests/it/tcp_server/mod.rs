//! `sockit tcp-server`.

mod accept;
mod activation;
mod chat;
mod exec;
mod files;
mod many_connections;
mod services;
