//! Who is asking: finds the token in a request and turns it into verified claims.
//!
//! The algorithm follows from the configured key, never from the token's header alone. Whether the bearer is still
//! welcome (deactivated, revoked) is the database's business, not this module's.

mod key;
mod key_set;
mod mint;
mod payload;
mod refusal;
pub mod token;
mod verifier;

#[cfg(test)]
mod tests;

pub use mint::mint;
pub use payload::CLOCK_SKEW;
pub use refusal::Refusal;
pub use verifier::Verifier;
