//! The target `change` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rowcast::fuzz::run("change", data));
