//! Statuses of 400 and above as failures; a 401 or 407 names what it asks for.

use crate::error::{ExitCode, Failure, Phase};
use crate::http::challenge::schemes;
use crate::http::{Head, HttpUrl};
use crate::net::proxy::{LOGIN_HINT, Proxy};

/// The failure that an answer from `link` means by its status: exit code 22. A proxy that the
/// request went to may have answered in the server's place.
pub fn by_server(head: &Head, link: &HttpUrl, proxy: Option<&Proxy>) -> Failure {
    let failure = by_status(head.status, link);
    let login = proxy.is_some_and(|proxy| proxy.authorization().is_some());
    match hint(&schemes(head, "www-authenticate")).filter(|_| head.status == 401) {
        // tinyproxy refuses a wrong login by a 401 of its own.
        Some(hint) if login => {
            failure.with_hint(format!("{hint}, unless the proxy refuses its login"))
        }
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// The same where only the status is known.
pub fn by_status(status: u16, link: &HttpUrl) -> Failure {
    let why = format!("HTTP status {status}");
    Failure::new(Phase::Receive, link, why).with_code(ExitCode::Status)
}

/// The failure of a request that `proxy` itself answered with 407: exit code 97.
pub fn by_proxy(head: &Head, proxy: &Proxy) -> Failure {
    let reason = String::from_utf8_lossy(&head.reason);
    let said = format!("{} {reason}", head.status);
    let wants = match schemes(head, "proxy-authenticate") {
        found if found.is_empty() => "a login".to_string(),
        found => format!("a login ({})", found.join(", ")),
    };
    let why = format!("it wants {wants}: {}", said.trim_end());
    Failure::new(Phase::Proxy, proxy, why).with_code(ExitCode::Proxy).with_hint(LOGIN_HINT)
}

/// What to do about an answer that asks for one of these schemes.
fn hint(schemes: &[String]) -> Option<String> {
    let offers = |name: &str| schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(name));
    let cure = match () {
        () if schemes.is_empty() => return None,
        () if offers("basic") => "--user USER:PASSWORD",
        () if offers("bearer") => "-H 'Authorization: Bearer TOKEN'",
        () => "--user sends Basic only",
    };
    Some(format!("it asks for {} authentication: {cure}", schemes.join(" or ")))
}
