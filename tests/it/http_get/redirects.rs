//! Redirects: which are followed, and which fields are sent along.

use crate::support::origin::{ok, origin, to};
use crate::support::sockit::sockit;

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let server = origin([to("/a"), to("b?c"), to("//127.0.0.1:1/../x"), ok("hello")]);
    server.get("--max-redirects 2").run().exits(47);
    let server = origin([to("/a/b"), to("../c?d"), ok("hello")]);
    server.get("-q").run().exits(0).prints("hello");
    let paths: Vec<_> =
        server.requests().iter().map(|r| r[..r.find(" HTTP").unwrap()].to_string()).collect();
    assert_eq!(paths, ["GET /x", "GET /a/b", "GET /c?d"]);
}

#[test]
fn redirect_loop_exits_47() {
    let circle = origin([to("/x")]);
    circle.get("").run().exits(47).prints("").logs("more than 10 redirects");
    assert_eq!(circle.requests().len(), 11);
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 4\r\n\r\nover";
    origin([redirect]).get("--max-redirects 0").run().exits(0).prints("over");
    origin(["HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\nhere"])
        .get("")
        .run()
        .exits(0)
        .prints("here");
}

#[test]
fn malicious_location_exits_47() {
    for location in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:70/_x",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http:///etc/passwd",
        "http:x",
        "/\\127.0.0.1/",
        "http://127.0.0.1:99999/",
        "/a\tb",
        "http://",
    ] {
        let run = origin([to(location)]).get("-q").run();
        run.exits(47).prints("").fails_at("receive");
    }
    let two = "HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    origin([two]).get("-q").run().exits(8);
}

#[test]
fn credentials_are_not_sent_to_another_origin() {
    let other = origin([ok("elsewhere")]);
    let home = origin([to("/again"), to(&other.url("/there"))]);
    let run = home
        .get("-q --user me:secret -H 'X-Api-Key: k' -H 'Cookie: c' -H 'Accept-Language: de'")
        .run();
    run.exits(0).prints("elsewhere");
    for request in home.requests() {
        assert!(
            request.contains("Authorization: ") && request.contains("X-Api-Key: k"),
            "{request}"
        );
    }
    let away = &other.requests()[0];
    assert!(away.contains("Accept-Language: de\r\n"), "{away}");
    for mine in ["Authorization", "X-Api-Key", "Cookie", "secret"] {
        assert!(!away.contains(mine), "{away}");
    }
}

#[test]
fn credentials_of_a_redirect_are_not_sent() {
    let other = origin([ok("")]);
    let home = origin([to(&other.url("/").replace("//", "//evil:pw@"))]);
    home.get("-q").run().exits(0);
    assert!(!other.requests()[0].contains("Authorization"));
}

#[test]
fn header_of_every_redirect_is_logged() {
    let server = origin([to("/a"), ok("hello")]);
    let run = sockit("http-get").arg(server.url("/")).run();
    run.exits(0).logs("302 Found").logs("200 OK").prints("hello");
}
