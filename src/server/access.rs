//! Access rules: the addresses from which connections are accepted (`--allow`, `--deny`).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::{Failure, Phase};
use crate::resolver;
use crate::resolver::{Deadline, Family};

/// The limit of networks in one list; a file with more is probably not a list of rules.
const MAX_RULES: usize = 100_000;

/// The rules of `--allow` and `--deny`: allow takes precedence, and with any allow rule all other
/// addresses are denied.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    /// `None` allows every address; an empty list, which an empty file gives, none.
    allow: Option<Vec<IpNet>>,
    deny: Vec<IpNet>,
}

impl AccessRules {
    /// Parses rules: a CIDR block, an address, a name (resolved once, now) or `@FILE` with one
    /// rule per line and `#` comments.
    ///
    /// Fails with 2 on a malformed rule, with 6 or 75 on a name that does not resolve, with 28, 130
    /// or 143 when `deadline` passes before that, with 26 on a file that cannot be read.
    pub fn parse<'a>(
        allow: &[String],
        deny: &[String],
        deadline: impl Into<Deadline<'a>>,
    ) -> Result<AccessRules, Failure> {
        let deadline = deadline.into();
        let allowed = parse_rules(allow, deadline)?;
        Ok(AccessRules {
            allow: (!allow.is_empty()).then_some(allowed),
            deny: parse_rules(deny, deadline)?,
        })
    }

    /// Whether a connection from `ip` is allowed. IPv4-mapped addresses are compared as IPv4.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let contain = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&ip));
        match &self.allow {
            Some(allowed) => contain(allowed),
            None => !contain(&self.deny),
        }
    }
}

fn parse_rules(rules: &[String], deadline: Deadline<'_>) -> Result<Vec<IpNet>, Failure> {
    let mut nets = Vec::new();
    for rule in rules {
        match rule.strip_prefix('@') {
            Some(path) => read_file(path, &mut nets, deadline)?,
            None => nets.extend(parse_rule(rule, deadline)?),
        }
    }
    if nets.len() > MAX_RULES {
        return Err(Failure::usage(Phase::File, "", format!("more than {MAX_RULES} rules")));
    }
    Ok(nets)
}

fn read_file(path: &str, nets: &mut Vec<IpNet>, deadline: Deadline<'_>) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::new(Phase::File, path, e))?;
    for line in text.lines() {
        let rule = line.split('#').next().unwrap_or("").trim();
        if !rule.is_empty() && nets.len() <= MAX_RULES {
            nets.extend(parse_rule(rule, deadline)?);
        }
    }
    Ok(())
}

/// The networks of one rule: a name has one per address.
fn parse_rule(rule: &str, deadline: Deadline<'_>) -> Result<Vec<IpNet>, Failure> {
    if let Ok(net) = rule.parse::<IpNet>() {
        return Ok(vec![canonical(net)]);
    }
    if let Ok(ip) = rule.parse::<IpAddr>() {
        return Ok(vec![IpNet::from(ip.to_canonical())]);
    }
    let looks_numeric = rule.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if rule.is_empty() || looks_numeric || rule.contains(['/', ':', '@', ' ']) {
        let why = "not a CIDR block, an address, a name or @FILE";
        return Err(Failure::usage(Phase::Resolve, rule, why));
    }
    let found = resolver::addresses(rule, 0, Family::Any, deadline)?;
    Ok(found.into_iter().map(|address| IpNet::from(address.ip().to_canonical())).collect())
}

/// Converts `::ffff:10.0.0.0/104` to `10.0.0.0/8`; returns any other network unchanged.
fn canonical(net: IpNet) -> IpNet {
    let ipv4 = match (net.addr().to_canonical(), net.prefix_len()) {
        (IpAddr::V4(ip), length) if matches!(net, IpNet::V6(_)) && length >= 96 => {
            IpNet::new(ip.into(), length - 96).ok()
        }
        _ => None,
    };
    ipv4.unwrap_or(net)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    fn rules(allow: &[&str], deny: &[&str]) -> AccessRules {
        let owned = |rules: &[&str]| rules.iter().map(|r| r.to_string()).collect::<Vec<_>>();
        AccessRules::parse(&owned(allow), &owned(deny), None).unwrap()
    }

    fn allows(rules: &AccessRules, ip: &str) -> bool {
        rules.allows(ip.parse().unwrap())
    }

    #[test]
    fn no_rules_allow_every_address() {
        assert!(allows(&rules(&[], &[]), "192.0.2.1"));
    }

    #[test]
    fn allow_takes_precedence_and_denies_all_other_addresses() {
        let rules = rules(&["10.1.0.0/16", "::1"], &["10.0.0.0/8"]);
        assert!(allows(&rules, "10.1.2.3"));
        assert!(allows(&rules, "::ffff:10.1.2.3"));
        assert!(allows(&rules, "::1"));
        assert!(!allows(&rules, "10.2.0.1"));
        assert!(!allows(&rules, "192.0.2.1"));
    }

    #[test]
    fn deny_alone_denies_only_its_addresses() {
        let rules = rules(&[], &["::ffff:127.0.0.0/104"]);
        assert!(!allows(&rules, "127.0.0.2"));
        assert!(allows(&rules, "192.0.2.1"));
    }

    #[test]
    fn malformed_rule_is_usage_error_and_missing_file_is_read_error() {
        let code = |rule: &str| AccessRules::parse(&[rule.into()], &[], None).unwrap_err().code;
        for rule in ["", "10.0.0.0/33", "1.2.3", "::1/129", "a/8", "300.1.1.1"] {
            assert_eq!(code(rule), ExitCode::Usage, "{rule}");
        }
        assert_eq!(code("@/no/such/file"), ExitCode::Read);
    }
}
