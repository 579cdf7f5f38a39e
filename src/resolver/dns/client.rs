//! A question from end to end: datagram, second try, stream, and what a disappointment means.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::{MismatchCounts, Trouble};
use super::question::Question;
use super::response::{Outcome, Response};
use super::{tcp, udp};
use crate::error::{ExitCode, Failure, Phase, message_without_errno};

/// Whom to ask, how, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct QueryOptions {
    /// The server.
    pub server: SocketAddr,
    /// TCP from the start.
    pub tcp: bool,
    /// When to give up; `None` waits for as long as it takes.
    pub until: Option<Instant>,
    /// What `until` was made from, for the message.
    pub limit: Duration,
}

/// How much before its moment a wait may end.
const EARLY: Duration = Duration::from_millis(10);

impl QueryOptions {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now() + EARLY)
    }
}

/// What a server told, and how it came to us.
#[derive(Debug)]
pub struct Answered {
    /// The reply that is believed.
    pub reply: Response,
    /// Who told it.
    pub server: SocketAddr,
    /// Whether it took TCP.
    pub tcp: bool,
    /// What was passed over meanwhile.
    pub strays: MismatchCounts,
}

/// Asks one server.
///
/// No such name and no such record are answers ([`Found`]). Failures are at
/// [`Stage::Resolve`]: a lie is 8, a server that fails, refuses, refers elsewhere or is not there 75, a passed
/// deadline 28.
pub fn query(question: &Question, asking: &QueryOptions) -> Result<Answered, Failure> {
    let told = exchange(question, asking).map_err(|trouble| failure(trouble, question, asking))?;
    match &told.reply.found {
        Outcome::ServerError(code) => {
            let why = format!("server {} answered {code}{}", asking.server, told.reply.reasons());
            Err(failing(question, why))
        }
        Outcome::Referral => {
            let why = format!("server {} does not know, and only refers elsewhere", asking.server);
            Err(failing(question, why))
        }
        _ => Ok(told),
    }
}

/// Asks one server after another until one gives an answer, sharing the time among them; the
/// last one's failure stays.
pub fn query_any(
    question: &Question,
    servers: &[SocketAddr],
    tcp: bool,
    until: Option<Instant>,
    limit: Duration,
) -> Result<Answered, Failure> {
    let mut last = failing(question, "no name server is configured".into());
    for (nth, &server) in servers.iter().enumerate() {
        let share = until.map(|until| {
            let now = Instant::now();
            now + until.saturating_duration_since(now) / (servers.len() - nth) as u32
        });
        match query(question, &QueryOptions { server, tcp, until: share, limit }) {
            Ok(told) => return Ok(told),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn exchange(question: &Question, asking: &QueryOptions) -> Result<Answered, Trouble> {
    if asking.tcp {
        return over_tcp(question, asking, true, MismatchCounts::default());
    }
    let mut told = over_udp(question, asking, true)?;
    let mut edns = true;
    // Servers from before EDNS answer so (RFC 6891 §7); they get the plain question.
    if matches!(&told.reply.found, Outcome::ServerError(code) if code == "FORMERR" || code == "NOTIMP")
    {
        edns = false;
        told = over_udp(question, asking, edns)?;
    }
    match told.reply.found {
        Outcome::Truncated => over_tcp(question, asking, edns, told.strays),
        _ => Ok(told),
    }
}

fn over_udp(question: &Question, asking: &QueryOptions, edns: bool) -> Result<Answered, Trouble> {
    let (server, query) = (asking.server, question.query(edns)?);
    let (reply, strays) = udp::exchange(question, &query, server, asking.until)?;
    Ok(Answered { reply, server, tcp: false, strays })
}

fn over_tcp(
    question: &Question,
    asking: &QueryOptions,
    edns: bool,
    strays: MismatchCounts,
) -> Result<Answered, Trouble> {
    let (server, query) = (asking.server, question.query(edns)?);
    let reply = tcp::exchange(question, &query, server, asking.until)?;
    Ok(Answered { reply, server, tcp: true, strays })
}

fn failure(trouble: Trouble, question: &Question, asking: &QueryOptions) -> Failure {
    let server = asking.server;
    match trouble {
        Trouble::MalformedResponse(lie) => {
            let why = format!("server {server}: {lie}");
            Failure::new(Phase::Resolve, &question.name, why).with_code(ExitCode::Protocol)
        }
        Trouble::Late => Failure::timeout(Phase::Resolve, &question.name, asking.limit),
        // A limit on a socket ends a wait in these words; so does a system short of something.
        Trouble::System(error) if is_limit(&error) && asking.is_over() => {
            Failure::timeout(Phase::Resolve, &question.name, asking.limit)
        }
        Trouble::System(error) => {
            failing(question, format!("server {server}: {}", message_without_errno(&error)))
        }
    }
}

fn is_limit(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

fn failing(question: &Question, why: String) -> Failure {
    Failure::resolver(&question.name, why)
}
