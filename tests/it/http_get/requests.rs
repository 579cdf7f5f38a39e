//! What a request has, and what never reaches the network.

use crate::support::origin::{ok, origin};
use crate::support::peer::{Script, peer_on};
use crate::support::sockit::sockit;

#[test]
fn request_has_the_required_fields() {
    let server = origin([ok("")]);
    server.get("").run().exits(0);
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /x HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: {}\r\n", server.addr())), "{request}");
    assert!(request.contains("\r\nConnection: close\r\n"), "{request}");
}

#[test]
fn own_headers_credentials_and_ranges_are_sent() {
    let server = origin([ok("")]);
    server.get("-H 'X-Own: a b' -H accept: -H 'User-Agent: me' --range 5-9").run().exits(0);
    server.get("--user Aladdin:'open sesame'").run().exits(0);
    sockit("http-get").arg(server.url("/").replace("//", "//us%65r:p%3aw@")).run().exits(0);
    let requests = server.requests();
    assert!(requests[0].contains("X-Own: a b\r\n") && requests[0].contains("User-Agent: me\r\n"));
    assert!(
        requests[0].contains("Range: bytes=5-9\r\n") && !requests[0].contains("Accept"),
        "{}",
        requests[0]
    );
    assert!(requests[1].contains("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    assert!(requests[2].contains("Authorization: Basic dXNlcjpwOnc=\r\n"), "{}", requests[2]);
}

#[test]
fn line_breaks_in_arguments_are_usage_errors() {
    let server = origin([ok("")]);
    let url = server.url("/");
    for words in [
        vec!["http-get", "-H", "X: a\r\nY: b", &url],
        vec!["http-get", "-H", "X: a\nY: b", &url],
        vec!["http-get", "-H", "X Y: a", &url],
        vec!["http-get", "-H", "X\tY: a", &url],
        vec!["http-get", "--user", "a:b\r\nX: y", &url],
        vec!["http-get", "--range", "0-1\r\nX: y", &url],
        vec!["http-get", "--range", "0-1\r\n", &url],
        vec!["http-get", "--resolve", "h\r\n:80:127.0.0.1", &url],
        vec!["http-get", "--proxy", "http://127.0.0.1:1\r\n", &url],
        vec!["http-get", "--proxy", "http://u:p\n@127.0.0.1:1", &url],
        vec!["http-get", "--alpn", "h2\r\n", &url],
        vec!["http-get", "--server-name", "h\r\n", &url],
        vec!["http-get", &format!("{url}a\r\nX: y")],
        vec!["http-get", &format!("{url}a\tb")],
        vec!["http-get", &url.replace("127", "127\r\n")],
    ] {
        let run = words[1..].iter().fold(sockit(words[0]), |run, word| run.arg(word)).run();
        run.exits(2).prints("");
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    sockit("http-get").arg(format!("{url}a b?c d")).run().exits(0);
    assert!(server.requests()[0].starts_with("GET /a%20b?c%20d HTTP/1.1\r\n"));
}

#[test]
fn malformed_arguments_are_usage_errors() {
    for line in [
        "http-get",
        "http-get ftp://h/",
        "http-get http://h:70000/",
        "http-get http://",
        "http-get http://[::1/",
        "http-get --range 9-5 http://h/",
        "http-get --pin zz http://h/",
        "http-get --server-name '' http://h/",
        "http-get --continue http://h/",
        "http-get --resolve h:80 http://h/",
        "http-get --resolve *.h:80:127.0.0.1 http://a.h/",
        "http-get --resolve +h:80:127.0.0.1 http://h/",
        "http-get -O http://h/",
        "http-get -o a -o b http://h/",
        "http-get --user 'a:b' --max-header 0 http://h/",
    ] {
        sockit(line).run().exits(2).prints("");
    }
}

#[test]
fn resolve_flag_connects_to_its_address() {
    let server = origin([ok("hello")]);
    let port = server.addr().port();
    let pin = format!("--resolve no.such.name:{port}:127.0.0.1");
    let run = sockit("http-get -q").and(&pin).arg(format!("http://no.such.name:{port}/")).run();
    run.exits(0).prints("hello");
    assert!(server.requests()[0].contains(&format!("Host: no.such.name:{port}\r\n")));
}

#[test]
fn resolve_of_a_host_wins_over_the_wildcard() {
    let server = origin([ok("any"), ok("own")]);
    let port = server.addr().port();
    let pins = format!("--resolve *:{port}:127.0.0.1 --resolve own.test:{port}:127.0.0.9");
    let get = |host: &str, pins: &str| {
        sockit("http-get -q").and(pins).arg(format!("http://{host}:{port}/")).run()
    };
    get("no.such.name", &pins).exits(0).prints("any");
    get("own.test", &pins).exits(7).fails_at("connect");
    let pins = format!("--resolve *:{port}:127.0.0.9 --resolve OWN.test:{port}:127.0.0.1");
    get("own.test", &pins).exits(0).prints("own");
    let other = format!("--resolve *:{}:127.0.0.1", port ^ 1);
    get("name.localhost", &other).exits(0).prints("own");
    assert!(server.requests()[0].contains(&format!("Host: no.such.name:{port}\r\n")));
}

#[test]
fn zone_of_an_address_is_not_in_the_host_field() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else { return };
    let port = listener.local_addr().unwrap().port();
    let peer = peer_on(listener, |mut stream| {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut stream, &mut byte).expect("a request");
            request.extend(byte);
        }
        stream.send(ok("hello"));
        String::from_utf8(request).unwrap()
    });
    let run = sockit("http-get -q").arg(format!("http://[::1%25lo]:{port}/x")).run();
    run.exits(0).prints("hello");
    let request = peer.outcome();
    assert!(request.contains(&format!("\r\nHost: [::1]:{port}\r\n")), "{request}");
}

#[test]
fn http_proxy_of_the_environment_respects_no_proxy() {
    let proxy = origin([ok("through the proxy")]);
    let url = format!("http://{}", proxy.addr());
    let run = sockit("http-get -q http://far.away/x").env("http_proxy", &url).run();
    run.exits(0).prints("through the proxy");
    let run = sockit("http-get -q http://far.away/x").env("http_proxy", &url);
    let direct = run.env("no_proxy", "away").and("--timeout 2").run();
    assert_ne!(direct.code, 0);
}

#[test]
fn several_urls_are_fetched_in_order() {
    let server = origin([ok("one "), ok("two")]);
    let run = sockit("http-get -q").arg(server.url("/1")).arg(server.url("/2")).run();
    run.exits(0).prints("one two");
}

#[test]
fn forward_proxy_gets_the_absolute_url() {
    let proxy = origin([ok("through the proxy")]);
    let flag = format!("--proxy http://me:pw@{}", proxy.addr());
    sockit("http-get -q").and(&flag).arg("http://far.away/x?y").run().exits(0);
    let request = &proxy.requests()[0];
    assert!(
        request.starts_with("GET http://far.away/x?y HTTP/1.1\r\nHost: far.away\r\n"),
        "{request}"
    );
    assert!(request.contains("Proxy-Authorization: Basic bWU6cHc=\r\n"), "{request}");
}

#[test]
fn proxy_status_407_exits_97_without_its_body() {
    let asks = "HTTP/1.1 407 Login\r\nProxy-Authenticate: Digest realm=\"x\", Basic realm=\"y\"\r\n\
                Content-Length: 4\r\n\r\npage";
    let proxy = origin([asks]);
    let url = format!("http://{}", proxy.addr());
    let get = |flags: &str| {
        sockit("http-get -q").and(flags).arg("--proxy").arg(&url).arg("http://far.away/x").run()
    };
    for (flags, printed) in [("", ""), ("--any-status", ""), ("-I", ""), ("--raw", asks)] {
        let run = get(flags);
        run.exits(97).fails_at("proxy").prints(printed).logs(&url).logs("407 Login");
        run.logs("Digest, Basic").logs("hint: a login is written http://user:password@HOST:PORT");
    }
    let downloads = super::download_dir::DownloadDir::new();
    std::fs::write(downloads.path("f"), "old").unwrap();
    let to_file = sockit("http-get -q --proxy").arg(&url).arg("-o").arg(downloads.path("f"));
    to_file.arg("http://far.away/x").run().exits(97).fails_at("proxy");
    assert_eq!(
        (downloads.read("f").as_deref(), downloads.names()),
        (Some("old"), vec!["f".to_string()])
    );
    // Without a proxy it is a status of the server.
    proxy.get("-q").run().exits(22).fails_at("receive").prints("page");
}

#[test]
fn refused_request_names_authentication_scheme() {
    let refusal = |field: &str| {
        let text = format!("HTTP/1.1 401 No\r\n{field}Content-Length: 4\r\n\r\npage");
        origin([text]).get("-q").run()
    };
    for (field, hint) in [
        ("WWW-Authenticate: Basic realm=\"a\"\r\n", "Basic authentication: --user USER:PASSWORD"),
        ("WWW-Authenticate: Bearer\r\n", "Bearer authentication: -H 'Authorization: Bearer TOKEN'"),
        (
            "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n",
            "Negotiate or NTLM authentication: --user sends Basic only",
        ),
    ] {
        let run = refusal(field);
        run.exits(22)
            .fails_at("receive")
            .prints("page")
            .logs(&format!("hint: the server requires {hint}"));
    }
    refusal("").exits(22).never_logs("hint:");
}

#[test]
fn content_range_must_match_the_request() {
    let part = |range: &str| {
        format!("HTTP/1.1 206 Part\r\nContent-Range: {range}\r\nContent-Length: 3\r\n\r\nllo")
    };
    origin([part("bytes 2-4/5")]).get("-q --range 2-4").run().exits(0).prints("llo");
    origin([part("bytes 1-3/5")]).get("-q --range 2-4").run().exits(8).prints("");
    origin([part("bytes 2-9/5")]).get("-q --range 2-4").run().exits(8).prints("");
    let run = origin([ok("hello")]).get("--range 2-4").run();
    run.exits(0).prints("hello").logs("warning");
}

#[test]
fn retry_waits_for_retry_after() {
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy".to_vec();
    let server = origin([busy.clone(), ok("hello")]);
    let run = server.get("-q --retry 3 --retry-delay 10ms").run();
    run.exits(0).prints("hello");
    assert!(run.took.as_millis() >= 1000, "{:?}", run.took);
    let server = origin([b"".to_vec(), ok("hello")]);
    server.get("-q --retry 1 --retry-delay 10ms").run().exits(0).prints("hello");
    let server = origin([busy]);
    server.get("-q --retry 1 --retry-delay 10ms").run().exits(22).prints("busy");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn password_in_malformed_url_is_not_logged() {
    for url in ["http://bob:hunter2/x@127.0.0.1/", "bob:99hunter2?x@127.0.0.1/"] {
        let run = sockit("http-get").arg(url).run();
        run.prints("").never_logs("hunter2").logs("%2F");
        assert_ne!(run.code, 0);
    }
    let run = sockit("http-get http://bob:99999999/x@127.0.0.1/").run();
    run.exits(2).never_logs("99999999");
}

#[test]
fn error_event_of_a_status_has_its_connection() {
    let page = "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno";
    let run = origin([page]).get("--json").run();
    run.exits(22).prints("no");
    assert_eq!(run.events_named("error")[0]["conn"], 1);
}

#[test]
fn warning_event_has_its_connection() {
    let run = origin([ok("hello")]).get("--json --range 2-4").run();
    run.exits(0).prints("hello");
    assert_eq!(run.events_named("warning")[0]["conn"], 1);
}
