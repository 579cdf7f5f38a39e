use super::*;
use crate::error::ExitCode;

fn parse(word: &str) -> Result<HttpUrl, Failure> {
    HttpUrl::parse(word, &|name| match name {
        "http-alt" => Ok(8080),
        _ => Err(Failure::new(Phase::Port, name, "unknown")),
    })
}

#[test]
fn forms_on_the_command_line_are_parsed() {
    for (word, host, port, authority, target) in [
        ("www.sina.com.cn", "www.sina.com.cn", 80, "www.sina.com.cn", "/"),
        ("localhost:8080/a/../b?c#d", "localhost", 8080, "localhost:8080", "/b?c"),
        ("http://h:http-alt", "h", 8080, "h:8080", "/"),
        ("HTTPS://H:443/", "h", 443, "h", "/"),
        ("http://[::1]:8080/x", "::1", 8080, "[::1]:8080", "/x"),
        ("http://[fe80::1%25eth0]/x", "fe80::1%eth0", 80, "[fe80::1]", "/x"),
        ("[fe80::1%lo]:81/x", "fe80::1%lo", 81, "[fe80::1]:81", "/x"),
        (
            "http://bücher.example/ü b",
            "xn--bcher-kva.example",
            80,
            "xn--bcher-kva.example",
            "/%C3%BC%20b",
        ),
        ("h/?u=http://x/", "h", 80, "h", "/?u=http://x/"),
        ("http://h:/", "h", 80, "h", "/"),
        ("127.1", "127.0.0.1", 80, "127.0.0.1", "/"),
    ] {
        let url = parse(word).unwrap();
        let got = (url.host(), url.port(), url.authority(), url.target());
        assert_eq!(got, (host.into(), port, authority.into(), target.into()), "{word}");
    }
}

#[test]
fn credentials_are_removed() {
    let url = parse("http://us%40er:p%3Aw:d@h/x").unwrap();
    let user = url.user().unwrap();
    assert_eq!((user.user.as_str(), user.password.as_str()), ("us@er", "p:w:d"));
    assert_eq!(url.to_string(), "http://h/x");
    assert_eq!(url.absolute(), "http://h/x");
    let failure = parse("http://us:secret@h:99999/").unwrap_err();
    assert!(!failure.to_string().contains("secret"), "{failure}");
}

#[test]
fn malformed_url_is_usage_error() {
    for word in [
        "",
        "http://",
        "http:///x",
        "ftp://h/",
        "file:///etc/passwd",
        "http://h\r\nX: y/",
        "http://h/a\tb",
        "http://h/\0",
        "http://h:99999/",
        "http://[::1",
        "http://[::1]80",
        "http://::1/",
        "http://a b/",
        "http://h\\@evil/",
        "http://h/a\\b",
        "http://[fe80::1%25]/",
        "http://[fe80::1%e/0]/",
        "http://x%25eth0/",
        ":80",
        "/x",
    ] {
        assert_eq!(
            parse(word).map(|l| l.to_string()).map_err(|f| f.code),
            Err(ExitCode::Usage),
            "{word:?}"
        );
    }
    assert_eq!(parse("http://h:nosuch/").unwrap_err().code, ExitCode::Resolve);
}

#[test]
fn location_is_resolved_or_refused() {
    let here = parse("http://user:pw@[fe80::1%25lo]:81/a/b?c").unwrap();
    for (location, there) in [
        ("/x", "http://[fe80::1]:81/x"),
        ("x y", "http://[fe80::1]:81/a/x%20y"),
        ("?q", "http://[fe80::1]:81/a/b?q"),
        ("//h/x", "http://h/x"),
        ("https://u:p@h/x#f", "https://h/x"),
        ("/x?u=http:///", "http://[fe80::1]:81/x?u=http:///"),
    ] {
        let url = here.resolve_location(location.as_bytes()).unwrap();
        assert_eq!(url.to_string(), there, "{location}");
        assert_eq!(url.user(), None);
        assert_eq!(url.host().ends_with("%lo"), there.contains("fe80"), "{location}");
    }
    assert_eq!(here.resolve_location(b"/\xff").unwrap().target(), "/%FF");
    for location in [
        "file:///etc/passwd",
        "ftp://h/",
        "javascript:alert(1)",
        "data:,x",
        "gopher://h:70/",
        "http:x",
        "http:/x",
        "http:///x",
        "///x",
        "//",
        "/\\evil/",
        "\\\\evil",
        "http://a\tb/",
        "http://h:99999/",
        "http://a b/",
        "mailto:a@b",
        "http://\\evil/",
    ] {
        let error = here.resolve_location(location.as_bytes()).map(|l| l.to_string()).unwrap_err();
        assert_eq!(error.code, crate::error::ExitCode::Redirect, "{location}");
    }
}

#[test]
fn origin_is_scheme_host_and_port() {
    let origin = |word| parse(word).unwrap().origin();
    assert_eq!(origin("http://h/x"), origin("http://H:80/y"));
    for other in ["https://h/", "http://h:81/", "http://g/", "http://h.:80/"] {
        assert_ne!(origin("http://h/"), origin(other), "{other}");
    }
}

#[test]
fn file_name_is_safe_or_none() {
    for (word, name) in [
        ("h/a/b.txt?x", Some("b.txt")),
        ("h/", None),
        ("h/a/..", None),
        ("h/%2e%2e%2f%2e%2e%2fetc%2fpasswd", Some("_._.._etc_passwd")),
        ("h/.bashrc", Some("_bashrc")),
        ("h/-rf", Some("_rf")),
        ("h/%2d%2Dhelp", Some("_-help")),
        ("h/%2d", None),
        ("h/a%00b%0a", Some("a_b_")),
        ("h/%2f", None),
    ] {
        assert_eq!(parse(word).unwrap().file_name().as_deref(), name, "{word}");
    }
}
