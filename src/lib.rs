//! Rowcast: committed PostgreSQL rows on people's screens a millisecond later.
//!
//! Modules stand on floors, and imports go down only (`ARCHITECTURE.md`): vocabulary at the bottom, then machinery,
//! parts without clients, sessions, the dialects, the wiring, the command line.

// Floor 0: vocabulary.
pub mod change;
pub mod claims;
pub mod config;
pub mod cursor;
pub mod error;
pub mod lifecycle;
pub mod live;
pub mod metrics;
pub mod network;
pub mod signal;
pub mod topic;
pub mod trace;

// Floor 1: machinery.
pub mod auth;
pub mod db;
pub mod hub;

// Floor 2: parts without clients.
pub mod chat;
pub mod feed;

// Floor 3: one client.
pub mod session;

// Floor 4: the wires.
pub mod dialects;

// Floor 5: the wiring.
pub mod app;

#[doc(hidden)]
pub mod fuzz;

// Floor 6: the command line.
pub mod cli;
