//! The target `native` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rowcast::fuzz::run("native", data));
