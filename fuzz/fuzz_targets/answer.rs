//! Feeds the HTTP response parser with the input of the fuzzer.
#![no_main]

mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::answer(bytes));
