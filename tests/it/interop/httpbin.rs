//! httpbin, a server for testing clients, from Python's package index.
//!
//! Debian has no package of it: without the Python module its tests are skipped.

use std::process::{Command, Stdio};

use super::web_servers::Server;
use crate::support::peer::{free_port, program};
use crate::support::sockit::sockit;

const SERVE: &str = "
import sys
from httpbin import app
from werkzeug.serving import WSGIRequestHandler, make_server
WSGIRequestHandler.protocol_version = 'HTTP/1.1'
make_server('127.0.0.1', int(sys.argv[1]), app, threaded=True).serve_forever()
";

fn httpbin() -> Option<Server> {
    let mut asked = program("python3")?;
    asked.args(["-c", "import httpbin"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !asked.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: python3 cannot import httpbin");
        return None;
    }
    let port = free_port();
    let mut command = program("python3")?;
    command.args(["-c", SERVE, &port.to_string()]);
    Some(Server::start(command, port, tempfile::tempdir().unwrap()))
}

/// Paths whose responses do not depend on the client, with the exit code.
const PLAIN: [(&str, i32); 24] = [
    ("/range/1024", 0),
    ("/stream-bytes/50000?seed=1", 0),
    ("/bytes/1000?seed=3", 0),
    ("/drip?numbytes=5&duration=0.2&delay=0", 0),
    ("/encoding/utf8", 0),
    ("/image/png", 0),
    ("/html", 0),
    ("/json", 0),
    ("/xml", 0),
    ("/robots.txt", 0),
    ("/links/3/1", 0),
    ("/base64/aGVsbG8=", 0),
    ("/response-headers?X-A=b", 0),
    ("/redirect-to?url=/robots.txt", 0),
    ("/redirect-to?url=/robots.txt&status_code=307", 0),
    ("/status/204", 0),
    ("/status/304", 0),
    ("/status/400", 22),
    ("/status/418", 22),
    ("/status/503", 22),
    ("/basic-auth/u/p", 22),
    ("/hidden-basic-auth/u/p", 22),
    ("/digest-auth/auth/u/p", 22),
    ("/bearer", 22),
];

#[test]
fn httpbin_body_equals_that_of_curl() {
    let Some(server) = httpbin() else { return };
    let Some(_) = program("curl") else { return };
    for (path, code) in PLAIN {
        let ours = sockit("http-get -q").arg(server.url(path)).run();
        let theirs = curl(&server.url(path));
        assert_eq!(ours.code, code, "{path}: {}", ours.stderr);
        assert!(ours.stdout == theirs, "{path}: {} and {} bytes", ours.stdout.len(), theirs.len());
    }
}

fn curl(url: &str) -> Vec<u8> {
    Command::new("curl").args(["-s", "-L", url]).output().expect("curl starts").stdout
}

#[test]
fn httpbin_receives_fields_and_every_encoding_is_decoded() {
    let Some(server) = httpbin() else { return };
    let get = |line: &str, path: &str| {
        let run = sockit("http-get -q").and(line).arg(server.url(path)).run();
        (run.code, String::from_utf8_lossy(&run.stdout).into_owned())
    };
    for (path, word) in [
        ("/gzip", "\"gzipped\": true"),
        ("/deflate", "\"deflated\": true"),
        ("/brotli", "\"brotli\": true"),
    ] {
        let (code, body) = get("", path);
        assert!(code == 0 && body.contains(word), "{path}: {code} {body}");
    }
    let (code, body) = get("-H X-Word:said", "/headers");
    assert!(code == 0 && body.contains("\"X-Word\": \"said\""), "{code} {body}");
    let (code, body) = get("--user u:p", "/basic-auth/u/p");
    assert!(code == 0 && body.contains("\"authenticated\": true"), "{code} {body}");
    let (code, body) = get("--range 10-19", "/range/100");
    assert_eq!((code, body.as_str()), (0, "klmnopqrst"));
    let (code, body) = get("", "/absolute-redirect/5");
    assert!(code == 0 && body.contains("/get\""), "{code} {body}");
    assert_eq!(get("--max-redirects 4", "/relative-redirect/5").0, 47);
    assert_eq!(get("--timeout 1", "/delay/5").0, 28);
    assert_eq!(get("", "/stream/20").1.lines().count(), 20);
}
