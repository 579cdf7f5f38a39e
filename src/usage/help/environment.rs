//! The variables that sockit reads.

/// Each with what it does; the README has the same rows.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("SOCKIT_LOG, RUST_LOG", "tracing on stderr: a level, or target=level lists"),
    ("NO_COLOR, CLICOLOR_FORCE", "no colour; colour even in a pipe (--color decides for one run)"),
    (
        "ALL_PROXY, HTTPS_PROXY, http_proxy",
        "the proxy to go by, as curl reads them (--proxy decides for one run)",
    ),
    ("NO_PROXY", "hosts, domains and networks that are reached without a proxy; * is all"),
    ("LISTEN_FDS, LISTEN_PID, NOTIFY_SOCKET", "a server's socket passed by systemd, and its notes"),
];
