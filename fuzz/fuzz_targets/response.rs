//! Fuzzes `ResponseParser`.
#![no_main]

mod response_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| response_entry::response(bytes));
