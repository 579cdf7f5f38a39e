//! Feeds the reader of --allow and --deny whatever the fuzzer thinks of.
#![no_main]

mod words_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| words_entry::rules(bytes));
