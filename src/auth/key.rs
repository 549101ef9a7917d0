//! One key that verifies tokens, with the algorithms that it may be used for.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, crypto,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};

use crate::error::{Error, Result};

/// Shortest shared secret, in characters: HS256 wants as many bytes as its hash has.
const SHORTEST_SECRET: usize = 32;
/// Shortest RSA modulus that the cryptography takes, in bytes: 2,048 bits.
const SHORTEST_MODULUS: usize = 256;
/// Length of the DER of a 2,048-bit RSA key without any wrapping; anything shorter holds a weaker key.
const SHORTEST_RSA_DER: usize = 270;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];
const RSA_PSS: &[Algorithm] = &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

/// Object identifiers of the curves, as they stand in a PEM's DER.
const P256_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384_OID: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// A key and what it is good for; prints neither itself nor anything secret.
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Key {
    /// Takes a shared secret: HS256, HS384, HS512.
    pub(super) fn from_secret(secret: &str) -> Result<Self> {
        check_secret(secret)?;
        Ok(Self::new(HMAC, DecodingKey::from_secret(secret.as_bytes())))
    }

    /// Takes one public key in PEM; line breaks may be written `\n`, as environment files do.
    pub(super) fn from_pem(text: &str) -> Result<Self> {
        let text = text.replace("\\n", "\n");
        if text.contains("PRIVATE KEY-----") {
            return Err(wrong_pem("that is a private key, which no verifier should hold"));
        }
        if text.matches("-----BEGIN ").count() != 1 {
            return Err(wrong_pem("it holds not exactly one key; for several use ROWCAST_JWKS"));
        }
        if !text.contains("PUBLIC KEY-----") {
            return Err(wrong_pem("that is no public key (of a certificate, give the key alone)"));
        }
        let der = der(&text).ok_or_else(|| wrong_pem("it is damaged"))?;
        let holds = |oid: &[u8]| der.windows(oid.len()).any(|window| window == oid);
        let pem = text.as_bytes();
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            return match der.len() < SHORTEST_RSA_DER {
                true => Err(wrong_pem("an RSA key needs 2048 bits at least")),
                false => Ok(Self::new(RSA, key)),
            };
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            return match () {
                () if holds(P256_OID) => Ok(Self::new(P256, key)),
                () if holds(P384_OID) => Ok(Self::new(P384, key)),
                () => Err(wrong_pem("of the elliptic curves P-256 and P-384 are supported")),
            };
        }
        DecodingKey::from_ed_pem(pem)
            .map(|key| Self::new(ED25519, key))
            .map_err(|_| wrong_pem("RSA, EC P-256, EC P-384 and Ed25519 are supported"))
    }

    /// Takes a key of a published set, or says why it is not used.
    pub(super) fn from_jwk(jwk: &Jwk) -> Result<Self, &'static str> {
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err("it is not for signatures");
        }
        if jwk.common.key_operations.as_ref().is_some_and(|of| !of.contains(&KeyOperations::Verify))
        {
            return Err("it is not for verifying");
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| "its kind is unknown or it is damaged")?;
        let fitting: Vec<Algorithm> = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => match key.kind() {
                DecodingKeyKind::RsaModulusExponent { n, .. } if n.len() < SHORTEST_MODULUS => {
                    return Err("an RSA key needs 2048 bits at least");
                }
                _ => [RSA, RSA_PSS].concat(),
            },
            AlgorithmParameters::EllipticCurve(with) => match with.curve {
                EllipticCurve::P256 => P256.to_vec(),
                EllipticCurve::P384 => P384.to_vec(),
                _ => return Err("its curve is not supported"),
            },
            AlgorithmParameters::OctetKeyPair(with) if with.curve == EllipticCurve::Ed25519 => {
                ED25519.to_vec()
            }
            AlgorithmParameters::OctetKey(_) => return Err("a published secret is no secret"),
            _ => return Err("its kind is not supported"),
        };
        let algorithms = match jwk.common.key_algorithm {
            None => fitting.into_iter().filter(|algorithm| !RSA_PSS.contains(algorithm)).collect(),
            Some(named) => match Algorithm::try_from(named) {
                Ok(algorithm) if fitting.contains(&algorithm) => vec![algorithm],
                _ => return Err("its alg does not fit its kind"),
            },
        };
        Ok(Self { id: jwk.common.key_id.clone(), algorithms, key })
    }

    /// The id by which tokens name it, if it has one.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it may be used for such a token, and the signature is its.
    ///
    /// A key without an id is tried for every token, and every key for a token that names none.
    pub(super) fn verifies(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &str,
        signature: &str,
    ) -> bool {
        let meant = self.id().is_none_or(|own| id.is_none_or(|named| named == own));
        meant
            && self.algorithms.contains(&algorithm)
            && crypto::verify(signature, message.as_bytes(), &self.key, algorithm).unwrap_or(false)
    }

    fn new(algorithms: &[Algorithm], key: DecodingKey) -> Self {
        Self { id: None, algorithms: algorithms.to_vec(), key }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// Refuses a shared secret that can be guessed, or that is no secret at all.
pub(super) fn check_secret(secret: &str) -> Result<()> {
    if secret.contains("-----BEGIN ") {
        return Err(Error::malformed(
            "ROWCAST_JWT_SECRET is a shared secret; a public key in PEM goes to ROWCAST_JWT_PUBLIC_KEY",
        ));
    }
    if secret.chars().count() < SHORTEST_SECRET {
        return Err(Error::malformed(
            "ROWCAST_JWT_SECRET is too short; use 32 characters at least, such as `openssl rand -base64 32` prints",
        ));
    }
    Ok(())
}

/// Decodes what stands between a PEM's first and last line.
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (_, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

fn wrong_pem(why: &'static str) -> Error {
    Error::malformed(format!("ROWCAST_JWT_PUBLIC_KEY is not usable: {why}"))
}
