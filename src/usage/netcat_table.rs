//! The flags of the netcat dialects and how sockit supports each: one table for `sockit nc`, for the
//! hints and for docs/nc.md.

use super::help::wrap_indented;
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
    /// How it is supported; empty if it is not.
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
    /// How it is supported, in Markdown.
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
        let how = wrap_indented(&flag.how.replace('`', ""), 29);
        format!("\n  {names:<26} {}", how.trim_start())
    };
    let supported = ALL.iter().filter(|flag| !matches!(flag.meaning, Unsupported(_)));
    format!("Flags:{}", supported.map(row).collect::<String>())
}

/// Every flag. Where the dialects contradict each other, that of nc.openbsd counts.
pub const ALL: &[NetcatFlag] = &[
    flag("-4", "openbsd, ncat", Flag("-4"), "IPv4 only"),
    flag("-6", "openbsd, ncat", Flag("-6"), "IPv6 only"),
    flag("-b", CLASSIC, setting(Broadcast), "Allow a broadcast address (`--broadcast`)"),
    flag("-C --crlf", ALL_DIALECTS, Flag("--crlf"), "Send LF as CR LF (`--crlf`)"),
    flag(
        "-c= --sh-exec=",
        "ncat, traditional",
        setting(Shell),
        "Run a command with /bin/sh on the connection, in both roles (`--sh`)",
    ),
    flag("-D", OPENBSD, Ignored, "No effect: a debugging aid of the kernel"),
    flag(
        "-d --recv-only",
        "openbsd (-d), ncat",
        Flag("--recv-only"),
        "Do not read stdin (`--recv-only`); ncat's `-d` is a delay: use `--delay`",
    ),
    flag(
        "-e= --exec=",
        "ncat, traditional",
        setting(Exec),
        "Run a program on the connection, in both roles (`--exec`)",
    ),
    rejected("-F", OPENBSD, "passing the descriptor on stdout"),
    flag(
        "-G=",
        "macOS",
        Value("--connect-timeout"),
        "Timeout for connecting (`--connect-timeout`)",
    ),
    rejected("-g=", "ncat, traditional", "source routing"),
    flag("-h --help", ALL_DIALECTS, setting(Help), "Print the help of `sockit nc`"),
    flag("-I=", OPENBSD, Value("--recv-buffer"), "Size of the receive buffer (`--recv-buffer`)"),
    flag(
        "-i= --delay=",
        "openbsd (-i), traditional (-i), ncat (--delay)",
        Value("--line-delay"),
        "Pause after each line sent (`--line-delay`)",
    ),
    flag("--idle-timeout=", NCAT, Value("--idle-timeout"), "Fail after this long without data"),
    flag("-k --keep-open", "openbsd, ncat", setting(KeepOpen), "Serve one client after another"),
    flag("-l --listen", ALL_DIALECTS, setting(Listen), "Serve one client, then exit"),
    flag("-M=", OPENBSD, Value("--ttl"), "TTL or hop limit (`--ttl`)"),
    rejected("-m=", OPENBSD, "a minimum TTL of received packets; ncat's limit is --max-conns"),
    flag(
        "--max-conns=",
        NCAT,
        Value("--max-conns"),
        "Maximum number of concurrent connections of `-k -e`",
    ),
    flag(
        "-N",
        OPENBSD,
        setting(HalfClose),
        "Half-close at the end of stdin (the default); /dev/null counts as an input that ends",
    ),
    flag("-n --nodns", ALL_DIALECTS, setting(Numeric), "Accept numeric addresses only"),
    flag("--no-shutdown", NCAT, Flag("--no-half-close"), "Do not half-close at the end of stdin"),
    flag("-O=", OPENBSD, Value("--send-buffer"), "Size of the send buffer (`--send-buffer`)"),
    flag(
        "-o= --hex-dump=",
        "traditional (-o), ncat (--hex-dump)",
        Value("--hex"),
        "Write a hex dump of both directions to a file (`--hex`)",
    ),
    rejected(
        "--output=",
        NCAT,
        "a dump of both directions without marks; --hex-dump writes one with",
    ),
    flag(
        "-P= --proxy-auth=",
        "openbsd (-P), ncat",
        setting(ProxyLogin),
        "User name and password for the proxy",
    ),
    flag("-p= --source-port=", ALL_DIALECTS, setting(Port), "Local port"),
    flag(
        "-q=",
        CLASSIC,
        setting(Quit),
        "Half-close at the end of stdin and wait for the answer; exit when the peer has been silent for \
         a minute, or for this long if that is more (`--linger`)",
    ),
    flag("-r", CLASSIC, Ignored, "No effect: the order of ports does not matter"),
    rejected("-S", OPENBSD, "TCP MD5 signatures"),
    flag("-s= --source=", ALL_DIALECTS, setting(Source), "Local address"),
    flag(
        "--send-only",
        NCAT,
        Flag("--send-only"),
        "Discard what is received, and exit when all is sent (`--send-only`)",
    ),
    flag("-T=", CLASSIC, Value("--tos"), "Type of service, a number or a name (`--tos`)"),
    rejected("-t --telnet", ALL_DIALECTS, "telnet negotiation"),
    flag("-U --unixsock", "openbsd, ncat", setting(Unix), "Unix socket; a datagram one with `-u`"),
    flag("-u --udp", ALL_DIALECTS, setting(Udp), "UDP: each read of stdin is a datagram"),
    rejected("-V=", OPENBSD, "routing tables"),
    flag("-v --verbose", ALL_DIALECTS, Flag("-v"), "Report connections in nc.openbsd's words"),
    rejected("-W=", OPENBSD, "a limit of packets; udp-server --max-datagrams has one"),
    flag(
        "-w=",
        CLASSIC,
        setting(Wait),
        "Timeout for connecting. After this long without data, half-close and wait for the answer as \
         with `-q`; with `-u`, exit",
    ),
    flag(
        "--wait=",
        NCAT,
        Value("--connect-timeout"),
        "Timeout for connecting (`--connect-timeout`)",
    ),
    flag(
        "-X= --proxy-type=",
        "openbsd (-X), ncat",
        setting(ProxyType),
        "Protocol of the proxy: `5`, `connect`, `http` or `socks5`; SOCKS 4 is a usage error",
    ),
    flag(
        "-x=",
        OPENBSD,
        Proxy("socks5h"),
        "Connect through a proxy (`--proxy`); ncat's `-x` is a hex dump: use `--hex-dump`",
    ),
    flag("--proxy=", NCAT, Proxy("http"), "Connect through a proxy (`--proxy`)"),
    rejected("-Z", OPENBSD, "DCCP"),
    flag(
        "-z",
        ALL_DIALECTS,
        setting(Scan),
        "Check whether ports are open, ranges too (`sockit check`); exit code 0 if one is",
    ),
    flag("--allow=", NCAT, setting(Allow), "Clients to allow (`--allow`)"),
    flag(
        "--allowfile=",
        NCAT,
        setting(AllowFile),
        "File with the clients to allow (`--allow @FILE`)",
    ),
    flag("--deny=", NCAT, setting(Deny), "Clients to deny (`--deny`)"),
    flag("--denyfile=", NCAT, setting(DenyFile), "File with the clients to deny (`--deny @FILE`)"),
    flag("--chat --broker", NCAT, Flag("--service chat"), "Send each line to all other clients"),
    flag(
        "--ssl",
        NCAT,
        Flag("--tls"),
        "Use TLS (`--tls`); the certificate is verified only with `--ssl-verify`",
    ),
    flag("--ssl-verify", NCAT, setting(SslVerify), "Verify the peer's certificate"),
    flag("--ssl-cert=", NCAT, Value("--cert"), "Certificate (`--cert`)"),
    flag("--ssl-key=", NCAT, Value("--key"), "Private key of the certificate (`--key`)"),
    flag("--ssl-trustfile=", NCAT, Value("--ca-file"), "CA certificates to verify with"),
    flag("--ssl-servername=", NCAT, Value("--server-name"), "Name to expect in the certificate"),
    flag("--ssl-alpn=", NCAT, Value("--alpn"), "ALPN protocols to offer (`--alpn`)"),
    rejected("--ssl-ciphers=", NCAT, "a list of ciphers"),
    rejected("--proxy-dns=", NCAT, "a choice of who resolves; the proxy does"),
    rejected("--append-output", NCAT, "appending to a dump"),
    rejected("--lua-exec=", NCAT, "Lua"),
    rejected("--sctp", NCAT, "SCTP"),
    rejected("--vsock", NCAT, "vsock"),
];
