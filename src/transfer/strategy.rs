//! Chooses the system call by the kinds of the two ends.
#![cfg(target_os = "linux")]

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};

use crate::net::stdio::is_null;
use crate::net::stream_observer::Observation;

/// A faster method.
#[derive(Debug, Clone, Copy)]
pub(super) enum TransferMethod {
    /// From a file to a socket.
    Sendfile,
    /// One of the two is a pipe.
    SpliceDirect,
    /// Neither is a pipe: splice through one of its own.
    SpliceThrough,
}

impl TransferMethod {
    /// Whether the method shows an observer what it needs.
    pub(super) fn suits(self, observation: Observation) -> bool {
        match self {
            TransferMethod::Sendfile => observation <= Observation::Calls,
            _ => observation == Observation::None,
        }
    }

    /// The system call.
    pub(super) fn name(self) -> &'static str {
        match self {
            TransferMethod::Sendfile => "sendfile",
            TransferMethod::SpliceDirect => "splice",
            TransferMethod::SpliceThrough => "splice through a pipe",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FdKind {
    File,
    Pipe,
    Socket,
    Null,
    Other,
}

/// The faster method for these two, if there is one.
pub(super) fn faster_method(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Option<TransferMethod> {
    match (kind(from)?, kind(to)?) {
        (FdKind::Pipe, FdKind::Socket) | (FdKind::Socket, FdKind::Pipe) => {
            Some(TransferMethod::SpliceDirect)
        }
        (FdKind::File, FdKind::Socket) => Some(TransferMethod::Sendfile),
        (FdKind::Socket, FdKind::File | FdKind::Null) => Some(TransferMethod::SpliceThrough),
        _ => None,
    }
}

fn kind(fd: BorrowedFd<'_>) -> Option<FdKind> {
    let stat = fstat(fd).ok()?;
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FdKind::File,
        FileType::Fifo => FdKind::Pipe,
        FileType::Socket => FdKind::Socket,
        FileType::CharacterDevice if is_null(&stat) => FdKind::Null,
        _ => FdKind::Other,
    })
}
