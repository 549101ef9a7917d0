//! Everything that names Postgres's wire: connections, the pool, TLS, types, migrations, the private cluster.

mod certificate;
pub mod connect;
mod dsn;
#[cfg(unix)]
pub mod embedded;
pub mod error;
mod gather;
pub mod listen;
pub mod migrate;
mod plain;
pub mod pool;
pub mod pooler;
mod tls;
pub mod types;
mod whole;

pub use connect::Target;
pub use gather::Gather;
pub use plain::{due, plain_row};
pub use pool::{Lease, Pool};
pub use tokio_postgres::Row;
pub use whole::{Prepared, Types};

/// Whether a text can be taken apart as a connection string; nothing that it names is looked at.
pub fn is_dsn(text: &str) -> bool {
    dsn::Dsn::parse(text).is_ok()
}
