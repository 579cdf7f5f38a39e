//! The pages, one a command.

use super::Page;

/// All pages, sockit's own first.
pub const ALL: &[Page] = &[
    Page {
        name: "",
        often: &["version"],
        examples: [
            ("sockit tcp-server --port 9999", "greet whoever connects"),
            ("sockit tcp-client localhost 9999", "talk to it: type a name"),
            ("sockit tour", "see everything at work on this machine"),
        ],
    },
    Page {
        name: "completions",
        often: &["shell"],
        examples: [
            (
                "sockit completions bash > ~/.local/share/bash-completion/completions/sockit",
                "for bash, from the next shell on",
            ),
            ("sockit completions zsh > ~/.zfunc/_sockit", "for zsh, with ~/.zfunc in fpath"),
            ("sockit completions fish > ~/.config/fish/completions/sockit.fish", "for fish"),
        ],
    },
    Page {
        name: "http-get",
        often: &[
            "urls",
            "output",
            "remote-name",
            "include",
            "head",
            "header",
            "user",
            "range",
            "continue",
            "max-redirects",
            "any-status",
            "insecure",
            "proxy",
            "timeout",
            "stats",
        ],
        examples: [
            (
                "sockit http-get www.sina.com.cn > sina.html",
                "the header on stderr, the body in the file",
            ),
            (
                "sockit http-get -o page.html https://example.com/",
                "a whole body or none: page.html is complete or untouched",
            ),
            (
                "sockit http-get -q --stats https://example.com/ > page.html",
                "where the time went: dns, connect, tls, first byte, total",
            ),
        ],
    },
    Page {
        name: "man",
        often: &["command", "out-dir"],
        examples: [
            ("sockit man tcp-client | man -l -", "read one page"),
            (
                "sockit man --out-dir ~/.local/share/man/man1",
                "write all pages where man finds them",
            ),
            ("sockit man > sockit.1", "all pages, one after the other"),
        ],
    },
    Page {
        name: "resolve",
        often: &[
            "questions",
            "all",
            "verify",
            "server",
            "type",
            "via",
            "file",
            "timeout",
            "ipv4",
            "ipv6",
        ],
        examples: [
            ("sockit resolve example.com", "its addresses, in the order a program would try them"),
            ("sockit resolve --verify 8.8.8.8", "is the address what its name claims?"),
            (
                "sockit resolve --server 9.9.9.9 --type mx example.com",
                "ask one name server, and believe only a whole reply",
            ),
        ],
    },
    Page {
        name: "tcp-client",
        often: &[
            "host",
            "port",
            "send",
            "expect",
            "input",
            "output",
            "recv-only",
            "hang-up",
            "crlf",
            "hex",
            "stats",
            "idle-timeout",
            "timeout",
            "connect-timeout",
            "retry",
            "proxy",
            "tls",
            "insecure",
            "ca-file",
            "ipv4",
            "ipv6",
        ],
        examples: [
            (
                "sockit tcp-client localhost 9999",
                "a prompt on a terminal; in a pipe, bytes both ways",
            ),
            (
                "sockit tcp-client --send Michael --send exit",
                "a talk by script, each reply on its own line",
            ),
            (
                "printf 'hello' | sockit tcp-client localhost 9999",
                "send, half-close, and have the whole answer",
            ),
        ],
    },
    Page {
        name: "tcp-server",
        often: &[
            "service",
            "greeting",
            "reply",
            "file",
            "exec",
            "host",
            "port",
            "print-port",
            "once",
            "max-conns",
            "idle-timeout",
            "allow",
            "tls",
            "ipv4",
            "ipv6",
        ],
        examples: [
            ("sockit tcp-server --port 9999", "Welcome!, and Hello, NAME! to each name"),
            (
                "sockit tcp-server --host '' --port 7 --service echo",
                "echo on every interface, IPv4 and IPv6",
            ),
            (
                "sockit tcp-server --service pipe --once > copy",
                "take one connection's bytes (nc -l)",
            ),
        ],
    },
    Page {
        name: "tour",
        often: &["chapter", "list"],
        examples: [
            ("sockit tour", "all chapters, on loopback, in a few seconds"),
            ("sockit tour 3", "one chapter"),
            ("sockit tour --list", "what the chapters are"),
        ],
    },
    Page {
        name: "udp-client",
        often: &[
            "host", "port", "send", "input", "size", "wait", "count", "interval", "timeout",
            "ipv4", "ipv6",
        ],
        examples: [
            ("sockit udp-client localhost 9999 --send hello", "one datagram, and its reply"),
            (
                "sockit udp-client localhost 9999 --count 10 --interval 100ms",
                "a ping over UDP: loss, order, times",
            ),
            ("printf 'a\\nb\\n' | sockit udp-client localhost 9999", "a datagram a line"),
        ],
    },
    Page {
        name: "udp-echo",
        often: &["host", "port", "max-rate", "print-port", "timeout", "ipv4", "ipv6"],
        examples: [
            ("sockit udp-echo --host '' --port 51423", "every datagram back to its sender"),
            ("sockit udp-echo --port 0 --print-port", "on a port the kernel picks, told on stdout"),
            ("sockit udp-echo -v", "say whose datagram came"),
        ],
    },
    Page {
        name: "udp-server",
        often: &[
            "service",
            "reply",
            "exec",
            "sh",
            "host",
            "port",
            "print-port",
            "max-rate",
            "once",
            "timeout",
            "ipv4",
            "ipv6",
        ],
        examples: [
            ("sockit udp-server --port 9999", "print what comes, untouched"),
            ("sockit udp-server --reply 'Your msg={message}'", "answer each datagram"),
            ("sockit udp-server --host '' --service time", "the time to whoever asks"),
        ],
    },
    Page {
        name: "unix-client",
        often: &[
            "path",
            "datagram",
            "send",
            "expect",
            "input",
            "output",
            "recv-only",
            "hang-up",
            "crlf",
            "hex",
            "stats",
            "idle-timeout",
            "timeout",
            "connect-timeout",
        ],
        examples: [
            (
                "sockit unix-client /run/app.sock",
                "a prompt on a terminal; in a pipe, bytes both ways",
            ),
            ("sockit unix-client @app --send hello", "a name of the abstract namespace"),
            ("sockit unix-client --datagram /run/app.sock --send hello", "one datagram"),
        ],
    },
    Page {
        name: "unix-server",
        often: &[
            "path",
            "datagram",
            "mode",
            "service",
            "greeting",
            "reply",
            "file",
            "exec",
            "sh",
            "once",
            "max-conns",
            "idle-timeout",
            "grace",
        ],
        examples: [
            ("sockit unix-server /tmp/app.sock", "Welcome!, and Hello, NAME! to each name"),
            ("sockit unix-server --mode 0660 /tmp/app.sock --service echo", "for the group too"),
            ("sockit unix-server @app --service pipe --once", "a name of the abstract namespace"),
        ],
    },
];
