//! The pages, one per command, and the groups of the front page.

use super::Page;

/// The commands by group, in the order of the front page.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("TCP", &["tcp-client", "tcp-server"]),
    ("UDP", &["udp-client", "udp-server", "udp-echo"]),
    ("Unix sockets", &["unix-client", "unix-server"]),
    ("netcat", &["nc"]),
    ("Between two peers", &["relay"]),
    ("HTTP and names", &["http-get", "resolve"]),
    ("Testing", &["check", "tour"]),
    ("Shell", &["completions", "man"]),
];

/// All pages, sockit's own first.
pub const ALL: &[Page] = &[
    Page {
        name: "sockit",
        common_flags: "version",
        examples: [
            "sockit tcp-server --port 9999  # greet every client",
            "sockit tcp-client localhost 9999  # connect to it and type a name",
            "sockit tour  # run all tutorials on this machine",
        ],
    },
    Page {
        name: "check",
        common_flags: "targets command wait until any timeout jobs count interval tls proxy ipv4 ipv6",
        examples: [
            "sockit check localhost:22,80,8000-8010  # which of these ports are open",
            "sockit check --wait 30s db:5432 cache:6379 -- ./server  # start a program when both are open",
            "sockit check --tls --count 10 example.com:443  # time of ten handshakes, subject and validity of the certificate",
        ],
    },
    Page {
        name: "completions",
        common_flags: "shell",
        examples: [
            "sockit completions bash > ~/.local/share/bash-completion/completions/sockit  # for bash, in new shells",
            "sockit completions zsh > ~/.zfunc/_sockit  # for zsh, with ~/.zfunc in fpath",
            "sockit completions fish > ~/.config/fish/completions/sockit.fish  # for fish",
        ],
    },
    Page {
        name: "http-get",
        common_flags: "urls output remote-name include head header user range continue max-redirects \
            any-status insecure proxy timeout stats",
        examples: [
            "sockit http-get www.sina.com.cn > sina.html  # the header on stderr, the body in the file",
            "sockit http-get -o page.html https://example.com/  # page.html is replaced only by a complete body",
            "sockit http-get -q --stats https://example.com/ > page.html  # the times of DNS, connect, TLS, first byte and total",
        ],
    },
    Page {
        name: "man",
        common_flags: "command out-dir",
        examples: [
            "sockit man tcp-client | man -l -  # read one page",
            "sockit man --out-dir ~/.local/share/man/man1  # write all pages to the search path of man",
            "sockit man > sockit.1  # all pages, one after the other",
        ],
    },
    Page {
        name: "nc",
        common_flags: "args",
        examples: [
            "sockit nc -l 9999 > copy  # receive one file",
            "sockit nc -N example.com 80 < request  # send, then print the complete answer",
            "sockit nc -zv localhost 20-25  # check ports",
        ],
    },
    Page {
        name: "relay",
        common_flags: "listen target udp tls listen-tls cert ca-file max-conns allow idle-timeout \
            connect-timeout retry hex stats once print-port",
        examples: [
            "sockit relay 8080 db.internal:5432  # accept on 127.0.0.1:8080, connect each client to the database",
            "sockit relay :443 unix:/run/app.sock --listen-tls --cert cert.pem  # end TLS in front of a Unix socket",
            "sockit relay --udp :53 9.9.9.9:53  # relay DNS queries and their replies",
        ],
    },
    Page {
        name: "resolve",
        common_flags: "questions all verify server type via file timeout ipv4 ipv6",
        examples: [
            "sockit resolve example.com  # its addresses, in the order in which programs try them",
            "sockit resolve --verify 8.8.8.8  # forward-confirmed reverse DNS",
            "sockit resolve --server 9.9.9.9 --type mx example.com  # query one name server directly",
        ],
    },
    Page {
        name: "tcp-client",
        common_flags: "host port send expect input output recv-only hang-up crlf eol hex stats \
            idle-timeout timeout connect-timeout retry proxy tls insecure ca-file ipv4 \
            ipv6",
        examples: [
            "sockit tcp-client localhost 9999  # a prompt on a terminal; in a pipe, bytes both ways",
            "sockit tcp-client --send Michael --send exit  # send two messages, print each reply on its own line",
            "printf 'hello' | sockit tcp-client localhost 9999  # send, half-close, print the complete reply",
        ],
    },
    Page {
        name: "tcp-server",
        common_flags: "service greeting reply file exec host port print-port once max-conns \
            idle-timeout allow tls ipv4 ipv6",
        examples: [
            "sockit tcp-server --port 9999  # greet each client, answer each name",
            "sockit tcp-server --host '' --port 7 --service echo  # echo on every interface, IPv4 and IPv6",
            "sockit tcp-server --service pipe --once > copy  # receive one file (nc -l)",
        ],
    },
    Page {
        name: "tour",
        common_flags: "chapter list",
        examples: [
            "sockit tour  # all chapters, on loopback, in a few seconds",
            "sockit tour 3  # one chapter",
            "sockit tour --list  # list the chapters",
        ],
    },
    Page {
        name: "udp-client",
        common_flags: "host port send input size wait count interval timeout ipv4 ipv6",
        examples: [
            "sockit udp-client localhost 9999 --send hello  # one datagram, and its reply",
            "sockit udp-client localhost 9999 --count 10 --interval 100ms  # a ping over UDP: loss, reordering, round-trip times",
            "printf 'a\\nb\\n' | sockit udp-client localhost 9999  # one datagram per line",
        ],
    },
    Page {
        name: "udp-echo",
        common_flags: "host port max-rate print-port timeout ipv4 ipv6",
        examples: [
            "sockit udp-echo --host '' --port 51423  # on every interface",
            "sockit udp-echo --port 0 --print-port  # on a free port, printed on stdout",
            "sockit udp-echo -v  # log the sender of each datagram",
        ],
    },
    Page {
        name: "udp-server",
        common_flags: "service reply exec sh host port print-port max-rate once timeout ipv4 ipv6",
        examples: [
            "sockit udp-server --port 9999  # print received bytes unchanged",
            "sockit udp-server --reply 'Your msg={message}'  # reply to each datagram",
            "sockit udp-server --host '' --service time  # reply with the time",
        ],
    },
    Page {
        name: "unix-client",
        common_flags: "path datagram send expect input output recv-only hang-up crlf eol hex stats \
            idle-timeout timeout connect-timeout",
        examples: [
            "sockit unix-client /run/app.sock  # a prompt on a terminal; in a pipe, bytes both ways",
            "sockit unix-client @app --send hello  # a name in the abstract namespace",
            "sockit unix-client --datagram /run/app.sock --send hello  # one datagram",
        ],
    },
    Page {
        name: "unix-server",
        common_flags: "path datagram mode service greeting reply file exec sh once max-conns \
            idle-timeout grace",
        examples: [
            "sockit unix-server /tmp/app.sock  # greet each client, answer each name",
            "sockit unix-server --mode 0660 /tmp/app.sock --service echo  # accessible for the group too",
            "sockit unix-server @app --service pipe --once  # a name in the abstract namespace",
        ],
    },
];
