//! Other tools whose command lines are translated.

use super::meaning::Meaning;
use super::netcat_table;
use super::tool_flags::{self, Flags};

/// A tool whose command lines are translated.
pub struct Tool {
    /// Its names as the first argument.
    pub names: &'static [&'static str],
    /// What its operands are.
    pub operands: Operands,
    /// Its flags.
    pub flags: Flags,
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

const fn tool(names: &'static [&'static str], operands: Operands, flags: Flags) -> Tool {
    Tool { names, operands, flags }
}

const fn unsupported(names: &'static [&'static str], what: &'static str) -> Tool {
    tool(names, Operands::Unsupported(what), &[])
}

/// Every tool.
pub const ALL: &[Tool] = &[
    tool(
        &["nc", "ncat", "netcat", "nc.openbsd", "nc.traditional"],
        Operands::Connection,
        tool_flags::NETCAT,
    ),
    tool(&["telnet"], Operands::Telnet, tool_flags::TELNET),
    tool(&["wait", "wait-for", "wait-for-it"], Operands::Wait, tool_flags::WAIT),
    tool(&["curl"], Operands::Urls, tool_flags::CURL),
    tool(&["wget"], Operands::Downloads, tool_flags::WGET),
    tool(&["dig", "delv", "kdig", "drill"], Operands::Queries, tool_flags::DIG),
    tool(&["host", "nslookup"], Operands::QueryAndServer, tool_flags::HOST),
    unsupported(
        &["socat"],
        "pairs of addresses; each sockit command connects or listens at one, see sockit -h",
    ),
    unsupported(&["openssl"], "openssl; for a TLS session: sockit tcp-client --tls HOST PORT"),
    unsupported(
        &["ping", "ping6", "fping", "traceroute", "mtr"],
        "ICMP; udp-client HOST PORT --count N pings a UDP echo server",
    ),
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
        let netcat = (self.operands == Operands::Connection).then_some(netcat_table::ALL);
        let netcat = netcat.into_iter().flatten().map(|flag| (flag.names, flag.meaning));
        self.flags.iter().copied().chain(netcat)
    }
}
