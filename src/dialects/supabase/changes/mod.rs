//! postgres_changes: what a channel asked of tables, and how their changes come to it.

mod decimal;
pub mod grammar;
mod inspect;
mod judge;
mod like;
mod row;
mod value;
