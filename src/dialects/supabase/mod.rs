//! The `supabase` dialect: what Supabase Realtime's clients speak.

pub mod changes;
