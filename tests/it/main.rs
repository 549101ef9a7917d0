//! The integration tests: one binary, a private Postgres per run, a database per test.

#![expect(clippy::expect_used, reason = "a helper that fails is a failed test")]

mod harness;

mod admin;
mod changes;
mod cli;
mod connection;
mod docs;
mod doctor;
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
mod operating;
mod own_tables;
mod packaging;
mod permit;
mod pool;
mod presence;
mod rooms;
#[path = "../faults/mod.rs"]
mod schedules;
mod settings;
mod socketio;
mod sql;
mod supabase;
mod targets;
mod threats;
mod tidy;
mod tls;
