//! What a verified token says about its bearer.

use serde::Deserialize;

use crate::topic::Topic;

/// The claims of a token whose signature and times have been checked.
///
/// `sub` is a user's uuid or integer id for the chat dialects; `raw` is the whole payload as it was signed,
/// for policies that read `request.jwt.claims`.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Whom the token is about; empty where the token names nobody.
    pub sub: String,
    /// The token's own id, by which it can be revoked.
    pub jti: Option<String>,
    /// The database role, `authenticated` when the token names none.
    pub role: String,
    /// When the token ends, in seconds since 1970.
    pub exp: i64,
    /// When it was issued, in seconds since 1970; 0 when it does not say.
    pub iat: i64,
    /// The topic that tells when it is revoked; none for a token without an id.
    pub revocation: Option<Topic>,
    /// The payload as signed: a JSON object.
    pub raw: Box<serde_json::value::RawValue>,
}

/// The payload's fields that Rowcast itself reads.
#[derive(Debug, Deserialize)]
pub struct Registered {
    /// Subject; a number is accepted, integer ids are common.
    #[serde(default)]
    pub sub: Option<Subject>,
    /// Token id.
    #[serde(default)]
    pub jti: Option<String>,
    /// Role.
    #[serde(default)]
    pub role: Option<String>,
    /// End; fractions are allowed by RFC 7519.
    pub exp: f64,
    /// Start of validity.
    #[serde(default)]
    pub nbf: Option<f64>,
    /// Issue time.
    #[serde(default)]
    pub iat: Option<f64>,
}

/// A subject written as text or as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// The usual form.
    Text(String),
    /// An integer id.
    Number(i64),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}
