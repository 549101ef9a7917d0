//! Permits against a real database: what roles may see of tables, and what subjects may see of changes.

mod channels;
mod sight;
mod tables;

use rowcast::{
    claims::Claims,
    session::{Permit, permit::Subject},
};
use serde_json::{Value, json, value::RawValue};

use crate::harness::Database;

/// A database with a role `authenticated`, and the one who asks it.
async fn start() -> (Database, Permit) {
    let database = Database::new().await;
    let permit = Permit::start(database.pool(), database.lifecycle());
    (database, permit)
}

/// A subject with claims of its own.
fn subject(role: &str, claims: Value) -> Subject {
    let sub = claims["sub"].as_str().unwrap_or_default().to_owned();
    Subject::new(&Claims {
        sub,
        jti: None,
        role: role.to_owned(),
        exp: i64::MAX,
        iat: 0,
        revocation: None,
        raw: RawValue::from_string(claims.to_string()).expect("JSON"),
    })
}

/// A subject of the role `authenticated`.
fn user(sub: &str) -> Subject {
    subject("authenticated", json!({ "sub": sub, "role": "authenticated" }))
}
