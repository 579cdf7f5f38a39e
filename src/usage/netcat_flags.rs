//! The flags of the netcat dialects and how sockit honours each: one table for `sockit nc`, for the
//! hints and for docs/nc.md.

use super::meaning::Meaning::{self, Flag, Ignored, Proxy, Unsupported, Value};
use super::meaning::Setting::{self, *};

/// A flag of one or more dialects.
pub struct NetcatFlag {
    /// Its names, separated by blanks; a flag that takes a value ends in `=`.
    pub names: &'static str,
    /// The dialects that have it; where two differ, the first one is followed.
    pub dialects: &'static str,
    /// What it means.
    pub meaning: Meaning,
    /// How it is honoured; empty if it is not.
    pub how: &'static str,
}

const fn flag(
    names: &'static str,
    dialects: &'static str,
    meaning: Meaning,
    how: &'static str,
) -> NetcatFlag {
    NetcatFlag { names, dialects, meaning, how }
}

const fn rejected(names: &'static str, dialects: &'static str, what: &'static str) -> NetcatFlag {
    flag(names, dialects, Unsupported(what), "")
}

const fn setting(setting: Setting) -> Meaning {
    Meaning::Setting(setting)
}

const ALL_DIALECTS: &str = "openbsd, ncat, traditional";
const CLASSIC: &str = "openbsd, traditional";
const OPENBSD: &str = "openbsd";
const NCAT: &str = "ncat";

impl NetcatFlag {
    /// How it is honoured, in Markdown.
    pub fn how(&self) -> String {
        match self.meaning {
            Unsupported(what) => format!("usage error: {what}"),
            _ => self.how.to_string(),
        }
    }
}

/// The flags as help lists them.
pub fn help() -> String {
    let row = |flag: &NetcatFlag| {
        let names = flag.names.replace('=', " X").replace(' ', ", ").replace(", X", " X");
        format!("\n  {names:<26} {}", flag.how.replace('`', ""))
    };
    let honoured = ALL.iter().filter(|flag| !matches!(flag.meaning, Unsupported(_)));
    format!("Flags:{}", honoured.map(row).collect::<String>())
}

/// Every flag. Where the dialects contradict each other, that of nc.openbsd counts.
pub const ALL: &[NetcatFlag] = &[
    flag("-4", "openbsd, ncat", Flag("-4"), "IPv4 only"),
    flag("-6", "openbsd, ncat", Flag("-6"), "IPv6 only"),
    flag("-b", CLASSIC, setting(Broadcast), "allows a broadcast address (`--broadcast`)"),
    flag("-C --crlf", ALL_DIALECTS, Flag("--crlf"), "sends LF as CR LF (`--crlf`)"),
    flag(
        "-c= --sh-exec=",
        "ncat, traditional",
        setting(Shell),
        "runs the command with /bin/sh on the connection, as a server and as a client (`--sh`)",
    ),
    flag("-D", OPENBSD, Ignored, "no effect: a debugging aid of the kernel"),
    flag(
        "-d --recv-only",
        "openbsd (-d), ncat",
        Flag("--recv-only"),
        "does not read stdin (`--recv-only`); a delay in ncat, which `--delay` is",
    ),
    flag(
        "-e= --exec=",
        "ncat, traditional",
        setting(Exec),
        "runs the program on the connection, as a server and as a client (`--exec`)",
    ),
    rejected("-F", OPENBSD, "passing the descriptor on stdout"),
    flag("-G=", "macOS", Value("--connect-timeout"), "limit for connecting (`--connect-timeout`)"),
    rejected("-g=", "ncat, traditional", "source routing"),
    flag("-h --help", ALL_DIALECTS, setting(Help), "prints the help of `sockit nc`"),
    flag("-I=", OPENBSD, Value("--recv-buffer"), "size of the receive buffer (`--recv-buffer`)"),
    flag(
        "-i= --delay=",
        "openbsd (-i), traditional (-i), ncat (--delay)",
        Value("--line-delay"),
        "pauses after each line sent (`--line-delay`)",
    ),
    flag("--idle-timeout=", NCAT, Value("--idle-timeout"), "fails after so long without data"),
    flag("-k --keep-open", "openbsd, ncat", setting(KeepOpen), "serves one client after another"),
    flag("-l --listen", ALL_DIALECTS, setting(Listen), "serves one client, then exits"),
    flag("-M=", OPENBSD, Value("--ttl"), "TTL or hop limit (`--ttl`)"),
    rejected("-m=", OPENBSD, "a minimum TTL of received packets; ncat's limit is --max-conns"),
    flag("--max-conns=", NCAT, Value("--max-conns"), "concurrent connections of `-k -e`"),
    flag(
        "-N",
        OPENBSD,
        setting(HalfClose),
        "sends the end of stdin, which is the default; /dev/null too is an input that ends",
    ),
    flag("-n --nodns", ALL_DIALECTS, setting(Numeric), "accepts numeric addresses only"),
    flag("--no-shutdown", NCAT, Flag("--no-half-close"), "does not send the end of stdin"),
    flag("-O=", OPENBSD, Value("--send-buffer"), "size of the send buffer (`--send-buffer`)"),
    flag(
        "-o= --hex-dump=",
        "traditional (-o), ncat (--hex-dump)",
        Value("--hex"),
        "hex dump of both directions to a file (`--hex`)",
    ),
    rejected(
        "--output=",
        NCAT,
        "a dump of both directions without marks; --hex-dump writes one with",
    ),
    flag("-P= --proxy-auth=", "openbsd (-P), ncat", setting(ProxyLogin), "user of the proxy"),
    flag("-p= --source-port=", ALL_DIALECTS, setting(Port), "local port"),
    flag(
        "-q=",
        CLASSIC,
        setting(Quit),
        "sends the end of stdin, then waits for the answer; exits when the peer has been silent for \
         a minute, or for as long as given if that is more (`--linger`)",
    ),
    flag("-r", CLASSIC, Ignored, "no effect: the order of ports does not matter"),
    rejected("-S", OPENBSD, "TCP MD5 signatures"),
    flag("-s= --source=", ALL_DIALECTS, setting(Source), "local address"),
    flag(
        "--send-only",
        NCAT,
        Flag("--send-only"),
        "discards what is received, and exits when all is sent (`--send-only`)",
    ),
    flag("-T=", CLASSIC, Value("--tos"), "type of service, a number or a name (`--tos`)"),
    rejected("-t --telnet", ALL_DIALECTS, "telnet negotiation"),
    flag("-U --unixsock", "openbsd, ncat", setting(Unix), "Unix socket; a datagram one with `-u`"),
    flag("-u --udp", ALL_DIALECTS, setting(Udp), "UDP: each read of stdin is a datagram"),
    rejected("-V=", OPENBSD, "routing tables"),
    flag("-v --verbose", ALL_DIALECTS, Flag("-v"), "reports connections in nc.openbsd's words"),
    rejected("-W=", OPENBSD, "a limit of packets; udp-server --max-datagrams has one"),
    flag(
        "-w=",
        CLASSIC,
        setting(Wait),
        "limit for connecting; after so long without data the end of stdin is sent, and the answer is \
         waited for as with `-q`. With `-u`: exits after so long without data",
    ),
    flag("--wait=", NCAT, Value("--connect-timeout"), "limit for connecting (`--connect-timeout`)"),
    flag(
        "-X= --proxy-type=",
        "openbsd (-X), ncat",
        setting(ProxyType),
        "protocol of the proxy: `5`, `connect`, `http` or `socks5`; SOCKS 4 is a usage error",
    ),
    flag(
        "-x=",
        OPENBSD,
        Proxy("socks5h"),
        "connects through a proxy (`--proxy`); a hex dump in ncat, which `--hex-dump` is",
    ),
    flag("--proxy=", NCAT, Proxy("http"), "connects through a proxy (`--proxy`)"),
    rejected("-Z", OPENBSD, "DCCP"),
    flag(
        "-z",
        ALL_DIALECTS,
        setting(Scan),
        "checks whether ports are open, ranges too (`sockit check`); 0 if one is",
    ),
    flag("--allow=", NCAT, setting(Allow), "clients that are allowed (`--allow`)"),
    flag("--allowfile=", NCAT, setting(AllowFile), "a file of them (`--allow @FILE`)"),
    flag("--deny=", NCAT, setting(Deny), "clients that are not (`--deny`)"),
    flag("--denyfile=", NCAT, setting(DenyFile), "a file of them (`--deny @FILE`)"),
    flag("--chat --broker", NCAT, Flag("--service chat"), "sends each line to all other clients"),
    flag("--ssl", NCAT, Flag("--tls"), "uses TLS (`--tls`); verifies only with `--ssl-verify`"),
    flag("--ssl-verify", NCAT, setting(SslVerify), "verifies the peer's certificate"),
    flag("--ssl-cert=", NCAT, Value("--cert"), "certificate (`--cert`)"),
    flag("--ssl-key=", NCAT, Value("--key"), "its private key (`--key`)"),
    flag("--ssl-trustfile=", NCAT, Value("--ca-file"), "CA certificates, and verifies with them"),
    flag("--ssl-servername=", NCAT, Value("--server-name"), "name in the certificate"),
    flag("--ssl-alpn=", NCAT, Value("--alpn"), "protocols to offer (`--alpn`)"),
    rejected("--ssl-ciphers=", NCAT, "a list of ciphers"),
    rejected("--proxy-dns=", NCAT, "a choice of who resolves; the proxy does"),
    rejected("--append-output", NCAT, "appending to a dump"),
    rejected("--lua-exec=", NCAT, "Lua"),
    rejected("--sctp", NCAT, "SCTP"),
    rejected("--vsock", NCAT, "vsock"),
];
