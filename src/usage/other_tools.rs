//! The words of other tools, and what each means here: one table per tool.

/// A tool that somebody may know better than sockit.
pub struct Tool {
    /// What it is called on the command line.
    pub names: &'static [&'static str],
    /// What its words without a dash are.
    pub form: Form,
    /// Its flags, separated by blanks, and what they mean; a flag that takes a value ends in `=`.
    pub words: &'static [(&'static str, Meaning)],
}

/// What the words without a dash are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A host and a port, or a path.
    Connection,
    /// The same, and the port is 23 unless given.
    Telnet,
    /// `s_client`, and a host and a port.
    Tls,
    /// URLs, printed.
    Url,
    /// URLs, saved in files of their names.
    Download,
    /// Names, types and `@SERVER`.
    Question,
    /// A name, and the server to ask.
    QuestionServer,
    /// Two addresses of socat(1).
    Pair,
    /// sockit does nothing like it.
    Absent(&'static str),
}

/// What a flag means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// sockit does so without a flag.
    Usual,
    /// sockit has nothing like it.
    Absent(&'static str),
    /// This flag of sockit, without a value or with the one behind the blank.
    Flag(&'static str),
    /// This flag of sockit, with the same value.
    Value(&'static str),
    /// A request header of this name.
    Header(&'static str),
    /// A proxy of this scheme, unless the value has one.
    Proxy(&'static str),
    /// The value is a word like those without a dash.
    Word,
    /// Needs more than a table.
    Part(Part),
}

/// A part of the line that depends on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Be a server.
    Listen,
    /// Use UDP.
    Udp,
    /// Use a Unix socket.
    Unix,
    /// Only see whether the port is open.
    Scan,
    /// A program to run, without a shell.
    Exec,
    /// A program to run in a shell.
    Shell,
    /// Our address.
    Source,
    /// Our port, or the server's.
    Port,
    /// Seconds of silence.
    Wait,
    /// Seconds after the end of input.
    Quit,
    /// Addresses of whole networks are allowed.
    Broadcast,
    /// The proxy's URL.
    Proxy,
    /// The proxy's protocol.
    ProxyType,
    /// The proxy's user and password.
    ProxyLogin,
    /// An HTTP method.
    Method,
    /// Where a download begins.
    Resume,
    /// Tries in all.
    Tries,
}

use Meaning::{Absent, Flag, Header, Proxy, Usual, Value, Word};
use Part::{
    Broadcast, Exec, Listen, Method, Port, ProxyLogin, ProxyType, Quit, Resume, Scan, Shell,
    Source, Tries, Udp, Unix, Wait,
};

const fn part(part: Part) -> Meaning {
    Meaning::Part(part)
}

const BODY: Meaning = Absent("a request with a body: http-get sends GET and HEAD");
const TREE: Meaning = Absent("downloads of more than the URLs that are named");

/// Every tool. A long flag that is not here means what it means to sockit.
pub const ALL: &[Tool] = &[
    Tool {
        names: &["nc", "ncat", "netcat", "nc.openbsd", "nc.traditional"],
        form: Form::Connection,
        words: &[
            ("-l --listen", part(Listen)),
            ("-u --udp", part(Udp)),
            ("-U --unixsock", part(Unix)),
            ("-z", part(Scan)),
            ("-e= --exec=", part(Exec)),
            ("-c= --sh-exec=", part(Shell)),
            ("-s= --source=", part(Source)),
            ("-p= --source-port=", part(Port)),
            ("-w= --wait=", part(Wait)),
            ("-q=", part(Quit)),
            ("-b", part(Broadcast)),
            ("-x=", Proxy("socks5")),
            ("--proxy=", Proxy("http")),
            ("-X= --proxy-type=", part(ProxyType)),
            ("-P= --proxy-auth=", part(ProxyLogin)),
            ("-v --verbose", Flag("-v")),
            ("-4", Flag("-4")),
            ("-6", Flag("-6")),
            ("-C --crlf", Flag("--crlf")),
            ("-d", Flag("--recv-only")),
            ("-o= --hex-dump=", Value("--hex")),
            ("-T=", Value("--tos")),
            ("-M=", Value("--ttl")),
            ("-m= --max-conns=", Value("--max-conns")),
            ("-O=", Value("--send-buffer")),
            ("-I=", Value("--recv-buffer")),
            ("--no-shutdown", Flag("--no-half-close")),
            ("--max-time=", Value("--timeout")),
            ("--chat --broker", Flag("--service chat")),
            ("--ssl", Flag("--tls")),
            ("--ssl-servername= --sni=", Value("--server-name")),
            ("--ssl-trustfile= --cacert=", Value("--ca-file")),
            ("--ssl-cert=", Value("--cert")),
            ("--ssl-key=", Value("--key")),
            ("--ssl-alpn=", Value("--alpn")),
            ("--no-check-certificate", Flag("--insecure")),
            ("--starttls=", Absent("STARTTLS: TLS begins with the first byte")),
            ("-k --keep-open -N -n --nodns -r -D --ssl-verify --fail", Usual),
            ("-t --telnet", Absent("answers to telnet negotiation")),
            ("-i=", Absent("a pause between lines")),
            ("-W=", Absent("an end after so many packets")),
            ("-S", Absent("TCP MD5 signatures")),
            ("-g= -G=", Absent("source routing")),
            ("-V=", Absent("a choice of routing table")),
        ],
    },
    Tool {
        names: &["telnet"],
        form: Form::Telnet,
        words: &[
            ("-4", Flag("-4")),
            ("-6", Flag("-6")),
            ("-E -8 -L -K", Usual),
            ("-l= -a", Absent("a login by telnet")),
        ],
    },
    Tool {
        names: &["openssl"],
        form: Form::Tls,
        words: &[
            ("-connect=", Word),
            ("-servername=", Value("--server-name")),
            ("-CAfile=", Value("--ca-file")),
            ("-cert=", Value("--cert")),
            ("-key=", Value("--key")),
            ("-alpn=", Value("--alpn")),
            ("-proxy=", Proxy("http")),
            ("-crlf", Flag("--crlf")),
            ("-showcerts", Flag("-v")),
            ("-quiet -brief -verify_return_error -ign_eof", Usual),
            ("-4", Flag("-4")),
            ("-6", Flag("-6")),
            ("-starttls=", Absent("STARTTLS: TLS begins with the first byte")),
        ],
    },
    Tool {
        names: &["curl"],
        form: Form::Url,
        words: &[
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
            ("-C= --continue-at=", part(Resume)),
            ("-X= --request=", part(Method)),
            ("-f --fail --fail-with-body -L --location -S --show-error", Usual),
            ("--proto= --tlsv1.2 --tlsv1.3 --noproxy=", Usual),
            ("-g --globoff -N --no-buffer --compressed --http1.1 -# --no-progress-meter", Usual),
            ("-d= --data= --data-raw= --data-binary= --data-urlencode= --json=", BODY),
            ("-F= --form= -T= --upload-file= --post-data= --post-file=", BODY),
            ("--http2 --http3", Absent("HTTP/2 and HTTP/3: http-get speaks HTTP/1.1")),
            ("-w= --write-out=", Absent("an output format; --stats prints the times")),
            ("-K= --config=", Absent("a file of flags")),
            ("--starttls=", Absent("STARTTLS: TLS begins with the first byte")),
        ],
    },
    Tool {
        names: &["wget"],
        form: Form::Download,
        words: &[
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
            ("-t= --tries=", part(Tries)),
            ("--limit-rate=", Value("--rate")),
            ("--max-redirect=", Value("--max-redirects")),
            ("--bind-address=", Value("--source")),
            ("--ca-certificate=", Value("--ca-file")),
            ("--certificate=", Value("--cert")),
            ("--private-key=", Value("--key")),
            ("--show-progress -nc --no-clobber", Usual),
            ("--post-data= --post-file= --body-data=", BODY),
            ("-r --recursive -m --mirror -p --page-requisites -i= --input-file=", TREE),
            ("-P= --directory-prefix=", Absent("a folder for what is saved; --output names it")),
            ("--password= --http-password=", Absent("--password; --user takes NAME:PASSWORD")),
        ],
    },
    Tool {
        names: &["dig", "delv", "kdig", "drill"],
        form: Form::Question,
        words: &[
            ("-x= -q=", Word),
            ("-t= -type=", Value("--type")),
            ("-f=", Value("--file")),
            ("-p=", part(Port)),
            ("+tcp +vc", Flag("--tcp")),
            ("+time= +timeout= --max-time=", Value("--timeout")),
            ("-c= +tries= +retry=", Usual),
            ("-4 -6 -r +short +noall +answer +recurse +rec +search", Usual),
            ("+nocmd +nocomments +noquestion +nostats +noauthority +noadditional", Usual),
            ("+trace", Absent("the way from the root servers down")),
            ("+dnssec +subnet= +cd +cdflag +norecurse +norec", Absent("that bit of the query")),
        ],
    },
    Tool {
        names: &["host", "nslookup"],
        form: Form::QuestionServer,
        words: &[
            ("-t= -type= -query= -querytype= -q=", Value("--type")),
            ("-port=", part(Port)),
            ("-T -vc", Flag("--tcp")),
            ("-W= -timeout=", Value("--timeout")),
            ("-a", Absent("all types in one question")),
            ("-v -debug", Flag("-v")),
            ("-4 -6 -R= -retry=", Usual),
        ],
    },
    Tool { names: &["socat"], form: Form::Pair, words: &[("-v", Flag("-v")), ("-d", Flag("-v"))] },
    Tool {
        names: &["ping", "ping6", "fping", "traceroute", "mtr"],
        form: Form::Absent("ICMP; udp-client HOST PORT --count N pings a UDP echo server"),
        words: &[],
    },
];

impl Tool {
    /// The tool of this name.
    pub fn named(name: &str) -> Option<&'static Tool> {
        ALL.iter().find(|tool| tool.names.contains(&name))
    }

    /// The tool that a command of sockit has most in common with.
    pub fn like(command: &str) -> Option<&'static Tool> {
        match command {
            "http-get" => Tool::named("curl"),
            "resolve" => Tool::named("dig"),
            _ if command.contains('-') => Tool::named("nc"),
            _ => None,
        }
    }

    /// The command of sockit that does most of it.
    pub fn command(&self) -> &'static str {
        match self.form {
            Form::Connection | Form::Telnet | Form::Tls | Form::Pair => "tcp-client",
            Form::Url | Form::Download => "http-get",
            Form::Question | Form::QuestionServer => "resolve",
            Form::Absent(_) => "udp-client",
        }
    }

    /// Whether the word is one of its flags, or letters that are.
    pub fn knows(&self, word: &str) -> bool {
        !word.starts_with("--") || self.meaning(word.split('=').next().unwrap_or(word)).is_some()
    }

    /// What a flag means, and whether it takes a value.
    pub fn meaning(&self, flag: &str) -> Option<(Meaning, bool)> {
        self.words.iter().find_map(|(names, meaning)| {
            let mut names = names.split(' ');
            let name = names.find(|name| name.strip_suffix('=').unwrap_or(name) == flag)?;
            Some((*meaning, name.ends_with('=')))
        })
    }
}
