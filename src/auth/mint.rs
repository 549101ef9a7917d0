//! Signs tokens, for the command line and for development.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::Value;

use super::key::check_secret;
use crate::error::{Error, Result};

/// Signs a payload with HS256; a secret that `Verifier` would refuse is refused here, too.
pub fn mint(secret: &str, payload: &Value) -> Result<String> {
    check_secret(secret)?;
    if !payload.is_object() {
        return Err(Error::malformed("A token's payload is a JSON object"));
    }
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), payload, &key).map_err(Error::internal)
}
