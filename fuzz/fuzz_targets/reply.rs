//! Feeds the reader of DNS replies whatever the fuzzer thinks of.
#![no_main]

mod reply_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reply_entry::reply(bytes));
