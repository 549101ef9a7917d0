//! What tests stand on: a private Postgres, a database of one's own, the real binary.

pub(crate) mod app;
mod cluster;
mod database;
pub(crate) mod io;

pub(crate) use self::{
    cluster::{cluster, private_cluster},
    database::Database,
};

/// The real program.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_rowcast")
}
