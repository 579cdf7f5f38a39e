//! Feeds the reader of SOCKS and CONNECT answers whatever the fuzzer thinks of.
#![no_main]

mod proxy_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_entry::proxy(bytes));
