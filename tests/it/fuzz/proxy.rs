//! The fuzz target `proxy` on its corpus and on mutated seeds.

use proptest::prelude::*;

#[path = "../../../fuzz/fuzz_targets/proxy_entry.rs"]
mod proxy_entry;

fn seeds() -> Vec<Vec<u8>> {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/proxy");
    let files = std::fs::read_dir(place).expect("the corpus");
    files.map(|file| std::fs::read(file.expect("a seed").path()).expect("a seed")).collect()
}

#[test]
fn corpus_seed_is_parsed_to_an_end() {
    seeds().iter().for_each(|seed| proxy_entry::proxy(seed));
}

proptest! {
    #[test]
    fn mutated_reply_breaks_no_invariant(
        seed in prop::sample::select(seeds()),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seed;
        for (at, mutation) in mutations {
            let at = at.index(bytes.len());
            bytes[at] ^= mutation;
        }
        proxy_entry::proxy(&bytes);
        proxy_entry::proxy(&bytes[..cut.index(bytes.len())]);
    }
}
