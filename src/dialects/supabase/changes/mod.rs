//! postgres_changes: what a channel asked of tables, and how their changes come to it.
//!
//! A join's entries are parsed (`wish`, `grammar`), their tables found and their values cast by the database (`places`,
//! `watch`); changes come through a follower, from a cursor or live, and are sifted by filters and rights (`sift`,
//! `judge`), and written once for all who see the same of them (`payload`).

mod channel;
mod decimal;
pub mod grammar;
mod inspect;
pub mod judge;
mod like;
mod options;
mod payload;
mod places;
mod row;
mod sift;
mod tables;
mod value;
mod watch;
pub mod wish;

pub use channel::{Changes, Opened, Said, Source};
pub use options::{From, Options};
pub use payload::Payload;
