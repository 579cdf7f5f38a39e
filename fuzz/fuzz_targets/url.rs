//! Fuzzes the parsers of URLs, Locations and endpoints.
#![no_main]

mod text_entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    text_entry::url(bytes);
    text_entry::endpoint(bytes);
});
