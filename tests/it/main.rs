//! Whole runs of sockit, against peers of our own and against the real ones on PATH.
//!
//! A file per subcommand or matter; `sockit` starts the sockit under test, `running` holds it
//! while it lives, `peer` plays the other end. No test sleeps for luck: each waits, with a
//! deadline, for the event it needs.

mod peer;
mod running;
mod sockit;

mod tcp_client;
mod tcp_server;
