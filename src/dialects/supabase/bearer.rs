//! Who asks: a token, or one of the two opaque keys, and the exact words in which each is refused.

use std::sync::Arc;

use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{
    auth::Refusal,
    claims::Claims,
    config::Secret,
    error::{Error, Kind},
    session::{Services, permit::Subject},
};

/// The end of what does not end: the year 9999.
const NEVER: i64 = 253_370_764_800;
/// What opaque keys begin with.
const OPAQUE: &str = "sb_";

/// A verified token.
#[derive(Clone)]
pub(super) struct Bearer {
    /// What it says.
    pub(super) claims: Arc<Claims>,
    /// Who asks of the database.
    subject: Subject,
    /// The token itself, to know it again.
    token: Arc<str>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is no key at all.
    NoKey,
    /// It has no role, or no end.
    Fields,
    /// It is refused.
    Token(Refusal),
    /// It was taken back.
    Revoked,
    /// Nobody could be asked whether it was taken back.
    Away,
}

impl Bearer {
    /// Verifies a token or a key.
    pub(super) async fn verify(services: &Services, presented: &str) -> Result<Self, Denied> {
        let token = cleaned(presented);
        if let Some(role) = role_of(services, &token) {
            return Ok(Self::new(bare(role), &token));
        }
        let claims = services.verifier.examine(&token).await.map_err(Denied::Token)?;
        let named: Named = serde_json::from_str(claims.raw.get()).unwrap_or_default();
        if named.role.is_none_or(|role| role.is_empty()) {
            return Err(Denied::Fields);
        }
        let bearer = Self::new(claims, &token);
        bearer.stands(services).await.map(|()| bearer)
    }

    /// Looks whether the token was revoked meanwhile.
    pub(super) async fn stands(&self, services: &Services) -> Result<(), Denied> {
        match services.chat.is_revoked(&self.claims).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Denied::Revoked),
            Err(error) => {
                error.log("asking whether a token was revoked");
                Err(Denied::Away)
            }
        }
    }

    fn new(claims: Claims, token: &str) -> Self {
        let subject = Subject::new(&claims);
        Self { claims: Arc::new(claims), subject, token: token.into() }
    }

    /// Who asks of the database.
    pub(super) fn subject(&self) -> Subject {
        self.subject.clone()
    }

    /// Whether it is this token.
    pub(super) fn is(&self, presented: &str) -> bool {
        *self.token == *cleaned(presented)
    }

    /// Whether it is the same token.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.token == other.token
    }

    /// Whether it may do everything.
    pub(super) fn is_service(&self) -> bool {
        self.claims.role == "service_role"
    }

    /// A number that stands for whom it is about.
    pub(super) fn key(&self) -> i64 {
        let mut hash = Sha256::new();
        hash.update(self.claims.role.as_bytes());
        hash.update([0]);
        hash.update(self.claims.sub.as_bytes());
        let digest = hash.finalize();
        digest.iter().take(8).fold(0, |key, byte| key << 8 | i64::from(*byte))
    }
}

impl Denied {
    /// The refusal of a handshake.
    pub(super) fn at_the_door(&self) -> Error {
        match self {
            Self::NoKey => Error::unauthorized("API key is missing"),
            Self::Token(Refusal::Expired(_)) => Error::unauthorized("Token has expired"),
            Self::Away => Error::new(Kind::Unavailable, self.words()),
            other => Error::unauthorized(other.words()),
        }
    }

    /// The reason for a join that is refused.
    pub(super) fn reason(&self) -> String {
        let code = match self {
            Self::Token(Refusal::Malformed(_)) => "MalformedJWT",
            Self::Token(Refusal::Unsigned) => "JwtSignatureError",
            Self::Token(Refusal::UnknownKey(_) | Refusal::NoKeys) => "JwtSignerError",
            Self::Away => "UnableToConnectToProject",
            _ => "InvalidJWTToken",
        };
        format!("{code}: {}", self.words())
    }

    /// The words for a channel that ends.
    pub(super) fn words(&self) -> String {
        let refusal = match self {
            Self::NoKey => return "API key is missing".to_owned(),
            Self::Revoked => return "Token has been revoked".to_owned(),
            Self::Away => {
                return "Realtime was unable to connect to the project database".to_owned();
            }
            Self::Fields | Self::Token(Refusal::NoEnd) => {
                return "Fields `role` and `exp` are required in JWT".to_owned();
            }
            Self::Token(refusal) => refusal,
        };
        match refusal {
            Refusal::Expired(seconds) => format!("Token has expired {seconds} seconds ago"),
            Refusal::OddEnd => "Token expiration time is invalid".to_owned(),
            Refusal::Unsigned => "Failed to validate JWT signature".to_owned(),
            Refusal::UnknownKey(id) => format!(
                "Failed to generate JWT signer for key ID (kid) {id:?}, check your JWT secret or JWKS configuration"
            ),
            Refusal::NoKeys => {
                "Failed to generate JWT signer, check your JWT secret or JWKS configuration"
                    .to_owned()
            }
            Refusal::Early => "Token is not valid yet".to_owned(),
            Refusal::Issuer => "Token is from another issuer".to_owned(),
            Refusal::Audience => "Token is for another audience".to_owned(),
            Refusal::Malformed(_) | Refusal::NoEnd => {
                "The token provided is not a valid JWT".to_owned()
            }
        }
    }
}

/// The key of a socket's handshake: the header of a gateway before the client's parameter.
pub(super) fn of_socket(headers: &HeaderMap, parameter: Option<String>) -> Option<String> {
    header(headers, "x-api-key").or(parameter).filter(|key| !key.is_empty())
}

/// The key or token of a request. An opaque key as bearer is what clients without a user send.
pub(super) fn of_request(headers: &HeaderMap, parameter: Option<String>) -> Option<String> {
    let bearer = header(headers, "authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    bearer
        .filter(|token| !token.is_empty() && !is_opaque(token))
        .or_else(|| header(headers, "apikey"))
        .or_else(|| header(headers, "x-api-key"))
        .or(parameter)
        .filter(|key| !key.is_empty())
}

/// Whether it is an opaque key, which says nothing about a user.
pub(super) fn is_opaque(token: &str) -> bool {
    token.starts_with(OPAQUE)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|value| value.trim().to_owned())
}

/// The role that an opaque key stands for.
fn role_of(services: &Services, key: &str) -> Option<&'static str> {
    let settings = services.settings.now();
    let settings = &settings.supabase;
    let is = |configured: &Option<Secret>| {
        let configured = configured.as_ref().filter(|secret| !secret.is_empty());
        // Compared by their hashes: how long that takes says nothing about the key.
        configured.is_some_and(|secret| {
            Sha256::digest(secret.reveal().as_bytes()) == Sha256::digest(key.as_bytes())
        })
    };
    match () {
        () if is(&settings.secret_key) => Some("service_role"),
        () if is(&settings.publishable_key) => Some("anon"),
        () => None,
    }
}

/// What an opaque key says.
fn bare(role: &str) -> Claims {
    let raw = RawValue::from_string(format!(r#"{{"role":"{role}"}}"#)).unwrap_or_default();
    Claims {
        sub: String::new(),
        jti: None,
        role: role.to_owned(),
        exp: NEVER,
        iat: 0,
        revocation: None,
        raw,
    }
}

/// A token as clients write it: escaped for a URL, broken into lines.
fn cleaned(token: &str) -> String {
    let token: String = token.split_ascii_whitespace().collect();
    if !token.contains('%') {
        return token;
    }
    // `+` is no part of a token, so a form's decoding is a URL's.
    form_urlencoded::parse(format!("t={}", token.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.split_ascii_whitespace().collect())
        .unwrap_or_default()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    role: Option<String>,
}
