//! What an operator does to the real program: signals, settings that change, proxies, traces, logs.

mod commands;
mod proxies;
mod reload;
mod serve;
mod traces;
