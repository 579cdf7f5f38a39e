//! TCP urgent data: an urgent byte in the middle of a stream is not its end, for each copy method.
//! As with nc, ncat and socat, the bytes around it arrive and the urgent one does not.

use std::fs::{self, File};
use std::net::TcpStream;

use crate::support::peer::{Peer, Script, connect, peer};
use crate::support::sockit::sockit;

/// Sends `abcdef` with an urgent byte in its middle, and half-closes.
fn send_urgent(stream: &mut TcpStream) {
    stream.send("abc");
    socket2::SockRef::from(&*stream).send_out_of_band(b"U").expect("urgent data");
    stream.send("def");
    stream.half_close();
}

fn server() -> Peer<Vec<u8>> {
    peer(|mut stream| {
        send_urgent(&mut stream);
        stream.read_all()
    })
}

#[test]
fn urgent_byte_in_an_answer_is_not_its_end() {
    sockit("tcp-client").to(server().addr()).stdin("x").run().exits(0).prints("abcdef");
    sockit("tcp-client --hex -").to(server().addr()).stdin("x").run().exits(0).prints("abcdef");
    sockit("tcp-client --expect abcdef").to(server().addr()).run().exits(0).prints("abcdef\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    sockit("tcp-client --output").arg(&path).to(server().addr()).stdin("x").run().exits(0);
    assert_eq!(fs::read(&path).unwrap(), b"abcdef");
    let appended = File::options().append(true).open(&path).unwrap();
    sockit("tcp-client").to(server().addr()).stdin("x").stdout_to(appended).run().exits(0);
    assert_eq!(fs::read(&path).unwrap(), b"abcdefabcdef");
}

#[test]
fn urgent_byte_from_a_client_is_not_its_end() {
    for (service, answer) in
        [("echo", "abcdef"), ("exec --sh cat", "abcdef"), ("exec --sh 'wc -c'", "6\n")]
    {
        let server = sockit("tcp-server --once --service").and(service).serve();
        let mut client = connect(server.addr());
        send_urgent(&mut client);
        assert_eq!(client.read_all(), answer.as_bytes(), "{service}");
        server.wait().exits(0);
    }
    let server = sockit("tcp-server --once --service pipe").stdin("").serve();
    let mut client = connect(server.addr());
    send_urgent(&mut client);
    server.wait().exits(0).prints("abcdef");
}

#[test]
fn urgent_byte_in_a_saved_file_is_not_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = sockit("tcp-server --once --save").arg(dir.path()).serve();
    let mut client = connect(server.addr());
    send_urgent(&mut client);
    assert_eq!(client.read_all(), b"");
    server.wait().exits(0);
    let saved = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read(saved).unwrap(), b"abcdef");
}

#[cfg(feature = "http")]
#[test]
fn urgent_byte_in_a_body_is_not_its_end() {
    // A body of this length is spliced within the kernel.
    let long = "x".repeat(400_000);
    let body = format!("{long}abcdef");
    for length in ["X: y".to_string(), format!("Content-Length: {}", body.len())] {
        for to_file in [false, true] {
            let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n{long}");
            let server = peer(move |mut stream| {
                stream.expect_bytes("GET / HTTP/1.1\r\n");
                stream.send(head);
                send_urgent(&mut stream);
                stream.read_all()
            });
            let run = sockit("http-get -q").arg(format!("http://{}/", server.addr()));
            if to_file {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("f");
                run.arg("-o").arg(&path).run().exits(0);
                assert!(fs::read(&path).unwrap() == body.as_bytes(), "{length}");
            } else {
                assert!(run.run().exits(0).stdout == body.as_bytes(), "{length}");
            }
        }
    }
}
