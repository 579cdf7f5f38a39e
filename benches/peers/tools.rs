//! The tools that are compared, and their command lines.

/// One tool in one scenario. `{port}`, `{target}` and `{sockit}` in its command line are
/// replaced.
pub struct Tool {
    /// Its name in the table.
    pub name: &'static str,
    /// Its command line, words separated by spaces.
    pub line: &'static str,
}

const fn tool(name: &'static str, line: &'static str) -> Tool {
    Tool { name, line }
}

/// Clients between stdio and a TCP server.
pub const CLIENTS: &[Tool] = &[
    tool("sockit", "{sockit} tcp-client 127.0.0.1 {port}"),
    tool("nc.openbsd", "nc.openbsd -N 127.0.0.1 {port}"),
    tool("ncat", "ncat 127.0.0.1 {port}"),
    tool("socat", "socat - TCP:127.0.0.1:{port}"),
    tool("socat -b256k", "socat -b262144 - TCP:127.0.0.1:{port}"),
];

/// Servers that connect one client to their stdio.
pub const LISTENERS: &[Tool] = &[
    tool("sockit", "{sockit} tcp-server --port {port} --service pipe --once -q"),
    tool("nc.openbsd", "nc.openbsd -N -l 127.0.0.1 {port}"),
    tool("ncat", "ncat -l 127.0.0.1 {port}"),
    tool("socat -b256k", "socat -b262144 - TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"),
];

/// Echo servers for many clients.
pub const ECHO_SERVERS: &[Tool] = &[
    tool("sockit", "{sockit} tcp-server --port {port} --service echo -q"),
    tool("socat PIPE", "socat TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=128 PIPE"),
    tool("ncat -e cat", "ncat -l -k -e /bin/cat 127.0.0.1 {port}"),
    tool("tcpserver cat", "tcpserver -q -H -R -l0 127.0.0.1 {port} cat"),
];

/// Relays to a target, for many clients.
pub const RELAYS: &[Tool] = &[
    tool("sockit", "{sockit} relay -q {port} 127.0.0.1:{target}"),
    tool("socat", "socat TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork TCP:127.0.0.1:{target}"),
    tool(
        "socat -b256k",
        "socat -b262144 TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork TCP:127.0.0.1:{target}",
    ),
    tool("haproxy", "haproxy -db -f benches/peers/haproxy.cfg"),
];

/// Echo servers for datagrams.
pub const UDP_ECHO_SERVERS: &[Tool] = &[
    tool("sockit", "{sockit} udp-echo --port {port} -q --max-rate 0"),
    tool("socat PIPE", "socat UDP-RECVFROM:{port},bind=127.0.0.1,fork PIPE"),
    tool("ncat -e cat", "ncat -u -l -k -e /bin/cat 127.0.0.1 {port}"),
];

/// Clients of HTTP, with the body on stdout.
pub const GETTERS: &[Tool] = &[
    tool("sockit", "{sockit} http-get -q http://127.0.0.1:{port}/"),
    tool("curl", "curl -s http://127.0.0.1:{port}/"),
    tool("wget", "wget -q -O - http://127.0.0.1:{port}/"),
    tool("busybox wget", "busybox wget -q -O - http://127.0.0.1:{port}/"),
];

/// Clients between stdio and a TLS server.
#[cfg(feature = "tls")]
pub const TLS_CLIENTS: &[Tool] = &[
    tool("sockit", "{sockit} tcp-client -q --tls --insecure 127.0.0.1 {port}"),
    tool("ncat --ssl", "ncat --ssl 127.0.0.1 {port}"),
    tool("socat -b256k", "socat -b262144 - OPENSSL:127.0.0.1:{port},verify=0"),
];

/// The fastest command of each tool.
pub const STARTERS: &[Tool] = &[
    tool("sockit", "{sockit} --version"),
    tool("nc.openbsd", "nc.openbsd -h"),
    tool("ncat", "ncat --version"),
    tool("socat", "socat -V"),
    tool("curl", "curl --version"),
];

impl Tool {
    /// Returns the words of its command line.
    pub fn words(&self, port: u16) -> Vec<String> {
        let sockit = env!("CARGO_BIN_EXE_sockit");
        let fill =
            |word: &str| word.replace("{port}", &port.to_string()).replace("{sockit}", sockit);
        self.line.split(' ').map(fill).collect()
    }

    /// Returns whether the program is installed.
    pub fn is_installed(&self) -> bool {
        let program = self.words(0).swap_remove(0);
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::path::Path::new(&program).is_absolute()
            || std::env::split_paths(&path).any(|folder| folder.join(&program).is_file())
    }
}
