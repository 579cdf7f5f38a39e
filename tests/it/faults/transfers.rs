//! A long transfer through each pump while the kernel interrupts, puts off, refuses and breaks:
//! every byte arrives, or the run says that not all of them did.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::{each, is_orderly};
use crate::support::peer::{self, Peer};
use crate::support::sockit::{Run, Sockit, sockit};
use crate::support::strace::{can_inject, injected};

const SIZE: usize = (4 << 20) + 13;

/// The ways from us to a peer and back, by what the near ends are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A file as stdin, a pipe as stdout: sendfile, splice.
    File,
    /// Pipes on both sides: splice, splice.
    Pipe,
    /// From a file into a file: sendfile, and splice through a pipe of our own.
    Into,
    /// Somebody looks at every byte: read and write.
    Seen,
}

/// The client of this way, and where the answer ends up if not on stdout.
fn client(way: Way, place: &Path, peer: std::net::SocketAddr) -> Sockit {
    let plain = sockit("tcp-client -q").to(peer);
    let from_file = |run: Sockit| run.stdin_from(File::open(place.join("input")).unwrap());
    match way {
        Way::File => from_file(plain),
        Way::Pipe => plain.stdin(input()),
        Way::Into => from_file(plain).arg("--output").arg(place.join("output")),
        Way::Seen => plain.stdin(input()).arg("--hex").arg("/dev/null"),
    }
}

fn input() -> Vec<u8> {
    (0..SIZE).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("input"), input()).unwrap();
    place
}

fn came_back(way: Way, run: &Run, place: &Path) -> Vec<u8> {
    match way {
        Way::Into => fs::read(place.join("output")).unwrap(),
        _ => run.stdout.clone(),
    }
}

#[test]
fn interruptions_and_delays_lose_nothing() {
    if !can_inject() {
        return;
    }
    let rows = [
        (Way::File, "sendfile", "EINTR", "1+2"),
        (Way::File, "sendfile", "EAGAIN", "2+3"),
        (Way::File, "splice", "EINTR", "1+3"),
        (Way::File, "splice", "EAGAIN", "1+3"),
        (Way::File, "sendfile", "EINVAL", "3"),
        (Way::Pipe, "splice", "EINTR", "2+2"),
        (Way::Pipe, "splice", "EAGAIN", "3+4"),
        (Way::Pipe, "splice", "EINVAL", "5"),
        (Way::Pipe, "ppoll", "EINTR", "2+3"),
        (Way::Into, "splice", "EINTR", "2+2"),
        (Way::Into, "splice", "EINVAL", "6"),
        (Way::Seen, "sendto", "EINTR", "3+2"),
        (Way::Seen, "recvfrom", "EINTR", "1+2"),
        // The loader and the standard library read before main.
        (Way::Seen, "read", "EINTR", "12+5"),
    ];
    each(&rows, |row| {
        let (way, call, errno, when) = *row;
        let (echo, place) = (peer::echoes(), place());
        let run = client(way, place.path(), echo.addr());
        let run = injected(run, call, errno, when).run();
        let whole = came_back(way, &run, place.path()) == input();
        match (run.code, whole) {
            (0, true) => Ok(()),
            _ => Err(format!("{row:?}: code {}, whole {whole}: {}", run.code, run.stderr)),
        }
    });
}

#[test]
fn a_full_disk_in_the_middle_keeps_what_came_and_is_told() {
    if !can_inject() {
        return;
    }
    // Every second splice is the one that writes.
    let rows = [(Way::Into, "splice", "8"), (Way::Seen, "write", "10")];
    each(&rows, |row| {
        let (way, call, when) = *row;
        let (echo, place) = (peer::echoes(), place());
        let run = client(way, place.path(), echo.addr());
        let run = injected(run, call, "ENOSPC", when).run();
        let came = came_back(way, &run, place.path());
        is_orderly(&run)?;
        // If it is the dump that can take no more, the talk itself goes on.
        let lacks = came.len() < SIZE || run.stderr.contains("file /dev/null");
        match run.code == 23 && lacks && input().starts_with(&came) {
            true => Ok(()),
            false => Err(format!("{row:?}: code {}, {} bytes", run.code, came.len())),
        }
    });
}

#[test]
fn a_reset_in_the_middle_is_eighteen_by_every_way() {
    each(&[Way::File, Way::Pipe, Way::Into, Way::Seen], |way| {
        let (peer, place) = (reads_a_part_and_resets(), place());
        let run = client(*way, place.path(), peer.addr()).run();
        is_orderly(&run)?;
        match run.code {
            18 => Ok(()),
            code => Err(format!("{way:?}: {code}: {}", run.stderr)),
        }
    });
}

fn reads_a_part_and_resets() -> Peer<()> {
    peer::peer(|mut caller| {
        let mut part = vec![0; 300_000];
        caller.read_exact(&mut part).expect("the first part");
        rustix::net::sockopt::set_socket_linger(&caller, Some(std::time::Duration::ZERO))
            .expect("a close that resets");
    })
}
