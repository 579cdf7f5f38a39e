//! The fuzz target `response` on its corpus and on mutated seeds.

use proptest::prelude::*;

#[path = "../../../fuzz/fuzz_targets/response_entry.rs"]
mod response_entry;

/// The seeds of the corpus.
fn seeds() -> Vec<Vec<u8>> {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/response");
    let files = std::fs::read_dir(place).expect("the corpus");
    files.map(|file| std::fs::read(file.expect("a seed").path()).expect("a seed")).collect()
}

#[test]
fn corpus_seed_is_parsed_alike_however_it_is_split() {
    for seed in seeds() {
        response_entry::response(&seed);
    }
}

proptest! {
    #[test]
    fn mutated_seed_breaks_no_invariant(
        seed in prop::sample::select(seeds()),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        choice: u8,
        step: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seed;
        for (at, mutation) in mutations {
            let at = at.index(bytes.len());
            bytes[at] ^= mutation;
        }
        (bytes[0], bytes[1]) = (choice, step);
        response_entry::response(&bytes);
        response_entry::response(&bytes[..cut.index(bytes.len())]);
    }
}
