//! What all tests of tokens share: configurations, payloads and signing.

mod algorithms;
mod material;
mod payloads;
mod presenting;
mod published;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::Verifier;
use crate::config::{Auth, Secret};

const SECRET: &str = "a-secret-that-only-these-tests-know";

fn nothing() -> Auth {
    Auth {
        jwt_secret: None,
        jwt_public_key: None,
        jwks: None,
        jwt_issuer: None,
        jwt_audience: None,
    }
}

fn with_secret() -> Auth {
    Auth { jwt_secret: Some(Secret::new(SECRET)), ..nothing() }
}

fn with_pem(pem: &str) -> Auth {
    Auth { jwt_public_key: Some(pem.to_owned()), ..nothing() }
}

async fn verifier(config: &Auth) -> Verifier {
    Verifier::from_config(config).await.unwrap()
}

/// Says why a configuration is refused.
async fn refusal(config: &Auth) -> String {
    Verifier::from_config(config).await.unwrap_err().to_string()
}

fn soon() -> i64 {
    jiff::Timestamp::now().as_second() + 3_600
}

fn payload() -> Value {
    json!({ "sub": "7", "exp": soon() })
}

fn signing_key(algorithm: Algorithm, pem: &str) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            Ok(EncodingKey::from_secret(pem.as_bytes()))
        }
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    }
    .unwrap()
}

fn signed(algorithm: Algorithm, key: &str, id: Option<&str>, payload: &Value) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, payload, &signing_key(algorithm, key)).unwrap()
}
