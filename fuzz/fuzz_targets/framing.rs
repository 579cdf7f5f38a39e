//! Fuzzes `MessageSplitter`.
#![no_main]

mod framing_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| framing_entry::framing(bytes));
