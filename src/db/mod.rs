//! Everything that names Postgres's wire: connections, the pool, TLS, types, migrations, the private cluster.

mod certificate;
pub mod connect;
mod dsn;
#[cfg(unix)]
pub mod embedded;
pub mod error;
pub mod listen;
pub mod migrate;
mod plain;
pub mod pool;
mod tls;
pub mod types;

pub use connect::Target;
pub use plain::plain_row;
pub use pool::{Lease, Pool};
pub use tokio_postgres::Row;
