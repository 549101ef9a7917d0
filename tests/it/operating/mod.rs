//! What an operator does to the real program: signals, settings that change, proxies, traces, logs.

mod commands;
#[cfg(target_os = "linux")]
mod memory;
mod proxies;
mod reload;
mod serve;
mod traces;
