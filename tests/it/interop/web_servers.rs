//! nginx with a private configuration, and Python's http.server.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::peer::{free_port, program, wait_for_listener};
use crate::support::sockit::sockit;
use crate::support::wait_until;

/// A real web server, killed when dropped.
pub struct Server {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(mut command: Command, port: u16, dir: TempDir) -> Server {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().expect("the server starts");
        wait_for_listener(port);
        Server { child, port, dir }
    }

    /// The URL of this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The path of a file in its folder.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

/// A reproducible body that compresses poorly.
pub fn body(size: usize) -> Vec<u8> {
    let mut state = 88172645463325252_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + (state % 16) as u8
    };
    (0..size).map(|_| byte()).collect()
}

fn python() -> Option<Server> {
    let mut command = program("python3")?;
    let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
    fs::write(dir.path().join("big"), body(3 << 20)).unwrap();
    command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    command.current_dir(dir.path());
    Some(Server::start(command, port, dir))
}

fn nginx() -> Option<Server> {
    // Debian installs it in a folder that only root's PATH has.
    let mut command = match Path::new("/usr/sbin/nginx") {
        there if there.exists() => Command::new(there),
        _ => program("nginx")?,
    };
    let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
    let home = dir.path().display().to_string();
    fs::write(dir.path().join("big"), body(3 << 20)).unwrap();
    fs::write(dir.path().join("page.html"), body(200_000)).unwrap();
    fs::write(dir.path().join("users"), "me:{PLAIN}secret\n").unwrap();
    fs::write(
        dir.path().join("conf"),
        format!(
            "daemon off; master_process off; pid {home}/pid; error_log {home}/errors;
             events {{ worker_connections 64; }}
             http {{
               access_log off;
               client_body_temp_path {home}/t1; proxy_temp_path {home}/t2;
               fastcgi_temp_path {home}/t3; uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
               types {{ text/html html; }}
               server {{
                 listen 127.0.0.1:{port}; listen unix:{home}/socket; root {home};
                 location /host {{ return 200 $http_host; }}
                 gzip on; gzip_min_length 10;
                 location /moved {{ return 301 /page.html; }}
                 location /nothing {{ return 444; }}
                 location /slow/ {{ alias {home}/; limit_rate 200k; limit_rate_after 1; }}
                 location /private/ {{ alias {home}/; auth_basic x; auth_basic_user_file {home}/users; }}
               }}
             }}"
        ),
    )
    .unwrap();
    command.args(["-p", &home, "-c", &format!("{home}/conf"), "-e", &format!("{home}/errors")]);
    Some(Server::start(command, port, dir))
}

#[test]
fn unix_socket_reaches_nginx_under_host_of_url() {
    let Some(server) = nginx() else { return };
    let socket = server.file("socket");
    // It is created before it listens.
    wait_until("nginx listens", || UnixStream::connect(&socket).is_ok());
    let get = |url: &str| sockit("http-get -q --unix").arg(&socket).arg(url);
    // A proxy of the environment is not used for this socket.
    let dead = "http://127.0.0.1:9";
    get("http://docker.example:81/host")
        .env("http_proxy", dead)
        .run()
        .exits(0)
        .prints("docker.example:81");
    let run = get("http://any.example/big").run();
    run.exits(0);
    assert!(run.stdout == body(3 << 20));
    let run = get("http://any.example/private/page.html").run();
    run.exits(22).logs("hint: the server requires Basic authentication: --user USER:PASSWORD");
}

#[test]
fn python_server_body_is_complete() {
    let Some(server) = python() else { return };
    let run = sockit("http-get -q").arg(server.url("/big")).run();
    run.exits(0);
    assert!(run.stdout == body(3 << 20));
    sockit("http-get -q").arg(server.url("/none")).run().exits(22);
    // It has no ranges: the part is useless, and the complete body is sent again.
    let target = server.file("copy");
    fs::write(server.file("copy.part"), "not of this body").unwrap();
    sockit("http-get --continue -o").arg(&target).arg(server.url("/big")).run().exits(0);
    assert!(fs::read(&target).unwrap() == body(3 << 20));
}

#[test]
fn nginx_plain_encoded_range_and_redirect() {
    let Some(server) = nginx() else { return };
    let run = sockit("http-get -q").arg(server.url("/big")).run();
    run.exits(0);
    assert!(run.stdout == body(3 << 20));
    let run = sockit("http-get").arg(server.url("/moved")).run();
    run.exits(0).logs("301 Moved Permanently").logs("Content-Encoding: gzip");
    assert!(run.stdout == body(200_000));
    let run = sockit("http-get -q --range 100-199").arg(server.url("/big")).run();
    run.exits(0).prints(&body(3 << 20)[100..200]);
    sockit("http-get -q").arg(server.url("/nothing")).run().exits(52);
    sockit("http-get -q").arg(server.url("/none")).run().exits(22);
    let run = sockit("http-get -q --user me:secret").arg(server.url("/private/page.html")).run();
    run.exits(0);
    assert!(run.stdout == body(200_000));
    sockit("http-get -q").arg(server.url("/private/page.html")).run().exits(22);
    sockit("http-get -q -I").arg(server.url("/big")).run().exits(0).prints("");
}

#[test]
fn nginx_interrupted_download_is_continued() {
    let Some(server) = nginx() else { return };
    let target = server.file("copy");
    let get = |flags: &str| {
        sockit("http-get -q").and(flags).arg("-o").arg(&target).arg(server.url("/slow/big"))
    };
    get("--timeout 2").run().exits(28);
    let part = fs::metadata(server.file("copy.part")).unwrap().len();
    assert!((1..3 << 20).contains(&part), "{part}");
    let whole = sockit("http-get --continue -o").arg(&target).arg(server.url("/big")).run();
    whole.exits(0).logs("206 Partial Content");
    assert!(fs::read(&target).unwrap() == body(3 << 20));
    // The file has changed since, though not in size.
    get("--timeout 2").run().exits(28);
    fs::write(server.file("big"), [body(1), body(3 << 20)].concat()).unwrap();
    sockit("http-get -q --continue -o").arg(&target).arg(server.url("/big")).run().exits(0);
    assert!(fs::read(&target).unwrap() == [body(1), body(3 << 20)].concat());
}

/// The body that the tutorial's client gets.
fn tutorial_body(server: &Server, path: &str) -> Option<Vec<u8>> {
    let mut python = program("python3")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tutorials");
    python.arg(folder.join("careful_client.py")).arg(server.port.to_string()).arg(path);
    Some(body_of(&python.output().expect("their client runs").stdout))
}

fn body_of(answer: &[u8]) -> Vec<u8> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a blank line");
    answer[end + 4..].to_vec()
}

#[test]
fn body_equals_that_of_the_tutorial_client() {
    for server in [python(), nginx()].into_iter().flatten() {
        let Some(theirs) = tutorial_body(&server, "/big") else { return };
        let raw = sockit("http-get --http1.0 --half-close --raw").arg(server.url("/big")).run();
        raw.exits(0).logs_nothing();
        assert!(body_of(&raw.stdout) == theirs);
        let plain = sockit("http-get -q").arg(server.url("/big")).run();
        plain.exits(0);
        assert!(plain.stdout == theirs);
    }
}
