//! A long transfer by each copy method while system calls are interrupted, delayed or fail: every
//! byte arrives, or the run reports the failure.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::{each, is_orderly};
use crate::support::peer::{self, Peer};
use crate::support::sockit::{Run, Sockit, sockit};
use crate::support::strace::{can_trace, injected};

const SIZE: usize = (4 << 20) + 13;

/// The copy methods, by the kinds of the local ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// A file as stdin, a pipe as stdout: sendfile, splice.
    File,
    /// Pipes on both sides: splice, splice.
    Pipe,
    /// From a file to a file: sendfile, and splice through a pipe.
    FileToFile,
    /// A dump needs every byte: read and write.
    Dump,
}

/// The client for this method.
fn client(method: Method, dir: &Path, peer: std::net::SocketAddr) -> Sockit {
    let plain = sockit("tcp-client -q").to(peer);
    let from_file = |run: Sockit| run.stdin_from(File::open(dir.join("input")).unwrap());
    match method {
        Method::File => from_file(plain),
        Method::Pipe => plain.stdin(input()),
        Method::FileToFile => from_file(plain).arg("--output").arg(dir.join("output")),
        Method::Dump => plain.stdin(input()).arg("--hex").arg("/dev/null"),
    }
}

fn input() -> Vec<u8> {
    (0..SIZE).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("input"), input()).unwrap();
    dir
}

fn echoed(method: Method, run: &Run, dir: &Path) -> Vec<u8> {
    match method {
        Method::FileToFile => fs::read(dir.join("output")).unwrap(),
        _ => run.stdout.clone(),
    }
}

#[test]
fn interrupted_calls_lose_no_byte() {
    if !can_trace() {
        return;
    }
    let rows = [
        (Method::File, "sendfile", "EINTR", "1+2"),
        (Method::File, "sendfile", "EAGAIN", "2+3"),
        (Method::File, "splice", "EINTR", "1+3"),
        (Method::File, "splice", "EAGAIN", "1+3"),
        (Method::File, "sendfile", "EINVAL", "3"),
        (Method::Pipe, "splice", "EINTR", "2+2"),
        (Method::Pipe, "splice", "EAGAIN", "3+4"),
        (Method::Pipe, "splice", "EINVAL", "5"),
        (Method::Pipe, "ppoll", "EINTR", "2+3"),
        (Method::FileToFile, "splice", "EINTR", "2+2"),
        (Method::FileToFile, "splice", "EINVAL", "6"),
        (Method::Dump, "sendto", "EINTR", "3+2"),
        (Method::Dump, "recvfrom", "EINTR", "1+2"),
        // The loader and the standard library read before main.
        (Method::Dump, "read", "EINTR", "12+5"),
    ];
    each(&rows, |row| {
        let (method, call, errno, when) = *row;
        let (echo, dir) = (peer::echoes(), dir());
        let run = client(method, dir.path(), echo.addr());
        let run = injected(run, call, errno, when).run();
        let is_complete = echoed(method, &run, dir.path()) == input();
        match (run.code, is_complete) {
            (0, true) => Ok(()),
            _ => Err(format!("{row:?}: code {}, complete {is_complete}: {}", run.code, run.stderr)),
        }
    });
}

#[test]
fn full_disk_during_transfer_exits_23_and_keeps_the_part() {
    if !can_trace() {
        return;
    }
    // Every second splice is the one that writes.
    let rows = [(Method::FileToFile, "splice", "8"), (Method::Dump, "write", "10")];
    each(&rows, |row| {
        let (method, call, when) = *row;
        let (echo, dir) = (peer::echoes(), dir());
        let run = client(method, dir.path(), echo.addr());
        let run = injected(run, call, "ENOSPC", when).run();
        let echoed_bytes = echoed(method, &run, dir.path());
        is_orderly(&run)?;
        // If the dump fails, the session continues.
        let lacks = echoed_bytes.len() < SIZE || run.stderr.contains("file /dev/null");
        if run.code == 23 && lacks && input().starts_with(&echoed_bytes) {
            Ok(())
        } else {
            Err(format!("{row:?}: code {}, {} bytes", run.code, echoed_bytes.len()))
        }
    });
}

#[test]
fn reset_during_transfer_exits_18_for_every_copy_method() {
    each(&[Method::File, Method::Pipe, Method::FileToFile, Method::Dump], |method| {
        let (peer, dir) = (reads_a_part_and_resets(), dir());
        let run = client(*method, dir.path(), peer.addr()).run();
        is_orderly(&run)?;
        match run.code {
            18 => Ok(()),
            code => Err(format!("{method:?}: {code}: {}", run.stderr)),
        }
    });
}

fn reads_a_part_and_resets() -> Peer<()> {
    peer::peer(|mut client| {
        let mut part = vec![0; 300_000];
        client.read_exact(&mut part).expect("the first part");
        rustix::net::sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO))
            .expect("a close that resets");
    })
}
