//! postgres_changes: what a channel asked of tables, and how their changes come to it.

pub mod grammar;
mod inspect;
pub mod terms;
