//! The flags of other tools and what each means here: one table per tool.

use super::meaning::{Meaning, Setting};
use super::netcat_flags;

/// A tool whose command lines are translated.
pub struct Tool {
    /// Its names as the first argument.
    pub names: &'static [&'static str],
    /// What its operands are.
    pub operands: Operands,
    /// Its flags, separated by blanks, and what they mean; a flag that takes a value ends in `=`.
    pub flags: &'static [(&'static str, Meaning)],
}

/// What the arguments are that are not flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// A host and a port, or a path.
    Connection,
    /// The same; the port is 23 by default.
    Telnet,
    /// A host and a port that is to accept connections.
    Wait,
    /// URLs, printed.
    Urls,
    /// URLs, saved under their names.
    Downloads,
    /// Names, types and `@SERVER`.
    Queries,
    /// A name, then the name server.
    QueryAndServer,
    /// sockit does not replace this tool.
    Unsupported(&'static str),
}

use Meaning::{Flag, Header, Ignored, Operand, Proxy, Unsupported, Value};
use Setting::{Method, Port, Resume, Tries};

const fn setting(setting: Setting) -> Meaning {
    Meaning::Setting(setting)
}

const BODY: Meaning = Unsupported("a request with a body; http-get sends GET and HEAD");
const TREE: Meaning = Unsupported("recursive downloads");

/// Every tool. A long flag that is missing here is one of sockit itself.
pub const ALL: &[Tool] = &[
    Tool {
        names: &["nc", "ncat", "netcat", "nc.openbsd", "nc.traditional"],
        operands: Operands::Connection,
        // Those of curl that are typed after tcp-client; netcat_flags has the others.
        flags: &[
            ("--max-time=", Value("--timeout")),
            ("--sni=", Value("--server-name")),
            ("--cacert=", Value("--ca-file")),
            ("--no-check-certificate", Flag("--insecure")),
            ("--starttls=", Unsupported("STARTTLS; TLS begins with the first byte")),
            ("--fail", Ignored),
        ],
    },
    Tool {
        names: &["telnet"],
        operands: Operands::Telnet,
        flags: &[
            ("-4", Flag("-4")),
            ("-6", Flag("-6")),
            ("-E -8 -L -K", Ignored),
            ("-l= -a", Unsupported("a telnet login")),
        ],
    },
    Tool {
        names: &["wait", "wait-for", "wait-for-it"],
        operands: Operands::Wait,
        flags: &[
            ("-t= --timeout=", Value("--wait")),
            ("-q --quiet", Flag("-q")),
            ("-s --strict", Ignored),
        ],
    },
    Tool {
        names: &["curl"],
        operands: Operands::Urls,
        flags: &[
            ("-o=", Value("--output")),
            ("-O", Flag("--remote-name")),
            ("-I", Flag("--head")),
            ("-i", Flag("--include")),
            ("-s --silent", Flag("-q")),
            ("-v --verbose", Flag("-v")),
            ("-k --no-check-certificate", Flag("--insecure")),
            ("-4", Flag("-4")),
            ("-6", Flag("-6")),
            ("-0", Flag("--http1.0")),
            ("-H=", Value("--header")),
            ("-A= --user-agent=", Header("User-Agent")),
            ("-e= --referer=", Header("Referer")),
            ("-b= --cookie=", Header("Cookie")),
            ("-u=", Value("--user")),
            ("-r=", Value("--range")),
            ("-m= --max-time=", Value("--timeout")),
            ("--max-redirs= --max-redirect=", Value("--max-redirects")),
            ("--limit-rate=", Value("--rate")),
            ("--unix-socket=", Value("--unix")),
            ("--cacert= --ca-certificate=", Value("--ca-file")),
            ("-E=", Value("--cert")),
            ("--sni=", Value("--server-name")),
            ("-x= --proxy=", Proxy("http")),
            ("--socks5=", Proxy("socks5")),
            ("--socks5-hostname=", Proxy("socks5h")),
            ("-C= --continue-at=", setting(Resume)),
            ("-X= --request=", setting(Method)),
            ("-f --fail --fail-with-body -L --location -S --show-error", Ignored),
            ("--proto= --tlsv1.2 --tlsv1.3 --noproxy=", Ignored),
            ("-g --globoff -N --no-buffer --compressed --http1.1 -# --no-progress-meter", Ignored),
            ("-d= --data= --data-raw= --data-binary= --data-urlencode= --json=", BODY),
            ("-F= --form= -T= --upload-file= --post-data= --post-file=", BODY),
            ("--http2 --http3", Unsupported("HTTP/2 and HTTP/3; http-get uses HTTP/1.1")),
            ("-w= --write-out=", Unsupported("an output format; --stats prints the times")),
            ("-K= --config=", Unsupported("a configuration file")),
            ("--starttls=", Unsupported("STARTTLS; TLS begins with the first byte")),
        ],
    },
    Tool {
        names: &["wget"],
        operands: Operands::Downloads,
        flags: &[
            ("-O= --output-document=", Value("--output")),
            ("-c --continue", Flag("--continue")),
            ("-q --quiet -nv --no-verbose", Flag("-q")),
            ("-d --debug -S --server-response", Flag("-v")),
            ("--spider", Flag("--head")),
            ("--no-check-certificate", Flag("--insecure")),
            ("-4 --inet4-only", Flag("-4")),
            ("-6 --inet6-only", Flag("-6")),
            ("-U= --user-agent=", Header("User-Agent")),
            ("--referer=", Header("Referer")),
            ("-T= --timeout= --read-timeout=", Value("--idle-timeout")),
            ("-t= --tries=", setting(Tries)),
            ("--limit-rate=", Value("--rate")),
            ("--max-redirect=", Value("--max-redirects")),
            ("--bind-address=", Value("--source")),
            ("--ca-certificate=", Value("--ca-file")),
            ("--certificate=", Value("--cert")),
            ("--private-key=", Value("--key")),
            ("--show-progress -nc --no-clobber", Ignored),
            ("--post-data= --post-file= --body-data=", BODY),
            ("-r --recursive -m --mirror -p --page-requisites -i= --input-file=", TREE),
            (
                "-P= --directory-prefix=",
                Unsupported("a directory for downloads; --output names the file"),
            ),
            ("--password= --http-password=", Unsupported("--password; --user takes NAME:PASSWORD")),
        ],
    },
    Tool {
        names: &["dig", "delv", "kdig", "drill"],
        operands: Operands::Queries,
        flags: &[
            ("-x= -q=", Operand),
            ("-t= -type=", Value("--type")),
            ("-f=", Value("--file")),
            ("-p=", setting(Port)),
            ("+tcp +vc", Flag("--tcp")),
            ("+time= +timeout= --max-time=", Value("--timeout")),
            ("-c= +tries= +retry=", Ignored),
            ("-4 -6 -r +short +noall +answer +recurse +rec +search", Ignored),
            ("+nocmd +nocomments +noquestion +nostats +noauthority +noadditional", Ignored),
            ("+trace", Unsupported("tracing from the root servers")),
            (
                "+dnssec +subnet= +cd +cdflag +norecurse +norec",
                Unsupported("this flag of the query"),
            ),
        ],
    },
    Tool {
        names: &["host", "nslookup"],
        operands: Operands::QueryAndServer,
        flags: &[
            ("-t= -type= -query= -querytype= -q=", Value("--type")),
            ("-port=", setting(Port)),
            ("-T -vc", Flag("--tcp")),
            ("-W= -timeout=", Value("--timeout")),
            ("-a", Unsupported("all types in one query")),
            ("-v -debug", Flag("-v")),
            ("-4 -6 -R= -retry=", Ignored),
        ],
    },
    Tool {
        names: &["socat"],
        operands: Operands::Unsupported(
            "pairs of addresses; each sockit command connects or listens at one, see sockit -h",
        ),
        flags: &[],
    },
    Tool {
        names: &["openssl"],
        operands: Operands::Unsupported(
            "openssl; for a TLS session: sockit tcp-client --tls HOST PORT",
        ),
        flags: &[],
    },
    Tool {
        names: &["ping", "ping6", "fping", "traceroute", "mtr"],
        operands: Operands::Unsupported(
            "ICMP; udp-client HOST PORT --count N pings a UDP echo server",
        ),
        flags: &[],
    },
];

impl Tool {
    /// The tool of this name.
    pub fn named(name: &str) -> Option<&'static Tool> {
        ALL.iter().find(|tool| tool.names.contains(&name))
    }

    /// The tool that is most like a sockit command.
    pub fn like(command: &str) -> Option<&'static Tool> {
        match command {
            "http-get" => Tool::named("curl"),
            "resolve" => Tool::named("dig"),
            "check" => Tool::named("nc"),
            _ if command.contains('-') => Tool::named("nc"),
            _ => None,
        }
    }

    /// The sockit command that does most of what the tool does.
    pub fn command(&self) -> &'static str {
        match self.operands {
            Operands::Urls | Operands::Downloads => "http-get",
            Operands::Queries | Operands::QueryAndServer => "resolve",
            Operands::Wait => "check",
            _ => "tcp-client",
        }
    }

    /// Whether the argument is one of its flags, or a cluster of short ones.
    pub fn has_flag(&self, arg: &str) -> bool {
        !arg.starts_with("--") || self.meaning(arg.split('=').next().unwrap_or(arg)).is_some()
    }

    /// What a flag means, and whether it takes a value.
    pub fn meaning(&self, flag: &str) -> Option<(Meaning, bool)> {
        self.rows().find_map(|(names, meaning)| {
            let mut names = names.split(' ');
            let name = names.find(|name| name.strip_suffix('=').unwrap_or(name) == flag)?;
            Some((meaning, name.ends_with('=')))
        })
    }

    /// All its flags and what they mean.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, Meaning)> {
        let netcat = (self.operands == Operands::Connection).then_some(netcat_flags::ALL);
        let netcat = netcat.into_iter().flatten().map(|flag| (flag.names, flag.meaning));
        self.flags.iter().copied().chain(netcat)
    }
}
