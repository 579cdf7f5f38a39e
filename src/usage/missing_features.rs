//! Commands and flags that a build may lack, and the feature that adds them.

/// A command, the feature that adds it, whether this build has it.
const COMMANDS: [(&str, &str, bool); 1] = [("http-get", "http", cfg!(feature = "http"))];

/// A flag, the feature that adds it, whether this build has it.
const FLAGS: [(&str, &str, bool); 9] = [
    ("--tls", "tls", cfg!(feature = "tls")),
    ("--ca-file", "tls", cfg!(feature = "tls")),
    ("--insecure", "tls", cfg!(feature = "tls")),
    ("--server-name", "tls", cfg!(feature = "tls")),
    ("--alpn", "tls", cfg!(feature = "tls")),
    ("--cert", "tls", cfg!(feature = "tls")),
    ("--key", "tls", cfg!(feature = "tls")),
    ("--pin", "tls", cfg!(feature = "tls")),
    ("--client-ca", "tls", cfg!(feature = "tls")),
];

/// The first word that another build would accept, and the feature it needs.
pub fn missing(words: &[String]) -> Option<(&'static str, &'static str)> {
    let absent = |table: &[(&'static str, &'static str, bool)], word: &str| {
        let row = table.iter().find(|(name, _, present)| !present && *name == word);
        row.map(|(name, feature, _)| (*name, *feature))
    };
    let words = words.iter().skip(1).map(|word| word.split('=').next().unwrap_or(word));
    let (first, rest) = (words.clone().next(), words);
    first
        .and_then(|word| absent(&COMMANDS, word))
        .or_else(|| rest.into_iter().find_map(|word| absent(&FLAGS, word)))
}
