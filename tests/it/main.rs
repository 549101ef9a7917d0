//! The integration tests: one binary, a private Postgres per run, a database per test.

#![expect(clippy::expect_used, reason = "a helper that fails is a failed test")]

mod harness;

mod changes;
mod cli;
mod connection;
mod docs;
mod embedded;
mod faults;
mod fuzz;
mod golden;
mod history;
mod longpoll;
mod matrix;
mod migrate;
mod modules;
mod native;
mod own_tables;
mod permit;
mod pool;
mod presence;
mod rooms;
mod settings;
mod socketio;
mod sql;
mod supabase;
mod targets;
mod threats;
mod tidy;
mod tls;
