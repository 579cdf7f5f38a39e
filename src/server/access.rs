//! Who may come in: rules for addresses, and how many at once from each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::error::{Failure, Phase};
use crate::resolver;
use crate::resolver::{Deadline, Family};

/// The most rules that are read; past it something else was meant.
const MOST_RULES: usize = 100_000;

/// `--allow` and `--deny`: allow wins, and with any allow the rest is denied.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    /// `None` welcomes everybody; a list that was given and is empty, nobody.
    allow: Option<Vec<IpNet>>,
    deny: Vec<IpNet>,
}

impl AccessRules {
    /// Reads rules: a CIDR block, an address, a name (looked up now, once) or `@FILE` with one
    /// rule a line and `#` comments.
    ///
    /// Fails with 2 on a malformed rule, 6 or 75 on a name, 28, 130 or 143 when
    /// `patience` ends before a name is found, 26 on a file that cannot be read.
    pub fn read<'a>(
        allow: &[String],
        deny: &[String],
        patience: impl Into<Deadline<'a>>,
    ) -> Result<AccessRules, Failure> {
        let patience = patience.into();
        let welcome = parse_rules(allow, patience)?;
        Ok(AccessRules {
            allow: (!allow.is_empty()).then_some(welcome),
            deny: parse_rules(deny, patience)?,
        })
    }

    /// Whether a caller from `ip` may come in. v4-mapped addresses are compared as IPv4.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&ip));
        match &self.allow {
            Some(welcome) => within(welcome),
            None => !within(&self.deny),
        }
    }
}

fn parse_rules(words: &[String], patience: Deadline<'_>) -> Result<Vec<IpNet>, Failure> {
    let mut nets = Vec::new();
    for word in words {
        match word.strip_prefix('@') {
            Some(path) => read_file(path, &mut nets, patience)?,
            None => nets.extend(rule(word, patience)?),
        }
    }
    match nets.len() > MOST_RULES {
        true => Err(Failure::usage(Phase::File, "", format!("more than {MOST_RULES} rules"))),
        false => Ok(nets),
    }
}

fn read_file(path: &str, nets: &mut Vec<IpNet>, patience: Deadline<'_>) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::new(Phase::File, path, e))?;
    for line in text.lines() {
        let word = line.split('#').next().unwrap_or("").trim();
        if !word.is_empty() && nets.len() <= MOST_RULES {
            nets.extend(rule(word, patience)?);
        }
    }
    Ok(())
}

/// One rule as networks: a name has as many as it has addresses.
fn rule(word: &str, patience: Deadline<'_>) -> Result<Vec<IpNet>, Failure> {
    if let Ok(net) = word.parse::<IpNet>() {
        return Ok(vec![canonical(net)]);
    }
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Ok(vec![IpNet::from(ip.to_canonical())]);
    }
    let like_address = word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if word.is_empty() || like_address || word.contains(['/', ':', '@', ' ']) {
        let why = "not a CIDR block, an address, a name or @FILE";
        return Err(Failure::usage(Phase::Resolve, word, why));
    }
    let found = resolver::addresses(word, 0, Family::Any, patience)?;
    Ok(found.into_iter().map(|address| IpNet::from(address.ip().to_canonical())).collect())
}

/// `::ffff:10.0.0.0/104` as `10.0.0.0/8`, anything else as it is.
fn canonical(net: IpNet) -> IpNet {
    let narrowed = match (net.addr().to_canonical(), net.prefix_len()) {
        (IpAddr::V4(ip), length) if matches!(net, IpNet::V6(_)) && length >= 96 => {
            IpNet::new(ip.into(), length - 96).ok()
        }
        _ => None,
    };
    narrowed.unwrap_or(net)
}

/// Bits of an IPv6 address that are counted together: one customer has at least these all to
/// itself, and would otherwise have as many addresses as it likes (RFC 6177 §2).
const PREFIX: u8 = 64;

/// The network whose connections are counted together: an IPv4 address alone, a /64 of IPv6.
fn counted(ip: IpAddr) -> IpNet {
    let address = IpNet::from(ip.to_canonical());
    match address {
        IpNet::V4(_) => address,
        IpNet::V6(_) => IpNet::new(address.addr(), PREFIX).map_or(address, |net| net.trunc()),
    }
}

/// Counts the connections of each address, or /64 of IPv6.
#[derive(Debug, Clone)]
pub struct PerIpLimit {
    most: u32,
    counts: Arc<Mutex<HashMap<IpNet, u32>>>,
}

/// One connection's place in its address's count; dropping it gives the place back.
#[derive(Debug)]
pub struct PerIpPermit {
    net: IpNet,
    counts: Arc<Mutex<HashMap<IpNet, u32>>>,
}

impl PerIpLimit {
    /// At most `most` places for each address.
    pub fn new(most: u32) -> PerIpLimit {
        PerIpLimit { most, counts: Arc::default() }
    }

    /// A place for one more connection from `ip`, if it has one left.
    pub fn take(&self, ip: IpAddr) -> Option<PerIpPermit> {
        let net = counted(ip);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(net).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(PerIpPermit { net, counts: self.counts.clone() })
    }

    /// Why a caller without a place is turned away.
    pub fn full(&self, ip: IpAddr) -> String {
        match counted(ip) {
            IpNet::V4(_) => format!("its address has {} connections already", self.most),
            net => format!("its network {net} has {} connections already", self.most),
        }
    }
}

impl Drop for PerIpPermit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.net) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.net)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use crate::test_rng::TestRng;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn rules(allow: &[&str], deny: &[&str]) -> AccessRules {
        let owned = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        AccessRules::read(&owned(allow), &owned(deny), None).unwrap()
    }

    fn admits(rules: &AccessRules, ip: &str) -> bool {
        rules.allows(ip.parse().unwrap())
    }

    #[test]
    fn without_rules_everybody_is_welcome() {
        assert!(admits(&rules(&[], &[]), "192.0.2.1"));
    }

    #[test]
    fn allow_wins_and_shuts_out_the_rest() {
        let rules = rules(&["10.1.0.0/16", "::1"], &["10.0.0.0/8"]);
        assert!(admits(&rules, "10.1.2.3"));
        assert!(admits(&rules, "::ffff:10.1.2.3"));
        assert!(admits(&rules, "::1"));
        assert!(!admits(&rules, "10.2.0.1"));
        assert!(!admits(&rules, "192.0.2.1"));
    }

    #[test]
    fn deny_alone_shuts_out_only_what_it_names() {
        let rules = rules(&[], &["::ffff:127.0.0.0/104"]);
        assert!(!admits(&rules, "127.0.0.2"));
        assert!(admits(&rules, "192.0.2.1"));
    }

    #[test]
    fn malformed_rules_and_missing_files_are_told_apart() {
        let read = |word: &str| AccessRules::read(&[word.to_string()], &[], None).unwrap_err().code;
        for word in ["", "10.0.0.0/33", "1.2.3", "::1/129", "a/8", "300.1.1.1"] {
            assert_eq!(read(word), ExitCode::Usage, "{word}");
        }
        assert_eq!(read("@/no/such/file"), ExitCode::Read);
    }

    #[test]
    fn a_place_comes_back() {
        let places = PerIpLimit::new(1);
        let ip = "127.0.0.1".parse().unwrap();
        let first = places.take(ip).unwrap();
        assert!(places.take("::ffff:127.0.0.1".parse().unwrap()).is_none());
        drop(first);
        assert!(places.take(ip).is_some());
    }

    #[test]
    fn an_ipv6_network_of_64_bits_counts_as_one_address() {
        let places = PerIpLimit::new(1);
        let take = |ip: &str| places.take(ip.parse().unwrap());
        let _first = take("2001:db8:0:1::1").unwrap();
        assert!(take("2001:db8:0:1:ffff::2").is_none());
        let _next_network = take("2001:db8:0:2::1").unwrap();
        let _v4 = take("192.0.2.1").unwrap();
        let _next_v4 = take("::ffff:192.0.2.2").unwrap();
        let full = places.full("2001:db8:0:1::3".parse().unwrap());
        assert!(full.contains("2001:db8:0:1::/64"), "{full}");
    }

    /// Callers come and go at once: never more than may be, and no trace of who has gone.
    #[test]
    fn places_are_never_too_many_and_all_come_back() {
        const MOST: u32 = 3;
        let mut chance = TestRng::new();
        let (places, inside) = (PerIpLimit::new(MOST), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                let (places, inside, mut chance) = (&places, &inside, chance.split());
                scope.spawn(move || {
                    for _ in 0..1000 {
                        let Some(place) = places.take([127, 0, 0, 1].into()) else { continue };
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < MOST);
                        chance.random_pause();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                });
            }
        });
        assert!(places.counts.lock().unwrap().is_empty());
    }
}
