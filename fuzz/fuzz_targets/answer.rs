//! Feeds the reader of HTTP answers whatever the fuzzer thinks of.
#![no_main]

mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::answer(bytes));
