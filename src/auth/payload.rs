//! What a token says: its payload, read after its signature has been checked.

use serde_json::{Map, Value, value::RawValue};

use super::Refusal;
use crate::{
    claims::{Claims, Registered},
    topic::Topic,
};

/// How far a client's or issuer's clock may be off when a token is first shown, in seconds.
pub const CLOCK_SKEW: i64 = 5;

/// Start of the year 9999: later times do not fit a timestamp or a timer everywhere.
const END_OF_TIME: i64 = 253_370_764_800;
/// The role of a token that names none.
const DEFAULT_ROLE: &str = "authenticated";

/// What every token has to say, beyond its times.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Value of `iss`.
    pub(super) issuer: Option<String>,
    /// Value of `aud`, or one of its values.
    pub(super) audience: Option<String>,
}

/// Reads a payload as of a time, in seconds since 1970.
pub(super) fn read(payload: &str, expected: &Expected, now: i64) -> Result<Claims, Refusal> {
    // Both are needed: the map holds the nesting limit and that it is an object, the struct refuses duplicates.
    let fields: Map<String, Value> = serde_json::from_str(payload).map_err(malformed)?;
    match fields.get("exp") {
        None | Some(Value::Null) => return Err(Refusal::NoEnd),
        Some(Value::Number(_)) => {}
        Some(_) => return Err(Refusal::OddEnd),
    }
    let registered: Registered = serde_json::from_str(payload).map_err(malformed)?;
    let raw = RawValue::from_string(payload.to_owned()).map_err(malformed)?;

    let (exp, iat) = (whole(registered.exp), registered.iat.map(whole));
    if now >= exp.saturating_add(CLOCK_SKEW) {
        return Err(Refusal::Expired(now.saturating_sub(exp)));
    }
    let begins = registered.nbf.map(whole).max(iat);
    if begins.is_some_and(|begins| now.saturating_add(CLOCK_SKEW) < begins) {
        return Err(Refusal::Early);
    }
    let says = |name: &str, wanted: &Option<String>| {
        wanted.as_deref().is_none_or(|wanted| match fields.get(name) {
            Some(Value::String(said)) => said == wanted,
            Some(Value::Array(said)) => name == "aud" && said.iter().any(|said| said == wanted),
            _ => false,
        })
    };
    if !says("iss", &expected.issuer) {
        return Err(Refusal::Issuer);
    }
    if !says("aud", &expected.audience) {
        return Err(Refusal::Audience);
    }

    // A token that could not be told of its revocation on a live socket is not let in at all.
    let revocation = registered.jti.as_deref().map(|jti| Topic::token(jti).ok_or(jti));
    let Ok(revocation) = revocation.transpose() else {
        return Err(Refusal::Malformed("its id is no topic"));
    };
    let claims = Claims {
        revocation,
        sub: registered.sub.map(|sub| sub.to_string()).unwrap_or_default(),
        jti: registered.jti,
        role: registered
            .role
            .filter(|role| !role.is_empty())
            .unwrap_or_else(|| DEFAULT_ROLE.to_owned()),
        exp: exp.min(END_OF_TIME),
        iat: iat.unwrap_or(0).max(0),
        raw,
    };
    // No text of Postgres can hold a NUL.
    let texts = [Some(&claims.sub), claims.jti.as_ref(), Some(&claims.role)];
    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(Refusal::Malformed("it holds a NUL"));
    }
    Ok(claims)
}

/// Cuts a time to whole seconds; what does not fit becomes the nearest that does.
fn whole(seconds: f64) -> i64 {
    seconds.floor() as i64
}

fn malformed(_: serde_json::Error) -> Refusal {
    Refusal::Malformed("no payload that can be read")
}
