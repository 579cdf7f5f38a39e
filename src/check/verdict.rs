//! The verdict on a target: its state, and what it means for the exit code.

use std::time::Duration;

use super::options::Until;
use super::target::CheckTarget;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::PeerCertificate;
use crate::report::event::check::{CheckReport, CheckStatus};
use crate::report::event::datagram::RoundTrips;

/// The result of one attempt at a target, or of all of them.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The state of the target.
    pub status: CheckStatus,
    /// The exit code of a run with this target only, if it was to be open.
    pub code: ExitCode,
    /// From the start of the attempt to its result, without the name lookup.
    pub elapsed: Duration,
    /// The address that answered, or failed first.
    pub address: Option<String>,
    /// Why it is not open.
    pub cause: Option<String>,
    /// The phase at which it failed.
    pub phase: Phase,
    /// The certificate of the server, under TLS.
    pub certificate: Option<PeerCertificate>,
    /// The number of attempts.
    pub attempts: u32,
    /// How many of them found it open.
    pub opened: u32,
    /// The times of those, where they were counted.
    pub times: Option<RoundTrips>,
}

/// A target and the verdict on it.
#[derive(Debug)]
pub struct TargetVerdict {
    /// The index of the target.
    pub target: usize,
    /// The verdict.
    pub verdict: Verdict,
}

impl Verdict {
    /// An attempt that ended with `status`, which is not a failure of the local system.
    pub fn new(status: CheckStatus) -> Verdict {
        Verdict {
            status,
            code: exit_code(status),
            elapsed: Duration::ZERO,
            address: None,
            cause: None,
            phase: Phase::Connect,
            certificate: None,
            attempts: 1,
            opened: u32::from(status == CheckStatus::Open),
            times: None,
        }
    }

    /// An attempt that failed.
    pub fn failed(failure: &Failure) -> Verdict {
        let status = status(failure);
        // Which limit it was is known; what is left of it for the phase is no round number.
        let is_timeout = status == CheckStatus::Timeout;
        let cause = Some(if is_timeout { "timed out".into() } else { failure.cause() });
        Verdict { code: failure.code, phase: failure.phase, cause, ..Verdict::new(status) }
    }

    /// The same with its time and address.
    pub fn at(self, address: impl ToString, elapsed: Duration) -> Verdict {
        Verdict { address: Some(address.to_string()), elapsed, ..self }
    }

    /// Whether the target is open.
    pub fn is_open(&self) -> bool {
        self.status == CheckStatus::Open
    }

    /// Whether the target has the wanted state. A UDP port without an answer may be open, and a
    /// failure of the resolver, of TLS or of a proxy shows neither.
    pub fn satisfies(&self, until: Until) -> bool {
        use CheckStatus::{Closed, NoSuchFile, NoSuchName, Refused, Timeout, Unreachable};
        match until {
            Until::Open => self.is_open(),
            Until::Closed => {
                let closed = [Refused, Timeout, Unreachable, NoSuchName, Closed, NoSuchFile];
                closed.contains(&self.status)
            }
        }
    }

    /// The exit code for a target without the wanted state: 1 if it is open and was to be closed.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_open() { ExitCode::Negative } else { self.code }
    }

    /// The reason in an error line: the cause, or the state where there is none.
    pub fn reason(&self) -> String {
        self.cause.clone().unwrap_or_else(|| self.status.to_string())
    }

    /// The same with its phase, unless that is connecting.
    pub fn reason_with_phase(&self) -> String {
        match self.phase {
            Phase::Connect => self.reason(),
            phase => format!("{phase}: {}", self.reason()),
        }
    }

    /// The report of this verdict on `target`.
    pub fn report(&self, target: &CheckTarget) -> CheckReport {
        let certificate = self.certificate.as_ref();
        CheckReport {
            target: target.to_string(),
            status: self.status,
            code: self.code.number(),
            milliseconds: self.elapsed.as_nanos() as f64 / 1e6,
            address: self.address.clone(),
            phase: (!self.is_open()).then(|| self.phase.name()),
            cause: self.cause.clone(),
            subject: certificate.map(|certificate| certificate.subject.clone()),
            days_left: certificate.map(PeerCertificate::days_left),
            attempts: self.attempts,
            opened: self.opened,
            times: self.times.clone(),
        }
    }
}

fn exit_code(status: CheckStatus) -> ExitCode {
    match status {
        CheckStatus::Open => ExitCode::Done,
        CheckStatus::Timeout | CheckStatus::NoAnswer => ExitCode::Timeout,
        CheckStatus::NoSuchName => ExitCode::Resolve,
        CheckStatus::ResolverFailed => ExitCode::TryAgain,
        _ => ExitCode::Connect,
    }
}

fn status(failure: &Failure) -> CheckStatus {
    match (failure.phase, failure.code) {
        (_, ExitCode::Timeout) => CheckStatus::Timeout,
        (Phase::Resolve, ExitCode::Resolve) => CheckStatus::NoSuchName,
        (Phase::Resolve, ExitCode::TryAgain) => CheckStatus::ResolverFailed,
        (Phase::Connect, _) => connect_status(failure.errno()),
        _ => CheckStatus::Failed,
    }
}

fn connect_status(errno: Option<i32>) -> CheckStatus {
    match errno {
        // A reset answers the SYN where a firewall rejects it so (RFC 9293 §3.10.7.3).
        Some(libc::ECONNREFUSED | libc::ECONNRESET) => CheckStatus::Refused,
        Some(
            libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ENONET
            | libc::ENOPROTOOPT,
        ) => CheckStatus::Unreachable,
        Some(libc::ENOENT) => CheckStatus::NoSuchFile,
        _ => CheckStatus::Failed,
    }
}

/// The verdict on a target from those on its addresses, in their order: open if one of them is, else
/// that on the first.
pub fn merge(addresses: impl IntoIterator<Item = Verdict>) -> Option<Verdict> {
    addresses.into_iter().reduce(|first, other| match (first.is_open(), other.is_open()) {
        (false, true) => other,
        (true, true) if other.elapsed < first.elapsed => other,
        _ => first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn of_errno(errno: i32) -> Verdict {
        let error = io::Error::from_raw_os_error(errno);
        Verdict::failed(&Failure::new(Phase::Connect, "db:1", error))
    }

    #[test]
    fn failures_have_their_states_and_codes() {
        use CheckStatus::*;
        let resolve = |code| Failure::new(Phase::Resolve, "db", "no").with_code(code);
        let timeout = |phase| Failure::timeout(phase, "db", Duration::from_secs(1));
        let table = [
            (of_errno(libc::ECONNREFUSED), Refused, 7),
            (of_errno(libc::EHOSTUNREACH), Unreachable, 7),
            (of_errno(libc::ENETUNREACH), Unreachable, 7),
            (of_errno(libc::ENOENT), NoSuchFile, 7),
            (of_errno(libc::EACCES), Failed, 7),
            (Verdict::failed(&resolve(ExitCode::Resolve)), NoSuchName, 6),
            (Verdict::failed(&resolve(ExitCode::TryAgain)), ResolverFailed, 75),
            (Verdict::failed(&timeout(Phase::Resolve)), Timeout, 28),
            (Verdict::failed(&timeout(Phase::Connect)), Timeout, 28),
            (Verdict::failed(&Failure::new(Phase::Tls, "db:1", "no")), Failed, 35),
            (Verdict::new(Closed), Closed, 7),
            (Verdict::new(NoAnswer), NoAnswer, 28),
            (Verdict::new(Open), Open, 0),
        ];
        for (verdict, status, code) in table {
            assert_eq!((verdict.status, verdict.code.number()), (status, code), "{verdict:?}");
        }
    }

    #[test]
    fn closed_is_what_nothing_answers() {
        use CheckStatus::*;
        for status in [Refused, Timeout, Unreachable, NoSuchName, Closed, NoSuchFile] {
            let verdict = Verdict::new(status);
            assert!(
                verdict.satisfies(Until::Closed) && !verdict.satisfies(Until::Open),
                "{status}"
            );
        }
        for status in [Open, ResolverFailed, NoAnswer, Failed] {
            assert!(!Verdict::new(status).satisfies(Until::Closed), "{status}");
        }
        assert!(Verdict::new(Open).satisfies(Until::Open));
        assert_eq!(Verdict::new(Open).exit_code(), ExitCode::Negative);
    }

    #[test]
    fn one_open_address_makes_the_target_open() {
        let refused = || of_errno(libc::ECONNREFUSED);
        let merged = merge([refused(), Verdict::new(CheckStatus::Open)]).unwrap();
        assert!(merged.is_open());
        let merged = merge([refused(), Verdict::new(CheckStatus::Timeout)]).unwrap();
        assert_eq!(merged.status, CheckStatus::Refused);
        assert!(merge([]).is_none());
    }

    #[test]
    fn reason_names_the_phase_unless_it_is_connect() {
        let failure = Failure::new(Phase::Tls, "db:1", "self-signed certificate");
        assert_eq!(Verdict::failed(&failure).reason_with_phase(), "tls: self-signed certificate");
        assert_eq!(of_errno(libc::ECONNREFUSED).reason_with_phase(), "Connection refused");
        assert_eq!(Verdict::new(CheckStatus::NoAnswer).reason(), "no answer");
    }
}
