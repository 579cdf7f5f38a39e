//! Fuzzes the parser of `--allow` and `--deny`.
#![no_main]

mod text_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| text_entry::access_rules(bytes));
