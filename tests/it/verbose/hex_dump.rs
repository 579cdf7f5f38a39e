//! `--hex` of servers: both directions, with the connection in each line.

use crate::support::datagrams::{exchange, udp_socket};
use crate::support::peer::{Script, connect};
use crate::support::sockit::sockit;

fn dump() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump");
    (dir, path)
}

#[test]
fn lines_begin_with_the_number_of_the_connection() {
    let (_dir, path) = dump();
    let server = sockit("tcp-server --max-accepts 2 --hex").arg(&path).serve();
    for word in ["one", "two"] {
        let mut client = connect(server.addr());
        client.expect_bytes("Welcome!");
        client.send(word);
        client.expect_bytes(format!("Hello, {word}!"));
        client.half_close();
        client.read_all();
    }
    server.wait().exits(0);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut expected = Vec::new();
    for (conn, word) in [(1, "one"), (2, "two")] {
        expected.push((format!("{conn} > 00000000  57 65 "), "|Welcome!|".to_string()));
        expected.push((format!("{conn} < 00000000  "), format!("|{word}|")));
        expected.push((format!("{conn} > 00000008  "), format!("|Hello, {word}!|")));
    }
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, (start, end)) in lines.iter().zip(expected) {
        assert!(line.starts_with(&start) && line.ends_with(&end), "{line}: {start}…{end}");
    }
}

#[test]
fn files_and_unix_sockets_are_dumped_too() {
    let (dir, path) = dump();
    let file = dir.path().join("file");
    std::fs::write(&file, "from a file").unwrap();
    let socket = dir.path().join("socket");
    let server = sockit("unix-server --once --file").arg(&file).arg("--hex").arg(&path);
    let server = server.arg(&socket).serve();
    sockit("unix-client --recv-only").arg(&socket).run().exits(0).prints("from a file");
    server.wait().exits(0);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("1 > 00000000  66 72 6f 6d") && text.ends_with("|from a file|\n"),
        "{text}"
    );
}

#[test]
fn datagrams_have_the_address_of_their_peer() {
    for line in ["udp-echo --once", "udp-server --service echo --once"] {
        let (_dir, path) = dump();
        let server = sockit(line).arg("--hex").arg(&path).serve();
        let client = udp_socket();
        exchange(&client, server.addr(), "hi");
        server.wait().exits(0);
        let text = std::fs::read_to_string(&path).unwrap();
        let peer = client.local_addr().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{line}: {text}");
        assert!(lines[0].starts_with(&format!("{peer} < 00000000  68 69 ")), "{line}: {text}");
        assert!(lines[1].starts_with(&format!("{peer} > 00000000  68 69 ")), "{line}: {text}");
    }
}

#[test]
fn dump_on_stderr_and_json_exclude_each_other() {
    for line in ["tcp-server", "udp-echo", "udp-server"] {
        sockit(line).and("--port 0 --json --hex -").run().exits(2);
    }
}
