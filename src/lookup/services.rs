//! Services and ports, in both directions.

use super::answer::Answer;
use crate::error::{Failure, Phase};
use crate::report::event::lookup::{LookupReport, ServiceEntry};
use crate::resolver;

/// Returns the entries of services(5) for a name or a number, of one protocol or of both.
///
/// Fails with 6 if there is none, and with 2 for a number out of range or another protocol.
pub fn services(word: &str, proto: Option<&str>) -> Result<Answer, Failure> {
    let protocols = ["tcp", "udp"].into_iter().filter(|known| proto.is_none_or(|p| p == *known));
    let (mut services, mut failure) = (Vec::new(), None);
    for protocol in protocols {
        match service(word, protocol) {
            Ok(found) => services.push(found),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if !services.is_empty() {
        let services = Some(services);
        return Ok(Answer::ok(LookupReport { services, ..LookupReport::default() }));
    }
    Err(failure.unwrap_or_else(|| {
        let word = format!("{word}/{}", proto.unwrap_or_default());
        Failure::usage(Phase::Port, word, "the protocol is tcp or udp")
    }))
}

fn service(word: &str, protocol: &'static str) -> Result<ServiceEntry, Failure> {
    let port = resolver::port(word, protocol)?;
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(ServiceEntry { service: word.to_string(), port, protocol });
    }
    let unknown = || {
        let endpoint = format!("{port}/{protocol}");
        Failure::new(Phase::Port, endpoint, "no service is registered for this port")
    };
    let service = resolver::service_name(port, protocol).ok_or_else(unknown)?;
    Ok(ServiceEntry { service, port, protocol })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(word: &str, proto: Option<&str>) -> Result<Vec<String>, u8> {
        let answer = services(word, proto).map_err(|failure| failure.code.number())?;
        Ok(answer.result.rows().into_iter().map(|row| row.join(" ")).collect())
    }

    #[test]
    fn services_are_found_in_both_directions() {
        assert_eq!(lines("http", Some("tcp")), Ok(vec!["http 80/tcp".into()]));
        assert_eq!(lines("80", Some("tcp")), Ok(vec!["http 80/tcp".into()]));
        let both = vec!["domain 53/tcp".into(), "domain 53/udp".into()];
        assert_eq!(lines("domain", None), Ok(both));
    }

    #[test]
    fn unknown_service_and_usage_error_have_different_codes() {
        assert_eq!(lines("nosuchservice", None), Err(6));
        assert_eq!(lines("70000", Some("tcp")), Err(2));
        assert_eq!(lines("http", Some("sctp")), Err(2));
        assert_eq!(lines("", None), Err(2));
    }
}
