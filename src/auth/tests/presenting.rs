//! Where credentials are found, and which of several wins.

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};
use proptest::prelude::*;

use super::{
    super::{
        mint,
        token::{Credential, Source, Sources, cookie, presented, query_value},
    },
    *,
};

fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
    pairs.iter().map(|(name, text)| (name.clone(), value(text))).collect()
}

fn found(pairs: &[(http::HeaderName, &str)], query: Option<&str>) -> Option<(Source, Credential)> {
    presented(&headers(pairs), query, Sources::USUAL)
        .map(|presented| (presented.source, presented.credential))
}

fn token(text: &str) -> Credential {
    Credential::Token(text.to_owned())
}

#[test]
fn the_header_beats_the_query_and_the_query_beats_the_cookie() {
    let (auth, jar) = ((AUTHORIZATION, "Bearer h"), (COOKIE, "session_id=c"));
    assert_eq!(
        found(&[auth.clone(), jar.clone()], Some("token=q")),
        Some((Source::Header, token("h")))
    );
    assert_eq!(
        found(std::slice::from_ref(&jar), Some("token=q")),
        Some((Source::Query, token("q")))
    );
    let session = Credential::Session("c".to_owned());
    assert_eq!(found(&[jar], Some("since=1")), Some((Source::Cookie, session)));
    assert_eq!(found(&[], None), None);
}

#[test]
fn empty_and_foreign_credentials_are_ignored() {
    for ignored in ["Bearer ", "Bearer", "Basic dTpw", "", "Bearer\t"] {
        let pair = (AUTHORIZATION, ignored);
        assert_eq!(found(&[pair], Some("token=q")), Some((Source::Query, token("q"))), "{ignored}");
    }
    assert_eq!(found(&[(COOKIE, "session_id=; session_id=\"\"")], Some("token=&token=%20")), None);
    assert_eq!(found(&[(COOKIE, "a=b; xsession_id=1; session_id")], Some("token")), None);
    assert_eq!(found(&[(AUTHORIZATION, "bEARER   x ")], None), Some((Source::Header, token("x"))));
}

#[test]
fn a_cookie_holds_a_token_or_an_opaque_id() {
    let jwt = mint(SECRET, &payload()).unwrap();
    let pair = (COOKIE, &*format!("a=1; session_id={jwt}; b=2"));
    assert_eq!(found(&[pair], None), Some((Source::Cookie, token(&jwt))));
    for opaque in ["f3b0c442", "a.b.c", "s%3Aabc.def", "über"] {
        let jar = [(COOKIE, "other=\u{fc}"), (COOKIE, &*format!("session_id=\"{opaque}\""))];
        let pair = Some((Source::Cookie, Credential::Session(opaque.to_owned())));
        assert_eq!(found(&jar, None), pair, "{opaque}");
    }
}

#[test]
fn query_values_are_percent_decoded() {
    for (query, value) in [
        ("token=a%2Eb%2ec", Some("a.b.c")),
        ("x=1&tok%65n=1", Some("1")),
        ("token=a=b", Some("a=b")),
        ("token=%zz%4", Some("%zz%4")),
        ("token=%+1", Some("% 1")),
        ("token=%FF", Some("\u{fffd}")),
        ("tokens=1&Token=2", None),
        ("", None),
    ] {
        assert_eq!(query_value(query, "token").as_deref(), value, "{query}");
    }
}

#[test]
fn other_places_and_other_names_are_looked_at_on_request_only() {
    let jar = headers(&[(COOKIE, "session_id=c; csrf_token=t")]);
    assert_eq!(presented(&jar, Some("token=q"), Sources::HEADER), None);
    let names = Sources { query: &["apikey", "access_token"], cookies: &[] };
    let presented = presented(&jar, Some("access_token=2&apikey=1"), names).unwrap();
    assert_eq!(presented.credential, token("1"));
    assert_eq!(cookie(&jar, "csrf_token").as_deref(), Some("t"));
}

#[test]
fn credentials_do_not_print() {
    let printed = format!("{:?} {:?}", token("hunter2"), Credential::Session("hunter2".to_owned()));
    assert_eq!(printed, "Token(…) Session(…)");
}

proptest! {
    #[test]
    fn arbitrary_requests_do_not_panic(auth in ".{0,60}", jar in ".{0,80}", query in ".{0,80}") {
        let mut headers = HeaderMap::new();
        for (name, text) in [(AUTHORIZATION, &auth), (COOKIE, &jar)] {
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.insert(name, value);
            }
        }
        let _ = presented(&headers, Some(&query), Sources::USUAL);
        let _ = query_value(&format!("token={query}"), "token");
        let _ = cookie(&headers, "session_id");
    }
}
