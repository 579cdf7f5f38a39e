//! A check with the log and the exit code of `nc -z`.

use std::net::SocketAddr;

use super::options::CheckOptions;
use super::run::run;
use super::target::CheckTarget;
use super::verdict::{TargetVerdict, Verdict};
use crate::error::{ExitCode, Failure};
use crate::net::socket_event::SocketEvent;
use crate::report::Report;
use crate::report::context::Context;
use crate::report::event::check::CheckStatus;
use crate::report::event::{Endpoints, Event};

/// Checks ports and logs each. The exit code is 0 if one of them is open, as far as that can be
/// known over UDP, else 1.
///
/// Fails as [`run`] does.
pub fn scan(context: &Context, options: CheckOptions) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::Negative;
    run(context, options, &mut |targets, results| {
        for TargetVerdict { target, verdict } in results {
            if is_open(verdict) {
                code = ExitCode::Done;
            }
            log_verdict(&targets[*target], verdict, &context.report);
        }
        Ok(())
    })?;
    Ok(code)
}

fn is_open(verdict: &Verdict) -> bool {
    matches!(verdict.status, CheckStatus::Open | CheckStatus::NoAnswer)
}

fn log_verdict(target: &CheckTarget, verdict: &Verdict, report: &Report) {
    let (address, cause) = (verdict.address.clone(), verdict.cause.clone().unwrap_or_default());
    if is_open(verdict) {
        let (local, peer) = (String::new(), address.unwrap_or_default());
        let ends = Endpoints { conn: 1, local, peer, ..Endpoints::default() };
        report.emit(&Event::Connected(ends));
    } else if verdict.status == CheckStatus::Closed {
        // An ICMP error, of which nc.openbsd prints nothing.
    } else if let Some(address) = address.and_then(|text| text.parse::<SocketAddr>().ok()) {
        report.on_socket_event(SocketEvent::Failed(address.into(), cause));
    } else {
        let host = target.host().map(ToString::to_string).unwrap_or_default();
        report.failure(None, &Failure::new(verdict.phase, host, cause));
    }
}
