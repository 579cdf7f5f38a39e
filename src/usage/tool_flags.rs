//! The flags of other tools and what each means here: one table per tool.

use super::meaning::Meaning::{self, Flag, Header, Ignored, Operand, Proxy, Unsupported, Value};
use super::meaning::Setting::{self, Method, Port, Resume, Tries};

/// Flags, separated by blanks, and what they mean; a flag that takes a value ends in `=`. A long flag
/// that is missing is one of sockit itself.
pub type Flags = &'static [(&'static str, Meaning)];

const fn setting(setting: Setting) -> Meaning {
    Meaning::Setting(setting)
}

const BODY: Meaning = Unsupported("a request with a body; http-get sends GET and HEAD");
const TREE: Meaning = Unsupported("recursive downloads");

/// Flags of curl that are typed after tcp-client; netcat_table has those of the netcats.
pub const NETCAT: Flags = &[
    ("--max-time=", Value("--timeout")),
    ("--sni=", Value("--server-name")),
    ("--cacert=", Value("--ca-file")),
    ("--no-check-certificate", Flag("--insecure")),
    ("--starttls=", Unsupported("STARTTLS; TLS begins with the first byte")),
    ("--fail", Ignored),
];

/// Flags of telnet.
pub const TELNET: Flags = &[
    ("-4", Flag("-4")),
    ("-6", Flag("-6")),
    ("-E -8 -L -K", Ignored),
    ("-l= -a", Unsupported("a telnet login")),
];

/// Flags of wait-for-it.
pub const WAIT: Flags =
    &[("-t= --timeout=", Value("--wait")), ("-q --quiet", Flag("-q")), ("-s --strict", Ignored)];

/// Flags of curl.
pub const CURL: Flags = &[
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
];

/// Flags of wget.
pub const WGET: Flags = &[
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
    ("-P= --directory-prefix=", Unsupported("a directory for downloads; --output names the file")),
    ("--password= --http-password=", Unsupported("--password; --user takes NAME:PASSWORD")),
];

/// Flags of dig and its like.
pub const DIG: Flags = &[
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
    ("+dnssec +subnet= +cd +cdflag +norecurse +norec", Unsupported("this flag of the query")),
];

/// Flags of host and nslookup.
pub const HOST: Flags = &[
    ("-t= -type= -query= -querytype= -q=", Value("--type")),
    ("-port=", setting(Port)),
    ("-T -vc", Flag("--tcp")),
    ("-W= -timeout=", Value("--timeout")),
    ("-a", Unsupported("all types in one query")),
    ("-v -debug", Flag("-v")),
    ("-4 -6 -R= -retry=", Ignored),
];
