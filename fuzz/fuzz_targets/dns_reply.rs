//! Fuzzes the parser of DNS replies.
#![no_main]

mod dns_reply_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dns_reply_entry::dns_reply(bytes));
