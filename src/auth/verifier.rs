//! Verifies tokens: a signature by one of the configured keys, then the claims.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{AlgorithmFamily, Header};

use super::{
    Refusal,
    key::Key,
    key_set::KeySet,
    payload::{self, Expected},
};
use crate::{
    claims::Claims,
    config,
    error::{Error, Kind, Result},
    live::Live,
};

/// Longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Largest key file that is read, in bytes.
const LARGEST_PEM: u64 = 64 * 1024;

/// A cheap handle to the keys and what tokens must say; clones share one state.
#[derive(Clone)]
pub struct Verifier {
    shared: Live<Shared>,
}

struct Shared {
    fixed: Vec<Key>,
    set: Option<Arc<KeySet>>,
    expected: Expected,
}

impl Verifier {
    /// Reads the configured keys; an empty setting counts as none.
    ///
    /// A key set at a URL that does not answer is no error: its tokens are refused with `Unavailable`
    /// until `keep_fresh` has fetched it.
    pub async fn from_config(config: &config::Auth) -> Result<Self> {
        Ok(Self { shared: Live::new(Shared::read(config).await?) })
    }

    /// Reads the keys again, from settings that may be others; `put_in` takes them over.
    ///
    /// A key set at a URL that does not answer stays what it was. An error when there was none from there.
    pub async fn again(&self, config: &config::Auth) -> Result<Self> {
        let mut fresh = Shared::read(config).await?;
        if let Some(set) = fresh.set.take_if(|set| set.keys().is_none()) {
            let before = self.shared.now().set.clone();
            fresh.set = Some(before.filter(|before| before.is_of(&set)).ok_or_else(|| {
                Error::new(Kind::Unavailable, "ROWCAST_JWKS does not answer with a key set")
            })?);
        }
        Ok(Self { shared: Live::new(fresh) })
    }

    /// Verifies as another one does from here on.
    pub fn put_in(&self, other: &Self) {
        self.shared.share(&other.shared);
    }

    /// Whether there is a key to verify with now: a key set at a URL may not have been fetched yet, or be empty.
    pub fn has_keys(&self) -> bool {
        let shared = self.shared.now();
        let set = shared.set.as_ref().and_then(|set| set.keys());
        !shared.fixed.is_empty() || set.is_some_and(|keys| !keys.is_empty())
    }

    /// Checks signature, times, issuer and audience of a token.
    ///
    /// `Unauthorized` with a short message, or `Unavailable` while the keys it needs could never be fetched.
    pub async fn verify(&self, token: &str) -> Result<Claims> {
        Ok(self.examine(token).await?)
    }

    /// The same, for a dialect that says in words of its own why a token is refused.
    pub async fn examine(&self, token: &str) -> Result<Claims, Refusal> {
        let shared = self.shared.now();
        let payload = shared.signed_payload(token).await?;
        let now = jiff::Timestamp::now().as_second();
        payload::read(&payload, &shared.expected, now)
    }

    /// Keeps the key set of now up to date, for as long as it is run.
    pub async fn keep_fresh(self) {
        loop {
            let shared = self.shared.now();
            let keeping = async {
                match &shared.set {
                    Some(set) => set.keep_fresh().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = keeping => {}
                () = self.shared.outdated(&shared) => {}
            }
        }
    }

    /// Reads a payload as of a time, in seconds since 1970.
    #[cfg(test)]
    pub(super) fn read(&self, payload: &str, now: i64) -> Result<Claims> {
        Ok(payload::read(payload, &self.shared.now().expected, now)?)
    }

    /// Makes another fetch of the key set due at once.
    #[cfg(test)]
    pub(super) fn forget_last_attempt(&self) {
        self.shared.now().set.iter().for_each(|set| set.forget_last_attempt());
    }
}

impl Shared {
    async fn read(config: &config::Auth) -> Result<Self> {
        let mut fixed = Vec::new();
        if let Some(secret) = config.jwt_secret.as_ref().filter(|secret| !secret.is_empty()) {
            fixed.push(Key::from_secret(secret.reveal())?);
        }
        if let Some(pem) = given(&config.jwt_public_key) {
            fixed.push(Key::from_pem(&pem_text(pem).await?)?);
        }
        let set = match given(&config.jwks) {
            Some(place) => Some(Arc::new(KeySet::open(place).await?)),
            None => None,
        };
        if fixed.is_empty() && set.is_none() {
            return Err(Error::malformed(
                "No key to verify tokens with; set ROWCAST_JWT_SECRET, ROWCAST_JWT_PUBLIC_KEY or ROWCAST_JWKS",
            ));
        }
        let expected = Expected {
            issuer: given(&config.jwt_issuer).map(str::to_owned),
            audience: given(&config.jwt_audience).map(str::to_owned),
        };
        Ok(Self { fixed, set, expected })
    }

    /// Returns the payload of a token that one of the keys has signed.
    async fn signed_payload(&self, token: &str) -> Result<String, Refusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(Refusal::Malformed("it is longer than 16 KiB"));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed("no JWT"))?;
        let (_, body) = message.split_once('.').ok_or(Refusal::Malformed("no JWT"))?;
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| Refusal::Malformed("unknown header or alg"))?;
        if header.crit.is_some() {
            return Err(Refusal::Malformed("it has a critical extension"));
        }
        self.check_signature(&header, message, signature).await?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| Refusal::Malformed("no base64"))?;
        String::from_utf8(body).map_err(|_| Refusal::Malformed("no UTF-8"))
    }

    async fn check_signature(
        &self,
        header: &Header,
        message: &str,
        signature: &str,
    ) -> Result<(), Refusal> {
        let id = header.kid.as_deref();
        let any =
            |keys: &[Key]| keys.iter().any(|key| key.verifies(header.alg, id, message, signature));
        if any(&self.fixed) {
            return Ok(());
        }
        // A set holds public keys only, so it can say nothing about shared secrets.
        let Some(set) = &self.set else { return Err(Refusal::Unsigned) };
        if header.alg.family() == AlgorithmFamily::Hmac {
            return Err(Refusal::Unsigned);
        }
        if set.keys().is_some_and(|keys| any(&keys)) {
            return Ok(());
        }
        if !set.lacks(id) {
            return Err(Refusal::Unsigned);
        }
        set.wait_for_newer().await;
        let keys = set.keys().ok_or(Refusal::NoKeys)?;
        match id.filter(|_| set.lacks(id)) {
            _ if any(&keys) => Ok(()),
            Some(id) => Err(Refusal::UnknownKey(id.to_owned())),
            None => Err(Refusal::Unsigned),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.now();
        f.debug_struct("Verifier")
            .field("fixed", &shared.fixed)
            .field("set", &shared.set)
            .field("expected", &shared.expected)
            .finish()
    }
}

/// Returns a setting that says something.
fn given(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// Returns the PEM itself: the setting's text, or that of the file it names.
async fn pem_text(setting: &str) -> Result<String> {
    if setting.contains("-----BEGIN ") {
        return Ok(setting.to_owned());
    }
    let unreadable = |error| {
        Error::malformed(format!(
            "ROWCAST_JWT_PUBLIC_KEY is neither a PEM nor a readable file: `{setting}`"
        ))
        .because(error)
    };
    let length = tokio::fs::metadata(setting).await.map_err(unreadable)?.len();
    if length > LARGEST_PEM {
        return Err(Error::malformed("ROWCAST_JWT_PUBLIC_KEY names a file that is no PEM"));
    }
    tokio::fs::read_to_string(setting).await.map_err(unreadable)
}
