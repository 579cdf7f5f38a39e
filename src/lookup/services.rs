//! Services and ports, both ways.

use super::answer::Answer;
use crate::error::{Failure, Phase};
use crate::report::lookup::{LookupReport, Service};
use crate::resolver;

/// The lines of services(5) for a name or a number: of one protocol, or of both where none
/// is named. Unknown in all of them is 6, a number beyond 65535 or another protocol 2.
pub fn services(word: &str, proto: Option<&str>) -> Answer {
    let wanted = ["tcp", "udp"].into_iter().filter(|known| proto.is_none_or(|p| p == *known));
    let (mut services, mut failure) = (Vec::new(), None);
    for protocol in wanted {
        match service(word, protocol) {
            Ok(found) => services.push(found),
            Err(why) => failure = failure.or(Some(why)),
        }
    }
    if !services.is_empty() {
        return Answer::ok(LookupReport { services: Some(services), ..LookupReport::default() });
    }
    Answer::failed(failure.unwrap_or_else(|| {
        let word = format!("{word}/{}", proto.unwrap_or_default());
        Failure::usage(Phase::Port, word, "the protocol is tcp or udp")
    }))
}

fn service(word: &str, protocol: &'static str) -> Result<Service, Failure> {
    let port = resolver::port(word, protocol)?;
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Service { service: word.to_string(), port, protocol });
    }
    let unknown = || {
        let endpoint = format!("{port}/{protocol}");
        Failure::new(Phase::Port, endpoint, "no service is known on this port")
    };
    let service = resolver::service(port, protocol).ok_or_else(unknown)?;
    Ok(Service { service, port, protocol })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(word: &str, proto: Option<&str>) -> (u8, Vec<String>) {
        let facts = services(word, proto).facts;
        (facts.code, facts.rows().into_iter().map(|row| row.join(" ")).collect())
    }

    #[test]
    fn services_are_told_both_ways() {
        assert_eq!(told("http", Some("tcp")), (0, vec!["http 80/tcp".into()]));
        assert_eq!(told("80", Some("tcp")), (0, vec!["http 80/tcp".into()]));
        assert_eq!(told("domain", None), (0, vec!["domain 53/tcp".into(), "domain 53/udp".into()]));
    }

    #[test]
    fn unknown_and_impossible_stay_apart() {
        assert_eq!(told("nosuchservice", None).0, 6);
        assert_eq!(told("70000", Some("tcp")).0, 2);
        assert_eq!(told("http", Some("sctp")).0, 2);
        assert_eq!(told("", None).0, 2);
    }
}
