//! Talk, events and data that nobody takes: closed, full, or a pipe whose reader has fallen asleep.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::each;
use crate::support::peer::{self, Script, call};
use crate::support::process::Running;
use crate::support::sockit::sockit;

/// A pipe that takes four kilobytes and is never read.
fn stuck() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
    (reader, writer)
}

#[test]
fn a_client_whose_talk_nobody_takes_loses_no_byte() {
    let bytes: Vec<u8> = (0..600_000).map(|n| ((n * 31) >> 3) as u8).collect();
    let flags = ["-v", "-v --json", "-vvv", "-v --stats", "--hex -"];
    let hows = ["2>&-", "2>/dev/full", "2>/dev/null", "stuck"];
    let rows: Vec<_> = flags.iter().flat_map(|flags| hows.map(|how| (*flags, how))).collect();
    each(&rows, |(flags, how)| {
        let echo = peer::echoes();
        let client = sockit("tcp-client").and(flags).to(echo.addr()).stdin(&bytes);
        let (_reader, writer) = stuck();
        let client = match *how {
            // A dump that was asked for is waited for, as data is.
            "stuck" if *flags == "--hex -" => return Ok(()),
            "stuck" => client.stderr_to(writer),
            how => client.redirect(how),
        };
        let run = client.run();
        // Only a dump that was asked for and cannot be had is an error.
        match run.stdout == bytes && (run.code == 0 || *flags == "--hex -") {
            true => Ok(()),
            false => Err(format!("{flags} {how}: {}, {} bytes", run.code, run.stdout.len())),
        }
    });
}

#[test]
fn a_log_that_nobody_reads_stops_no_server() {
    let (_reader, writer) = stuck();
    let dir = tempfile::tempdir().expect("a folder");
    let server = sockit("tcp-server --print-port -vvv --save").arg(dir.path());
    let server = server.stderr_to(writer).serve();
    for n in 0..150 {
        let mut caller = call(server.addr());
        caller.say("anybody?");
        caller.finish();
        assert_eq!(caller.hear_all(), b"", "caller {n}");
    }
    server.stop().exits(0);
}

/// A FIFO with somebody at its other end.
fn fifo(dir: &tempfile::TempDir) -> (PathBuf, File) {
    let path = dir.path().join("events");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a FIFO");
    let reader = OpenOptions::new().read(true).write(true).open(&path).expect("its reader");
    rustix::pipe::fcntl_setpipe_size(&reader, 4096).expect("a small pipe");
    (path, reader)
}

#[test]
fn events_that_nobody_reads_stop_no_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, reader) = fifo(&dir);
    let server = sockit("tcp-server --events").arg(&path).serve();
    let serve_some = || {
        for _ in 0..40 {
            let mut caller = call(server.addr());
            caller.hear("Welcome!");
            caller.say("exit");
            assert_eq!(caller.hear_all(), b"");
        }
    };
    // It is full, and then its reader is gone.
    serve_some();
    drop(reader);
    serve_some();
    let run = server.stop();
    assert!(!run.stderr.contains("internal error"), "{}", run.stderr);
}

/// A client whose stdout is a pipe that is full and stays so.
fn that_cannot_print(line: &str) -> (Running, PipeReader, peer::Peer<()>) {
    let talker = peer::peer(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    let (reader, writer) = stuck();
    let client = sockit(line).to(talker.addr()).stdin_open().stdout_to(writer).start();
    // The first bytes are there: so it is writing, and soon it can write no more.
    assert!(reader_waits(&reader), "nothing is printed");
    (client, reader, talker)
}

fn reader_waits(reader: &PipeReader) -> bool {
    let until = Instant::now() + crate::support::sockit::LIMIT;
    while Instant::now() < until {
        if rustix::io::ioctl_fionread(reader).is_ok_and(|n| n > 3000) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

#[test]
fn a_reader_asleep_holds_up_neither_a_signal_nor_a_limit() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        for line in ["tcp-client", "tcp-client --rate 50M/s", "tcp-client --hex -"] {
            let (client, _reader, _talker) = that_cannot_print(line);
            client.signal(signal);
            client.wait().exits(code);
        }
    }
    for line in ["tcp-client --timeout 400ms", "tcp-client --idle-timeout 400ms"] {
        let (client, _reader, _talker) = that_cannot_print(line);
        client.wait().exits(28);
    }
}

#[test]
fn a_reader_that_wakes_up_again_gets_everything() {
    let talker = peer::peer(|mut stream| {
        stream.say(vec![b'x'; 3_000_000]);
        stream.finish();
        stream.hear_all()
    });
    let (mut reader, writer) = stuck();
    let client = sockit("tcp-client").to(talker.addr()).stdout_to(writer).start();
    assert!(reader_waits(&reader));
    let mut heard = Vec::new();
    reader.read_to_end(&mut heard).expect("what was printed");
    client.wait().exits(0);
    assert!(heard == vec![b'x'; 3_000_000], "{}", heard.len());
}

#[test]
fn a_server_that_cannot_print_ends_when_it_is_told_to() {
    for line in ["--service pipe", "--service chat"] {
        let (_reader, writer) = stuck();
        let server = sockit("tcp-server --grace 300ms").and(line).stdin_open().stdout_to(writer);
        let server = server.serve();
        let mut caller = call(server.addr());
        caller.set_write_timeout(Some(Duration::from_millis(500))).expect("a limit");
        let talk = b"a line that nobody reads\n".repeat(100_000);
        let _ = caller.write_all(&talk);
        let asked = Instant::now();
        server.signal(libc::SIGTERM);
        // A second signal is never needed.
        let run = server.wait();
        assert!(asked.elapsed() < Duration::from_secs(8), "{line}: {:?}", asked.elapsed());
        assert!([0, 143].contains(&run.code), "{line}: {} {}", run.code, run.stderr);
    }
}

#[test]
fn a_server_of_datagrams_that_cannot_print_ends_when_it_is_told_to() {
    let (reader, writer) = stuck();
    let server = sockit("udp-server").stdout_to(writer).serve();
    let caller = crate::support::datagrams::caller();
    for _ in 0..200 {
        caller.send_to(&[b'x'; 1000], server.addr()).expect("a datagram leaves");
    }
    assert!(reader_waits(&reader), "nothing is printed");
    server.signal(libc::SIGTERM);
    let run = server.wait();
    assert!([0, 143].contains(&run.code), "{} {}", run.code, run.stderr);
}
