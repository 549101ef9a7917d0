//! What payloads must say, to the second.

use serde_json::json;

use super::{
    super::{CLOCK_SKEW, mint},
    *,
};
use crate::{claims::Claims, error::Result};

const NOW: i64 = 1_800_000_000;

async fn read_by(config: &Auth, payload: &str) -> Result<Claims> {
    verifier(config).await.read(payload, NOW)
}

async fn read(payload: &str) -> Result<Claims> {
    read_by(&with_secret(), payload).await
}

async fn refused(payload: Value) -> String {
    read(&payload.to_string()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_token_ends_at_exp_give_or_take_the_skew() {
    let last = read(&json!({ "exp": NOW - CLOCK_SKEW + 1 }).to_string()).await.unwrap();
    assert_eq!(last.exp, NOW - CLOCK_SKEW + 1);
    assert_eq!(refused(json!({ "exp": NOW - CLOCK_SKEW })).await, "Token expired");
    assert_eq!(refused(json!({ "exp": -1 })).await, "Token expired");
    assert_eq!(refused(json!({ "exp": -1e300 })).await, "Token expired");
}

#[tokio::test]
async fn a_token_begins_at_nbf_and_iat_give_or_take_the_skew() {
    for name in ["nbf", "iat"] {
        let at = |begin: i64| json!({ "exp": NOW + 60, name: begin });
        read(&at(NOW + CLOCK_SKEW).to_string()).await.unwrap();
        assert_eq!(refused(at(NOW + CLOCK_SKEW + 1)).await, "Token is not valid yet");
    }
}

#[tokio::test]
async fn times_are_cut_to_seconds_and_to_what_a_database_can_hold() {
    let claims = read(r#"{"exp":1800000100.9,"iat":1799999999.9}"#).await.unwrap();
    assert_eq!((claims.exp, claims.iat), (1_800_000_100, 1_799_999_999));
    let claims = read(r#"{"exp":1e300,"iat":-1e300}"#).await.unwrap();
    assert_eq!((claims.exp, claims.iat), (253_370_764_800, 0));
    jiff::Timestamp::from_second(claims.exp).unwrap();
}

#[tokio::test]
async fn exp_is_required_and_claims_have_their_types() {
    for wrong in [
        r#"{"sub":"7"}"#,
        r#"{"exp":null}"#,
        r#"{"exp":"1800000100"}"#,
        r#"{"exp":1800000100,"sub":{"id":7}}"#,
        r#"{"exp":1800000100,"sub":1.5}"#,
        r#"{"exp":1800000100,"sub":"7\u0000"}"#,
        r#"{"exp":1800000100,"role":["admin"]}"#,
        r#"{"exp":1800000100,"exp":1900000000}"#,
        r#"{"exp":1800000100,"sub":"1","sub":"2"}"#,
        r#"["7",null,null,1800000100.0]"#,
        r#"{"exp":1e999}"#,
        r#"{"exp":1800000100"#,
        "null",
        "",
    ] {
        assert_eq!(read(wrong).await.unwrap_err().to_string(), "Invalid token", "{wrong}");
    }
    let deep = format!(r#"{{"exp":1800000100,"a":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(read(&deep).await.unwrap_err().to_string(), "Invalid token");
}

#[tokio::test]
async fn the_payload_is_kept_as_it_was_signed() {
    let text = r#"{ "exp": 1.8000001e9, "sub": 42, "b":1, "a":"ü\u00fc", "a": 2, "role":"", "aud": "authenticated" }"#;
    let claims = read(text).await.unwrap();
    assert_eq!(claims.raw.get(), text);
    assert_eq!((claims.sub.as_str(), claims.role.as_str()), ("42", "authenticated"));
    assert_eq!((claims.jti, claims.iat), (None, 0));

    let claims = read(r#"{"exp":1800000100,"sub":null,"jti":"j","role":"anon"}"#).await.unwrap();
    assert_eq!((claims.sub.as_str(), claims.role.as_str()), ("", "anon"));
    assert_eq!(claims.jti.as_deref(), Some("j"));
}

#[tokio::test]
async fn issuer_and_audience_are_checked_when_configured() {
    let strict = Auth {
        jwt_issuer: Some("https://issuer.example".to_owned()),
        jwt_audience: Some("chat".to_owned()),
        ..with_secret()
    };
    let say = |iss: Value, aud: Value| json!({ "exp": NOW + 60, "iss": iss, "aud": aud });
    let issuer = json!("https://issuer.example");
    for aud in [json!("chat"), json!(["mail", "chat"])] {
        read_by(&strict, &say(issuer.clone(), aud).to_string()).await.unwrap();
    }
    for aud in [json!("mail"), json!(["mail"]), json!([]), json!(null), json!([["chat"]])] {
        let refusal = read_by(&strict, &say(issuer.clone(), aud).to_string()).await.unwrap_err();
        assert_eq!(refusal.to_string(), "Token is for another audience");
    }
    for iss in [json!("https://issuer.example/"), json!(["https://issuer.example"]), json!(null)] {
        let refusal = read_by(&strict, &say(iss, json!("chat")).to_string()).await.unwrap_err();
        assert_eq!(refusal.to_string(), "Token is from another issuer");
    }
    // Unset, or set to nothing, they are not looked at.
    let lax = Auth { jwt_audience: Some(String::new()), ..with_secret() };
    read_by(&lax, &say(json!(7), json!({ "any": "thing" })).to_string()).await.unwrap();
}

#[tokio::test]
async fn a_minted_token_is_good_until_it_ends() {
    let verifier = verifier(&with_secret()).await;
    verifier.verify(&mint(SECRET, &payload()).unwrap()).await.unwrap();
    let ended = mint(SECRET, &json!({ "exp": soon() - 7_200 })).unwrap();
    assert_eq!(verifier.verify(&ended).await.unwrap_err().to_string(), "Token expired");
}
