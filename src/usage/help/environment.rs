//! The variables that sockit reads.

/// Each variable with its effect; docs/environment.md has the same rows.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("SOCKIT_LOG, RUST_LOG", "tracing on stderr as -vvv: a level, or target=level lists"),
    ("NO_COLOR, CLICOLOR_FORCE", "no color; color even in a pipe (--color decides for one run)"),
    (
        "ALL_PROXY, HTTPS_PROXY, http_proxy",
        "the proxy to connect through, as in curl (--proxy decides for one run)",
    ),
    ("NO_PROXY", "hosts, domains and networks to connect to directly; * means all"),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "CA certificates to trust instead of the system roots (--ca-file decides for one run)",
    ),
    (
        "SSLKEYLOGFILE",
        "TLS secrets are appended to this file, for decrypting a capture; rejected (23) if another user put the file there",
    ),
    (
        "LOCALDOMAIN, RES_OPTIONS",
        "search list and resolver options, as in resolv.conf(5), for the queries that resolve sends itself",
    ),
    (
        "LISTEN_FDS, LISTEN_PID, NOTIFY_SOCKET",
        "a listening socket passed by systemd; readiness is reported back",
    ),
];
