//! The search list of resolv.conf(5): the names that the system tries for a given name.

use super::question::{Question, RecordType};
use super::resolv_conf::resolv_conf;
use crate::error::Failure;
use crate::resolver::localhost::is_localhost;

/// The maximum of `ndots` in the C library (RES_MAXNDOTS).
const MAX_NDOTS: usize = 15;

/// The domains that are appended to a name, and the rules for when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchList {
    domains: Vec<String>,
    /// A name with at least this many dots is tried unchanged first.
    ndots: usize,
    /// A name without a dot is never tried unchanged (`no-tld-query`).
    no_tld_query: bool,
}

impl SearchList {
    /// Returns the search list of the system: resolv.conf, the environment variables `LOCALDOMAIN`
    /// and `RES_OPTIONS`, or the domain of the host name.
    ///
    /// Fails as [`super::configured`] does.
    pub fn of_system() -> Result<SearchList, Failure> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(SearchList::parse(&resolv_conf()?, &host, |name| std::env::var(name).ok()))
    }

    fn parse(text: &str, host: &str, variable: impl Fn(&str) -> Option<String>) -> SearchList {
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        let local_domain = variable("LOCALDOMAIN");
        let mut list = SearchList { domains: Vec::new(), ndots: 1, no_tld_query: false };
        for line in text.lines() {
            match line.split_once([' ', '\t']) {
                Some(("search", rest)) => list.domains = words(rest),
                Some(("domain", rest)) => list.domains = words(rest).into_iter().take(1).collect(),
                Some(("options", rest)) => list.set_options(rest),
                _ => (),
            }
        }
        list.set_options(&variable("RES_OPTIONS").unwrap_or_default());
        if let Some(domains) = local_domain {
            list.domains = words(&domains);
        }
        if list.domains.is_empty() {
            list.domains.extend(host.split_once('.').map(|(_, domain)| domain.to_string()));
        }
        list
    }

    fn set_options(&mut self, options: &str) {
        for option in options.split_whitespace() {
            match option.split_once(':') {
                Some(("ndots", count)) => {
                    self.ndots = count.parse().unwrap_or_default();
                    self.ndots = self.ndots.min(MAX_NDOTS);
                }
                None if option == "no-tld-query" => self.no_tld_query = true,
                _ => (),
            }
        }
    }

    /// Returns the names to query, in their order (res_search(3)); only `name` if it ends with a dot
    /// or is under `localhost`.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') || is_localhost(name) {
            return vec![name.to_string()];
        }
        let dots = name.matches('.').count();
        let listed = self.domains.iter().filter_map(|domain| join(name, domain));
        let mut names: Vec<String> = listed.collect();
        if dots >= self.ndots {
            names.insert(0, name.to_string());
        } else if dots > 0 || !self.no_tld_query || names.is_empty() {
            names.push(name.to_string());
        }
        let mut tried = std::collections::HashSet::new();
        names.retain(|name| tried.insert(name.clone()));
        names
    }
}

/// Appends `domain` to `name`; `None` if that is not a domain name. The root domain changes nothing.
fn join(name: &str, domain: &str) -> Option<String> {
    let joined = match domain.strip_prefix('.').unwrap_or(domain) {
        "" => name.to_string(),
        domain => format!("{name}.{domain}"),
    };
    Question::of(&joined, RecordType::A).is_ok().then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &[(&str, &str)]) -> SearchList {
        let value = |name: &str| environment.iter().find(|(n, _)| *n == name);
        SearchList::parse(text, "host.own.test", |name| value(name).map(|(_, v)| v.to_string()))
    }

    #[test]
    fn search_list_is_parsed_as_by_the_c_library() {
        let domains =
            |text, environment: &[(&str, &str)]| read(text, environment).domains.join(" ");
        assert_eq!(domains("domain c\nsearch a.test\tb.test\n#search x", &[]), "a.test b.test");
        assert_eq!(domains("search a b\ndomain c d", &[]), "c");
        assert_eq!(domains("nameserver 127.0.0.1", &[]), "own.test");
        assert_eq!(domains("search a", &[("LOCALDOMAIN", "x y")]), "x y");
        let ndots = |text, options| read(text, &[("RES_OPTIONS", options)]).ndots;
        assert_eq!(ndots("options rotate ndots:3", ""), 3);
        assert_eq!((ndots("", ""), ndots("options ndots:3", "ndots:99")), (1, MAX_NDOTS));
    }

    #[test]
    fn candidates_are_tried_as_res_search_tries_them() {
        let tried = |text, name| read(text, &[]).candidates(name).join(" ");
        let list = "search a.test b.test";
        assert_eq!(tried(list, "www"), "www.a.test www.b.test www");
        assert_eq!(tried(list, "www.x"), "www.x www.x.a.test www.x.b.test");
        assert_eq!(tried(list, "www.x."), "www.x.");
        let two = "search a.test\noptions ndots:2";
        assert_eq!(tried(two, "www.x"), "www.x.a.test www.x");
        assert_eq!(tried(two, "x.localhost"), "x.localhost");
        assert_eq!(tried("search a.test\noptions no-tld-query", "www"), "www.a.test");
        assert_eq!(tried("search . .a.test b..test", "www"), "www www.a.test");
    }
}
