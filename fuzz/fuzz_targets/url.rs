//! Feeds the parsers of URLs, Locations and endpoints with the input of the fuzzer.
#![no_main]

mod words_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    words_entry::url(bytes);
    words_entry::endpoint(bytes);
});
