//! Queries a name server: UDP, retransmission, TCP for truncated replies, and the error of a failure.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::{MismatchCounts, QueryError};
use super::question::{Edns, Question};
use super::response::{Outcome, Response};
use super::{tcp, udp};
use crate::error::{ExitCode, Failure, Phase, message_without_errno};

/// How a question is sent, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct QueryOptions {
    /// Whether TCP only is used.
    pub tcp_only: bool,
    /// When the query ends without a response; `None` is no limit.
    pub deadline: Option<Instant>,
    /// The time limit that `deadline` was computed from, for the error message.
    pub timeout: Duration,
}

/// How much before its deadline a wait of the kernel may end.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(10);

/// A response, and how it was received.
#[derive(Debug)]
pub struct ReceivedResponse {
    /// The accepted response.
    pub response: Response,
    /// The server that sent it.
    pub server: SocketAddr,
    /// Whether it was received over TCP.
    pub tcp: bool,
    /// The datagrams that were ignored before it.
    pub mismatches: MismatchCounts,
}

/// Queries one server after another until one of them answers; they share the time that is left.
///
/// NXDOMAIN and NODATA are answers ([`Outcome`]). Fails at [`Phase::Resolve`] with the error of the
/// last server: a malformed response is 8, a passed deadline 28, and a server that fails, refuses,
/// only refers to other servers or is not reachable 75.
pub fn query_any(
    question: &Question,
    servers: &[SocketAddr],
    options: QueryOptions,
) -> Result<ReceivedResponse, Failure> {
    let mut last = Failure::resolver(&question.name, "no name server is configured");
    for (nth, &server) in servers.iter().enumerate() {
        let share = options.deadline.map(|deadline| {
            let now = Instant::now();
            now + deadline.saturating_duration_since(now) / (servers.len() - nth) as u32
        });
        let exchange =
            Exchange { question, server, options: QueryOptions { deadline: share, ..options } };
        tracing::debug!(%server, %question, tcp = options.tcp_only, "querying");
        match exchange.run() {
            Ok(received) => return Ok(received),
            Err(failure) => {
                tracing::debug!(%server, cause = failure.cause(), "no reply");
                last = failure;
            }
        }
    }
    Err(last)
}

/// One question to one server.
struct Exchange<'a> {
    question: &'a Question,
    server: SocketAddr,
    options: QueryOptions,
}

impl Exchange<'_> {
    fn run(&self) -> Result<ReceivedResponse, Failure> {
        let received = self.query().map_err(|error| self.failure(error))?;
        let (server, response) = (self.server, &received.response);
        let cause = match &response.outcome {
            Outcome::ServerError(code) => {
                format!("server {server} answered {code}{}", response.explanation_suffix())
            }
            Outcome::Referral => {
                format!("server {server} is not authoritative and only refers to other servers")
            }
            _ => return Ok(received),
        };
        Err(Failure::resolver(&self.question.name, cause))
    }

    /// Sends the question and receives the response: over UDP, without EDNS where the server does not
    /// support it, and over TCP if the response is truncated.
    fn query(&self) -> Result<ReceivedResponse, QueryError> {
        if self.options.tcp_only {
            return self.over_tcp(Edns::On, MismatchCounts::default());
        }
        let mut edns = Edns::On;
        let mut received = self.over_udp(edns)?;
        // Servers without EDNS reply so (RFC 6891 §7); the query is repeated without an OPT record.
        if matches!(&received.response.outcome, Outcome::ServerError(code) if code == "FORMERR" || code == "NOTIMP")
        {
            tracing::debug!(server = %self.server, "no EDNS support; repeating without OPT");
            edns = Edns::Off;
            received = self.over_udp(edns)?;
        }
        if received.response.outcome != Outcome::Truncated {
            return Ok(received);
        }
        tracing::debug!(server = %self.server, "truncated reply; repeating over TCP");
        self.over_tcp(edns, received.mismatches)
    }

    fn over_udp(&self, edns: Edns) -> Result<ReceivedResponse, QueryError> {
        let (server, query) = (self.server, self.question.encode(edns)?);
        let mut mismatches = MismatchCounts::default();
        let response = udp::exchange(&query, server, self.options.deadline, &mut mismatches)?;
        Ok(ReceivedResponse { response, server, tcp: false, mismatches })
    }

    fn over_tcp(
        &self,
        edns: Edns,
        mismatches: MismatchCounts,
    ) -> Result<ReceivedResponse, QueryError> {
        let (server, query) = (self.server, self.question.encode(edns)?);
        let response = tcp::exchange(&query, server, self.options.deadline)?;
        Ok(ReceivedResponse { response, server, tcp: true, mismatches })
    }

    fn failure(&self, error: QueryError) -> Failure {
        let (server, name) = (self.server, &self.question.name);
        match error {
            QueryError::MalformedResponse(malformed) => {
                let cause = format!("server {server}: {malformed}");
                Failure::new(Phase::Resolve, name, cause).with_code(ExitCode::Protocol)
            }
            // A socket timeout returns EAGAIN; so does a lack of resources.
            QueryError::System(error) if !is_timeout(&error) || !self.has_passed() => {
                let cause = format!("server {server}: {}", message_without_errno(&error));
                Failure::resolver(name, cause)
            }
            QueryError::System(_) | QueryError::TimedOut => {
                Failure::timeout(Phase::Resolve, name, self.options.timeout)
            }
        }
    }

    fn has_passed(&self) -> bool {
        self.options.deadline.is_some_and(|at| at <= Instant::now() + CLOCK_TOLERANCE)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}
