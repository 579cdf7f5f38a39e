//! Feeds the readers of URLs, Locations and endpoints whatever the fuzzer thinks of.
#![no_main]

mod words_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    words_entry::url(bytes);
    words_entry::endpoint(bytes);
});
