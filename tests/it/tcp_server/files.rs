//! `--file` and `--save`: a file to each client, or from each.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::support::peer::{Script, connect};
use crate::support::process::Daemon;
use crate::support::sockit::sockit;
use crate::support::wait_until;

fn serve(flag: &str, path: &Path, more: &str) -> Daemon {
    sockit("tcp-server --json").arg(flag).arg(path).and(more).serve()
}

fn some_bytes(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n / 251 + n) as u8).collect()
}

/// The files in a folder, sorted by name.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn each_client_gets_the_complete_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("f");
    let bytes = some_bytes(3_000_001);
    fs::write(&path, &bytes).unwrap();
    let server = serve("--file", &path, "");
    for _ in 0..3 {
        let mut client = connect(server.addr());
        client.send("whatever is asked");
        assert!(client.read_all() == bytes);
    }
    server.wait_for_log("\"bytes_out\":3000001");
}

#[test]
fn offset_and_count_select_a_part_of_the_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "0123456789").unwrap();
    for (flags, part) in [
        ("--offset 3", "3456789"),
        ("--count 4", "0123"),
        ("--offset 3 --count 4", "3456"),
        ("--offset 8 --count 100", "89"),
        ("--offset 10", ""),
        ("--count 0", ""),
    ] {
        let server = serve("--file", &path, flags);
        assert_eq!(connect(server.addr()).read_all(), part.as_bytes(), "{flags}");
    }
}

#[test]
fn path_that_is_no_file_exits_at_startup() {
    let folder = tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::write(folder.path().join("f"), "short").unwrap();
    for (path, flags) in [("missing", ""), (".", ""), ("fifo", ""), ("f", "--offset 6")] {
        let path = folder.path().join(path);
        let run = sockit("tcp-server --port 0 --file").arg(&path).and(flags).run();
        run.exits(26).fails_at("file");
    }
    sockit("tcp-server --port 0 --service file").run().exits(2);
    sockit("tcp-server --port 0 --save").arg(folder.path().join("f")).run().exits(23);
    sockit("tcp-server --port 0 --save").arg(folder.path().join("no")).run().exits(23);
}

#[test]
fn file_that_shrinks_is_logged_and_reset() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, some_bytes(64 << 20)).unwrap();
    let server = serve("--file", &path, "");
    let mut client = connect(server.addr());
    let mut first = [0; 4096];
    client.read_exact(&mut first).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let end = std::io::copy(&mut client, &mut std::io::sink());
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    server.wait_for_log("the file became shorter");
}

#[test]
fn removed_file_is_logged_and_reset() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "here").unwrap();
    let server = serve("--file", &path, "");
    assert_eq!(connect(server.addr()).read_all(), b"here");
    fs::remove_file(&path).unwrap();
    // The reset may come before the connection is complete for the client.
    let refused =
        TcpStream::connect(server.addr()).and_then(|mut client| client.read(&mut [0; 10]));
    assert!(refused.is_err(), "no clean end");
    server.wait_for_log("No such file or directory");
    fs::write(&path, "again").unwrap();
    assert_eq!(connect(server.addr()).read_all(), b"again");
}

#[test]
fn save_completes_before_the_client_reads_the_end() {
    let folder = tempdir().unwrap();
    let server = serve("--save", folder.path(), "");
    let bytes = some_bytes(2_000_000);
    for n in 1..=3 {
        let mut client = connect(server.addr());
        client.send(&bytes);
        client.half_close();
        assert_eq!(client.read_all(), b"");
        let files = listing(folder.path());
        assert_eq!(files.len(), n);
        assert!(files.iter().all(|file| fs::read(file).unwrap() == bytes));
        let name = files[n - 1].file_name().unwrap().to_string_lossy().into_owned();
        let us = client.local_addr().unwrap().port();
        assert!(name.ends_with(&format!("-127.0.0.1-{us}")), "{name}");
        server.wait_for_log(&format!("\"saved\":\"{}", files[n - 1].display()));
    }
}

#[test]
fn save_of_an_incomplete_stream_stays_a_part() {
    let folder = tempdir().unwrap();
    let server = serve("--save", folder.path(), "");
    let mut client = connect(server.addr());
    client.send("only half");
    wait_until("the file is created", || !listing(folder.path()).is_empty());
    client.reset();
    server.wait_for_log("\"ended_by\":\"reset\"");
    let files = listing(folder.path());
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].extension().unwrap(), "part");
}

#[cfg(target_os = "linux")]
#[test]
fn file_without_size_is_sent_completely() {
    let path = Path::new("/proc/version");
    let server = serve("--file", path, "");
    assert_eq!(connect(server.addr()).read_all(), fs::read(path).unwrap());
    let empty = tempfile::NamedTempFile::new().unwrap();
    let server = serve("--file", empty.path(), "--once");
    assert_eq!(connect(server.addr()).read_all(), b"");
    server.wait().exits(0);
}

#[test]
fn saved_file_has_mode_0600() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let script = "umask 0; exec \"$0\" \"$@\"";
    let server = sockit("tcp-server --save").arg(folder.path()).under(["sh", "-c", script]).serve();
    let mut client = connect(server.addr());
    client.send("secret");
    wait_until("the file is created", || !listing(folder.path()).is_empty());
    let mode = || fs::metadata(&listing(folder.path())[0]).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(), 0o600);
    client.half_close();
    assert_eq!(client.read_all(), b"");
    assert_eq!(mode(), 0o600);
}
