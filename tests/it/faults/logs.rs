//! Log, events and data that cannot be written: closed, full, or a pipe that is not read.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::each;
use crate::support::peer::{self, Script, connect};
use crate::support::process::Process;
use crate::support::sockit::sockit;
use crate::support::wait_until;

/// A pipe of 4 KiB that is not read.
fn unread_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
    (reader, writer)
}

#[test]
fn client_with_unwritable_log_loses_no_byte() {
    let bytes: Vec<u8> = (0..600_000).map(|n| ((n * 31) >> 3) as u8).collect();
    let flags = ["-v", "-v --json", "-vvv", "-v --stats", "--hex -"];
    let redirections = ["2>&-", "2>/dev/full", "2>/dev/null", "stuck"];
    let rows: Vec<_> = flags
        .iter()
        .flat_map(|flags| redirections.map(|redirection| (*flags, redirection)))
        .collect();
    each(&rows, |(flags, redirection)| {
        let echo = peer::echoes();
        let client = sockit("tcp-client").and(flags).to(echo.addr()).stdin(&bytes);
        let (_reader, writer) = unread_pipe();
        let client = match *redirection {
            // A dump is written synchronously, as data is.
            "stuck" if *flags == "--hex -" => return Ok(()),
            "stuck" => client.stderr_to(writer),
            redirection => client.redirect(redirection),
        };
        let run = client.run();
        // Only a dump that cannot be written is an error.
        if run.stdout == bytes && (run.code == 0 || *flags == "--hex -") {
            Ok(())
        } else {
            Err(format!("{flags} {redirection}: {}, {} bytes", run.code, run.stdout.len()))
        }
    });
}

#[test]
fn unread_log_does_not_block_the_server() {
    let (_reader, writer) = unread_pipe();
    let dir = tempfile::tempdir().expect("a folder");
    let server = sockit("tcp-server --print-port -vvv --save").arg(dir.path());
    let server = server.stderr_to(writer).serve();
    for n in 0..150 {
        let mut client = connect(server.addr());
        client.send("a message");
        client.half_close();
        assert_eq!(client.read_all(), b"", "client {n}");
    }
    server.stop().exits(0);
}

/// A FIFO with a reader.
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
fn unread_events_do_not_block_the_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, reader) = fifo(&dir);
    let server = sockit("tcp-server --events").arg(&path).serve();
    let serve_some = || {
        for _ in 0..40 {
            let mut client = connect(server.addr());
            client.expect_bytes("Welcome!");
            client.send("exit");
            assert_eq!(client.read_all(), b"");
        }
    };
    // First it is full, then its reader is closed.
    serve_some();
    drop(reader);
    serve_some();
    let run = server.stop();
    assert!(!run.stderr.contains("internal error"), "{}", run.stderr);
}

/// A client whose stdout is a full pipe.
fn client_with_full_stdout(line: &str) -> (Process, PipeReader, peer::Peer<()>) {
    let sender = peer::peer(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    let (reader, writer) = unread_pipe();
    let client = sockit(line).to(sender.addr()).stdin_open().stdout_to(writer).start();
    // Its first bytes have arrived, so it is writing.
    wait_until_full(&reader);
    (client, reader, sender)
}

#[track_caller]
fn wait_until_full(reader: &PipeReader) {
    wait_until("the pipe is full", || rustix::io::ioctl_fionread(reader).is_ok_and(|n| n > 3000));
}

#[test]
fn unread_stdout_delays_neither_signal_nor_timeout() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        for line in ["tcp-client", "tcp-client --rate 50M/s", "tcp-client --hex -"] {
            let (client, _reader, _talker) = client_with_full_stdout(line);
            client.signal(signal);
            client.wait().exits(code);
        }
    }
    for line in ["tcp-client --timeout 400ms", "tcp-client --idle-timeout 400ms"] {
        let (client, _reader, _talker) = client_with_full_stdout(line);
        client.wait().exits(28);
    }
}

#[test]
fn stdout_read_late_gets_every_byte() {
    let sender = peer::peer(|mut stream| {
        stream.send(vec![b'x'; 3_000_000]);
        stream.half_close();
        stream.read_all()
    });
    let (mut reader, writer) = unread_pipe();
    let client = sockit("tcp-client").to(sender.addr()).stdout_to(writer).start();
    wait_until_full(&reader);
    let mut received = Vec::new();
    reader.read_to_end(&mut received).expect("what was printed");
    client.wait().exits(0);
    assert!(received == vec![b'x'; 3_000_000], "{}", received.len());
}

#[test]
fn server_with_unread_stdout_ends_on_sigterm() {
    for line in ["--service pipe", "--service chat"] {
        let (_reader, writer) = unread_pipe();
        let server = sockit("tcp-server --grace 300ms").and(line).stdin_open().stdout_to(writer);
        let server = server.serve();
        let mut client = connect(server.addr());
        client.set_write_timeout(Some(Duration::from_millis(500))).expect("a limit");
        let lines = b"a line that is not read\n".repeat(100_000);
        let _ = client.write_all(&lines);
        server.signal(libc::SIGTERM);
        // One signal suffices.
        let run = server.wait();
        assert!([0, 143].contains(&run.code), "{line}: {} {}", run.code, run.stderr);
    }
}

#[test]
fn udp_server_with_unread_stdout_ends_on_sigterm() {
    let (reader, writer) = unread_pipe();
    let server = sockit("udp-server").stdout_to(writer).serve();
    let client = crate::support::datagrams::udp_socket();
    for _ in 0..20 {
        // More than the pipe holds: a shorter one that does not fit is written completely or not at all
        // (pipe(7), `PIPE_BUF`).
        client.send_to(&[b'x'; 5000], server.addr()).expect("a sent datagram");
    }
    wait_until_full(&reader);
    server.signal(libc::SIGTERM);
    let run = server.wait();
    assert!([0, 143].contains(&run.code), "{} {}", run.code, run.stderr);
}
