//! Who asks: a role of the database, and the claims as they were signed.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::claims::Claims;

/// A role and the claims of a token; a cheap handle that compares by both.
#[derive(Clone)]
pub struct Subject(Arc<Inner>);

struct Inner {
    role: String,
    sub: String,
    claims: String,
}

impl Subject {
    /// Whom these claims speak of.
    pub fn new(claims: &Claims) -> Self {
        Self(Arc::new(Inner {
            role: claims.role.clone(),
            sub: claims.sub.clone(),
            claims: claims.raw.get().to_owned(),
        }))
    }

    /// The role of the database.
    pub fn role(&self) -> &str {
        &self.0.role
    }

    /// Whom the token is about; empty where it names nobody.
    pub(super) fn sub(&self) -> &str {
        &self.0.sub
    }

    /// The payload as signed: a JSON object.
    pub fn claims(&self) -> &str {
        &self.0.claims
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.role == other.0.role && self.0.claims == other.0.claims)
    }
}

impl Eq for Subject {}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.role.hash(state);
        self.0.claims.hash(state);
    }
}

/// Claims name people: a log gets the role only.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.0.role).finish()
    }
}
