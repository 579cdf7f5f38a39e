//! What the two ends of a flow are, and which call suits them.
#![cfg(target_os = "linux")]

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};

use crate::net::stdio::is_null;

/// The call that suits two ends. Descriptors are borrowed from the ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    /// From a file to a socket.
    Sendfile(BorrowedFd<'a>, BorrowedFd<'a>),
    /// One of the two is a pipe.
    Splice(BorrowedFd<'a>, BorrowedFd<'a>),
    /// Neither is a pipe: through one of our own.
    Through(BorrowedFd<'a>, BorrowedFd<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Pipe,
    Socket,
    Null,
    Other,
}

/// The faster way for these two, if there is one.
pub(super) fn way<'a>(from: Option<BorrowedFd<'a>>, to: Option<BorrowedFd<'a>>) -> Option<Way<'a>> {
    let (from, to) = (from?, to?);
    match (kind(from)?, kind(to)?) {
        (Kind::File, Kind::Socket) => Some(Way::Sendfile(from, to)),
        (Kind::Pipe, Kind::Socket) | (Kind::Socket, Kind::Pipe) => Some(Way::Splice(from, to)),
        (Kind::Socket, Kind::File | Kind::Null) => Some(Way::Through(from, to)),
        _ => None,
    }
}

fn kind(fd: BorrowedFd<'_>) -> Option<Kind> {
    let stat = fstat(fd).ok()?;
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice if is_null(&stat) => Kind::Null,
        _ => Kind::Other,
    })
}
