//! Which keys accept which algorithms, and that a token cannot choose.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::json;

use super::{super::mint, material::*, *};
use crate::error::Kind;

const PAIRS: [(Algorithm, &str, &str, &str); 6] = [
    (Algorithm::RS256, RSA, RSA_PUBLIC, RSA_OTHER),
    (Algorithm::RS384, RSA, RSA_PUBLIC, RSA_OTHER),
    (Algorithm::RS512, RSA, RSA_PKCS1, RSA_OTHER),
    (Algorithm::ES256, P256, P256_PUBLIC, P256_OTHER),
    (Algorithm::ES384, P384, P384_PUBLIC, P384_OTHER),
    (Algorithm::EdDSA, ED25519, ED25519_PUBLIC, ED25519_OTHER),
];
const HMAC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

async fn assert_invalid(verifier: &Verifier, token: &str) {
    let error = verifier.verify(token).await.unwrap_err();
    assert_eq!((error.kind, error.to_string().as_str()), (Kind::Unauthorized, "Invalid token"));
}

#[tokio::test]
async fn every_algorithm_is_accepted_from_its_own_key_only() {
    for (algorithm, private, public, other) in PAIRS {
        let verifier = verifier(&with_pem(public)).await;
        let claims =
            verifier.verify(&signed(algorithm, private, Some("any"), &payload())).await.unwrap();
        assert_eq!((claims.sub.as_str(), claims.role.as_str()), ("7", "authenticated"));
        assert_invalid(&verifier, &signed(algorithm, other, None, &payload())).await;
    }
    let verifier = verifier(&with_secret()).await;
    for algorithm in HMAC {
        verifier.verify(&signed(algorithm, SECRET, None, &payload())).await.unwrap();
        assert_invalid(&verifier, &signed(algorithm, &format!("{SECRET}?"), None, &payload()))
            .await;
    }
}

#[tokio::test]
async fn a_public_key_is_never_a_shared_secret() {
    for (_, _, public, _) in PAIRS {
        let verifier = verifier(&with_pem(public)).await;
        for algorithm in HMAC {
            for secret in [public, public.trim()] {
                assert_invalid(&verifier, &signed(algorithm, secret, None, &payload())).await;
            }
        }
    }
}

#[tokio::test]
async fn a_key_of_one_kind_does_not_serve_another() {
    for (_, own, public, _) in PAIRS {
        let verifier = verifier(&with_pem(public)).await;
        for (algorithm, private, ..) in PAIRS {
            let token = signed(algorithm, private, None, &payload());
            assert_eq!(verifier.verify(&token).await.is_ok(), private == own, "{algorithm:?}");
        }
    }
    let verifier = verifier(&with_pem(RSA_PUBLIC)).await;
    assert_invalid(&verifier, &signed(Algorithm::PS256, RSA, None, &payload())).await;
}

#[tokio::test]
async fn unsigned_and_tampered_tokens_are_refused() {
    let verifier = verifier(&with_secret()).await;
    let good = mint(SECRET, &payload()).unwrap();
    verifier.verify(&good).await.unwrap();

    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let forged = encode(&json!({ "sub": "1", "role": "service_role", "exp": soon() }));
    for alg in ["none", "None", "NONE", "", "HS257"] {
        let header = encode(&json!({ "alg": alg, "typ": "JWT" }));
        assert_invalid(&verifier, &format!("{header}.{forged}.")).await;
        assert_invalid(&verifier, &format!("{header}.{}.{}", parts[1], parts[2])).await;
    }
    let critical = encode(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }));
    for wrong in [
        format!("{}.{forged}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}="),
        format!("{good}.{}", parts[2]),
        format!("{critical}.{}.{}", parts[1], parts[2]),
        good.to_uppercase(),
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ] {
        assert_invalid(&verifier, &wrong).await;
    }
}

#[tokio::test]
async fn a_token_longer_than_the_limit_is_not_looked_at() {
    let verifier = verifier(&with_secret()).await;
    let padded = |length| json!({ "exp": soon(), "pad": "x".repeat(length) });
    verifier.verify(&mint(SECRET, &padded(12_000)).unwrap()).await.unwrap();
    assert_invalid(&verifier, &mint(SECRET, &padded(12_400)).unwrap()).await;
}

#[tokio::test]
async fn a_secret_and_a_public_key_serve_side_by_side() {
    let verifier =
        verifier(&Auth { jwt_public_key: Some(P256_PUBLIC.to_owned()), ..with_secret() }).await;
    verifier.verify(&signed(Algorithm::ES256, P256, None, &payload())).await.unwrap();
    verifier.verify(&signed(Algorithm::HS256, SECRET, Some("id"), &payload())).await.unwrap();
}

#[tokio::test]
async fn a_public_key_is_read_from_a_file_and_from_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    std::fs::write(&path, ED25519_PUBLIC).unwrap();
    let one_line = ED25519_PUBLIC.replace('\n', "\\n");
    for setting in [path.to_str().unwrap(), one_line.as_str()] {
        let token = signed(Algorithm::EdDSA, ED25519, None, &payload());
        verifier(&with_pem(setting)).await.verify(&token).await.unwrap();
    }
}

#[tokio::test]
async fn unusable_keys_are_refused_at_start_with_what_to_do() {
    let secret = |text: &str| Auth { jwt_secret: Some(Secret::new(text)), ..nothing() };
    let jwks = |place: &str| Auth { jwks: Some(place.to_owned()), ..nothing() };
    let two = format!("{P256_PUBLIC}{P384_PUBLIC}");
    let damaged = P256_PUBLIC.replace("MFkw", "!!!!");
    for (config, hint) in [
        (nothing(), "set ROWCAST_JWT_SECRET, ROWCAST_JWT_PUBLIC_KEY or ROWCAST_JWKS"),
        (Auth { jwks: Some(" ".to_owned()), ..secret("") }, "No key"),
        (secret("31-characters-are-not-enough..."), "32 characters"),
        (secret(RSA_PUBLIC), "ROWCAST_JWT_PUBLIC_KEY"),
        (with_pem(RSA), "private key"),
        (with_pem(RSA_1024_PUBLIC), "2048 bits"),
        (with_pem(SECP256K1_PUBLIC), "P-256"),
        (with_pem(&two), "not exactly one"),
        (with_pem(&damaged), "damaged"),
        (with_pem(&RSA_PUBLIC.replace("PUBLIC KEY", "CERTIFICATE")), "certificate"),
        (with_pem("no/such/file.pem"), "neither a PEM nor a readable file"),
        (jwks("no/such/file.json"), "no key set"),
        (jwks("http://"), "not a valid URL"),
    ] {
        let refusal = refusal(&config).await;
        assert!(refusal.contains(hint), "`{refusal}` does not say `{hint}`");
    }
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let config = Auth { jwt_public_key: Some(P256_PUBLIC.to_owned()), ..with_secret() };
    let printed = format!("{:?}", verifier(&config).await);
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(printed.contains("HS256") && printed.contains("ES256"), "{printed}");
    assert!(!printed.contains(SECRET) && !printed.contains(&bytes), "{printed}");
}

#[test]
fn minting_wants_a_usable_secret_and_an_object() {
    assert!(mint("short", &payload()).is_err());
    assert!(mint(SECRET, &json!(["sub"])).is_err());
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_panicking(text in ".{0,200}", parts in "[A-Za-z0-9_=-]{0,40}(\\.[A-Za-z0-9_=-]{0,40}){0,4}") {
        use futures_util::FutureExt;
        let config = Auth { jwt_public_key: Some(RSA_PUBLIC.to_owned()), ..with_secret() };
        let verifier = Verifier::from_config(&config).now_or_never().unwrap().unwrap();
        for token in [&text, &parts] {
            prop_assert!(verifier.verify(token).now_or_never().unwrap().is_err());
        }
    }

    #[test]
    fn an_arbitrary_header_and_payload_do_not_panic(header in ".{0,80}", body in "\\PC{0,80}") {
        use futures_util::FutureExt;
        let verifier = Verifier::from_config(&with_secret()).now_or_never().unwrap().unwrap();
        let token = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&body));
        prop_assert!(verifier.verify(&token).now_or_never().unwrap().is_err());
        prop_assert!(verifier.read(&body, 0).is_err());
    }
}
