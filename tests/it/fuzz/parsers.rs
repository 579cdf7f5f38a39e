//! The fuzz targets for URLs, endpoints, rules, DNS replies and framing on their corpora and on
//! mutated seeds.

use proptest::prelude::*;

#[path = "../../../fuzz/fuzz_targets/dns_reply_entry.rs"]
mod dns_reply_entry;
#[path = "../../../fuzz/fuzz_targets/framing_entry.rs"]
mod framing_entry;
#[path = "../../../fuzz/fuzz_targets/text_entry.rs"]
mod text_entry;

type Entry = fn(&[u8]);

/// Each corpus and its target.
const TARGETS: [(&str, Entry); 5] = [
    ("url", text_entry::url),
    ("url", text_entry::endpoint),
    ("access_rules", text_entry::access_rules),
    ("dns_reply", dns_reply_entry::dns_reply),
    ("framing", framing_entry::framing),
];

/// All seeds, each with its target.
fn seeds() -> Vec<(Entry, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (corpus, entry) in TARGETS {
        let place = format!("{}/fuzz/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
        for file in std::fs::read_dir(place).expect("the corpus") {
            seeds.push((entry, std::fs::read(file.expect("a seed").path()).expect("a seed")));
        }
    }
    seeds
}

#[test]
fn corpus_seed_breaks_no_invariant() {
    seeds().iter().for_each(|(entry, seed)| entry(seed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutated_seed_breaks_no_invariant(
        (entry, seed) in prop::sample::select(seeds()),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seed;
        bytes.push(0);
        for (at, mutation) in mutations {
            let at = at.index(bytes.len());
            bytes[at] ^= mutation;
        }
        entry(&bytes);
        entry(&bytes[..cut.index(bytes.len())]);
    }
}
