//! Fuzzes the client side of SOCKS and CONNECT proxies.
#![no_main]

mod proxy_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_entry::proxy(bytes));
