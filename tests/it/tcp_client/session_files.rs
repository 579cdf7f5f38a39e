//! The files of a session: `--input`, `--output` and `--hex`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::support::peer::{self, Peer, Script, peer};
use crate::support::sockit::{Sockit, sockit};

fn file(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("file");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn existing_output_is_kept_until_data_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let old = file(&dir, "precious");
    let refusing = peer::Refusing::new();
    sockit("tcp-client --output").arg(&old).to(refusing.addr()).run().exits(7);
    assert_eq!(fs::read(&old).unwrap(), b"precious");

    let resets = peer(|stream| stream.reset());
    let run = sockit("tcp-client --output").arg(&old).to(resets.addr()).stdin_open().run();
    run.exits(56);
    assert_eq!(fs::read(&old).unwrap(), b"precious");

    let new = dir.path().join("new");
    sockit("tcp-client --output").arg(&new).to(refusing.addr()).run().exits(7);
    assert!(!new.exists(), "a refused connection creates no file");
}

#[test]
fn shorter_answer_truncates_the_output() {
    let dir = tempfile::tempdir().unwrap();
    for (flags, stdin) in
        [("", "new"), ("--send new", ""), ("--prompt", "new\n"), ("--hex -", "new")]
    {
        let old = file(&dir, "something longer");
        let echo = peer::echoes();
        let run = sockit("tcp-client --output").arg(&old).and(flags).to(echo.addr()).stdin(stdin);
        run.run().exits(0).prints("");
        assert_eq!(fs::read_to_string(&old).unwrap().trim_end(), "new", "{flags}");
    }
    for flags in ["", "--prompt", "--hex -"] {
        let old = file(&dir, "something longer");
        let silent = peer(|mut stream| stream.read_all());
        let run = sockit("tcp-client --output").arg(&old).and(flags).to(silent.addr());
        run.stdin("x").run().exits(0).prints("");
        assert_eq!(fs::read(&old).unwrap(), b"", "{flags}");
        let new = dir.path().join("new");
        let silent = peer(|mut stream| stream.read_all());
        let run = sockit("tcp-client --output").arg(&new).and(flags).to(silent.addr());
        run.stdin("x").run().exits(0);
        assert_eq!(fs::read(&new).unwrap(), b"", "an empty answer is an empty file");
        fs::remove_file(&new).unwrap();
    }
}

#[test]
fn unwritable_output_exits_23_before_connecting() {
    let dir = tempfile::tempdir().unwrap();
    let refusing = peer::Refusing::new();
    for path in [dir.path().to_path_buf(), dir.path().join("no/file")] {
        let run = sockit("tcp-client --output").arg(path).to(refusing.addr()).run();
        run.exits(23).fails_at("file");
    }
}

#[test]
fn full_disk_of_script_output_exits_23() {
    let echo = peer::echoes();
    let run = sockit("tcp-client --send x --output /dev/full").to(echo.addr()).run();
    run.exits(23).fails_at("file").logs("/dev/full");
}

#[test]
fn output_equal_to_input_is_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let same = file(&dir, "both");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&same, &link).unwrap();
    let refusing = peer::Refusing::new();
    for output in [&same, &link] {
        let run = sockit("tcp-client --input").arg(&same).and("--output").arg(output);
        run.to(refusing.addr()).run().exits(2).fails_at("file");
        assert_eq!(fs::read(&same).unwrap(), b"both");
    }
}

#[test]
fn offset_beyond_the_end_exits_26_before_connecting() {
    let dir = tempfile::tempdir().unwrap();
    let short = file(&dir, "0123456789");
    let refusing = peer::Refusing::new();
    let run = sockit("tcp-client --offset 11 --input").arg(&short).to(refusing.addr()).run();
    run.exits(26).fails_at("file").logs("--offset is beyond the end of the file (10 bytes)");
}

#[test]
fn offset_in_a_pipe_exits_26_with_a_hint() {
    let refusing = peer::Refusing::new();
    let piped = sockit("tcp-client --input - --offset 3").to(refusing.addr()).stdin("abcdef");
    piped.run().exits(26).fails_at("stdin").logs("Illegal seek").logs("tail -c +N");
}

#[cfg(target_os = "linux")]
#[test]
fn sent_file_is_logged_with_its_offset() {
    let (echo, dir) = (peer::echoes(), tempfile::tempdir().unwrap());
    let run =
        sockit("tcp-client -vv --offset 4 --count 10 --input").arg(file(&dir, "0123456789abcdef"));
    let run = run.to(echo.addr()).run();
    run.exits(0).prints("456789abcd").logs("Sending the file from byte 4, 10 bytes (sendfile)");
}

#[test]
fn dash_is_stdin_or_stdout() {
    let echo = peer::echoes();
    let dash = sockit("tcp-client --input - --output -");
    dash.to(echo.addr()).stdin("abc").run().exits(0).prints("abc");

    let echo = peer::echoes();
    let part = sockit("tcp-client --input - --count 2").to(echo.addr()).stdin("abc");
    part.run().exits(0).prints("ab");

    let dir = tempfile::tempdir().unwrap();
    let stdin = fs::File::open(file(&dir, "abcdef")).unwrap();
    let echo = peer::echoes();
    let part = sockit("tcp-client --input - --offset 3").to(echo.addr()).stdin_from(stdin);
    part.run().exits(0).prints("def");

    let echo = peer::echoes();
    sockit("tcp-client --send abc --output -").to(echo.addr()).run().exits(0).prints("abc\n");
}

#[test]
fn hex_dump_has_request_before_reply() {
    let dir = tempfile::tempdir().unwrap();
    let dump = dir.path().join("dump");
    for (flags, stdin) in [("--send ask", ""), ("--prompt", "ask\n"), ("", "ask")] {
        for _ in 0..10 {
            let quick = peer(|mut stream| {
                stream.expect_bytes("ask");
                stream.send("answer");
                stream.read_all();
            });
            let run = sockit("tcp-client --hex").arg(&dump).and(flags).to(quick.addr());
            run.stdin(stdin).run().exits(0);
            let lines = fs::read_to_string(&dump).unwrap();
            let signs: String = lines.lines().filter_map(|line| line.chars().next()).collect();
            assert_eq!(signs, "><", "{flags}");
        }
    }
}

#[test]
fn hex_to_stderr_with_json_is_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let at = |line: &str| sockit(line).and("--json --hex -").arg(dir.path().join("socket"));
    let udp = sockit("udp-client --json --hex - --send x localhost 9");
    let tcp = sockit("tcp-client --json --hex - localhost 9");
    for client in [tcp, udp, at("unix-client"), at("unix-client --datagram --send x")] {
        let run = client.run();
        run.exits(2).prints("");
        assert_eq!(run.events().len(), run.stderr.lines().count(), "{}", run.stderr);
        assert_eq!(run.events_named("error")[0]["code"], 2);
    }
    let echo = peer::echoes();
    let dump = dir.path().join("dump");
    let run = sockit("tcp-client --json --hex").arg(&dump).to(echo.addr()).stdin("hi").run();
    run.exits(0).prints("hi");
    assert_eq!(run.events().len(), run.stderr.lines().count(), "{}", run.stderr);
    assert!(fs::read_to_string(&dump).unwrap().starts_with("> 00000000  68 69"));
}

/// More than the socket buffers hold.
const LARGE: u64 = 64 << 20;

/// Reads the first byte, changes the file at `path`, reads the rest and returns the number of
/// bytes.
fn reader(path: &Path, change: fn(&File)) -> Peer<io::Result<u64>> {
    let file = File::options().append(true).open(path).unwrap();
    peer(move |mut stream| {
        stream.read_exact(&mut [0])?;
        change(&file);
        Ok(io::copy(&mut stream, &mut io::sink())? + 1)
    })
}

/// The ways to send a large file, and the phase of their errors.
fn inputs(path: &Path) -> Vec<(Sockit, &'static str)> {
    File::create(path).unwrap().set_len(LARGE).unwrap();
    let input = |flags| sockit("tcp-client").and(flags).arg("--input").arg(path);
    vec![
        (input(""), "file"),
        (input("--count 60Mi"), "file"),
        (input("--rate 10Gi/s"), "file"),
        (sockit("tcp-client").stdin_from(File::open(path).unwrap()), "stdin"),
    ]
}

#[test]
fn input_that_shrinks_is_reset_and_26() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    for at in 0..4 {
        let (client, phase) = inputs(&path).swap_remove(at);
        let reader = reader(&path, |file| file.set_len(1000).unwrap());
        let run = client.to(reader.addr()).run();
        run.exits(26).fails_at(phase).logs("the file became shorter");
        let end = reader.outcome().map_err(|e| e.kind());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset), "{at}");
    }
}

#[test]
fn input_that_grows_is_sent_up_to_its_first_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    for at in 0..4 {
        let (client, _) = inputs(&path).swap_remove(at);
        let reader = reader(&path, |mut file| file.write_all(&[1; 5000]).unwrap());
        client.to(reader.addr()).run().exits(0);
        let sent = if at == 1 { 60 << 20 } else { LARGE };
        assert_eq!(reader.outcome().unwrap(), sent, "{at}");
    }
}

#[test]
fn stdin_of_a_server_that_shrinks_is_reset_and_26() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    inputs(&path);
    let stdin = File::open(&path).unwrap();
    let server = sockit("tcp-server --service pipe --once").stdin_from(stdin).serve();
    let mut client = peer::connect(server.addr());
    client.read_exact(&mut [0]).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let end = io::copy(&mut client, &mut io::sink()).map_err(|e| e.kind());
    assert_eq!(end.unwrap_err(), io::ErrorKind::ConnectionReset);
    server.wait().exits(26).fails_at("stdin").logs("the file became shorter");
}
