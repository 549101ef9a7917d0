//! Finds the credential that a request presents.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, header};

/// What a request presents; prints its kind only.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token to verify; it may be anything at all.
    Token(String),
    /// An opaque session id to look up.
    Session(String),
}

/// Where a credential was found; writes that a cookie authenticates need a CSRF token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `Authorization: Bearer`.
    Header,
    /// The query string.
    Query,
    /// A cookie, which browsers send by themselves.
    Cookie,
}

/// A credential and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// What was presented.
    pub credential: Credential,
    /// Where it was.
    pub source: Source,
}

/// Which places are looked at besides the `Authorization` header.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    /// Names in the query string, the first beats the next.
    pub query: &'static [&'static str],
    /// Names of cookies, the first beats the next.
    pub cookies: &'static [&'static str],
}

impl Sources {
    /// `?token=` and the cookie `session_id`.
    pub const USUAL: Self = Self { query: &["token"], cookies: &["session_id"] };
    /// The header alone.
    pub const HEADER: Self = Self { query: &[], cookies: &[] };
}

/// Finds the credential of a request: header before query before cookie, empty ones ignored.
pub fn presented(headers: &HeaderMap, query: Option<&str>, sources: Sources) -> Option<Presented> {
    if let Some(token) = bearer(headers) {
        return Some(Presented { credential: Credential::Token(token), source: Source::Header });
    }
    let from_query = |name: &&str| query_value(query?, name);
    if let Some(token) = sources.query.iter().find_map(from_query) {
        return Some(Presented { credential: Credential::Token(token), source: Source::Query });
    }
    let value = sources.cookies.iter().find_map(|name| cookie(headers, name))?;
    let credential = match is_token(&value) {
        true => Credential::Token(value),
        false => Credential::Session(value),
    };
    Some(Presented { credential, source: Source::Cookie })
}

/// Finds a cookie that is not empty; quotes around its value do not belong to it.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    lines.map(|line| String::from_utf8_lossy(line.as_bytes())).find_map(|line| {
        line.split(';')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().trim_matches('"'))
            .find(|value| !value.is_empty())
            .map(str::to_owned)
    })
}

/// Finds a query parameter that is not empty, percent-decoded.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| percent_decoded(key) == name)
        .map(|(_, value)| percent_decoded(value).trim().to_owned())
        .find(|value| !value.is_empty())
}

/// Tells a JWT from an opaque session id: three parts, the first a header that can be read.
fn is_token(text: &str) -> bool {
    text.split('.').count() == 3 && jsonwebtoken::decode_header(text).is_ok()
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    headers.get_all(header::AUTHORIZATION).into_iter().find_map(|value| {
        let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
    })
}

/// Decodes `%41` and `+`; an incomplete escape stays as it is.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        decoded.push(match (first, after) {
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high << 4 | low
                }
                _ => first,
            },
            (b'+', _) => b' ',
            _ => first,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Session(_) => "Session(…)",
        })
    }
}
