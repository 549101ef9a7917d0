//! A JSON Web Key Set that is kept up to date from a file or a URL.

use std::{
    error::Error as StdError,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::jwk::Jwk;
use reqwest::{Client, Url, header, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::key::Key;
use crate::error::{Chain, Error, Result};

/// Time between two fetches of a URL when nothing asks for one.
const FETCH_INTERVAL: Duration = Duration::from_secs(600);
/// Least time between two attempts: how often strangers' key ids, or failures, can cause one.
const SPACING: Duration = Duration::from_secs(10);
/// Deadline of one attempt, connecting and reading included.
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest set that is read, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Most keys that are used of one set: a token without a key id is tried against each.
const MOST_KEYS: usize = 64;

/// Why an attempt failed; for the log.
type Fault = Box<dyn StdError + Send + Sync>;

/// A key set, the place that it comes from, and the wishes for a newer one.
///
/// Only `keep_fresh` fetches, so there is one fetch at a time, and a client that hangs up cancels none.
pub(super) struct KeySet {
    place: Place,
    state: watch::Sender<State>,
    wishes: watch::Sender<()>,
}

enum Place {
    Url { client: Client, url: Url },
    File(PathBuf),
}

/// What the last attempts brought; failed ones keep the keys that were there.
struct State {
    keys: Option<Arc<[Key]>>,
    stamp: Option<Stamp>,
    attempted: Instant,
    failing: bool,
}

/// Tells one version of a file from the next.
type Stamp = (SystemTime, u64);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Loads a set for the first time; a file has to be good, a URL may come later.
    pub(super) async fn open(place: &str) -> Result<Self> {
        let place = Place::parse(place)?;
        let never = State { keys: None, stamp: None, attempted: Instant::now(), failing: false };
        let set = Self { place, state: watch::Sender::new(never), wishes: watch::Sender::new(()) };
        let Place::File(path) = &set.place else {
            set.refresh_and_tell().await;
            return Ok(set);
        };
        let wrong = |why| Error::malformed(format!("ROWCAST_JWKS {why}: `{}`", path.display()));
        let loaded = set.refresh().await;
        loaded.map_err(|fault| wrong("names a file that is no key set").because(fault))?;
        if set.keys().is_none_or(|keys| keys.is_empty()) {
            return Err(wrong("names a file without a usable public key"));
        }
        Ok(set)
    }

    /// Whether another one comes from the same place.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Url { url, .. }, Place::Url { url: theirs, .. }) => url == theirs,
            (Place::File(path), Place::File(theirs)) => path == theirs,
            _ => false,
        }
    }

    /// Returns the keys; none when there never were any.
    pub(super) fn keys(&self) -> Option<Arc<[Key]>> {
        self.state.borrow().keys.clone()
    }

    /// Whether a newer set could hold the key that a token names, and this one does not.
    pub(super) fn lacks(&self, id: Option<&str>) -> bool {
        self.keys().is_none_or(|keys| {
            id.is_some_and(|wanted| keys.iter().all(|key| key.id() != Some(wanted)))
        })
    }

    /// Waits for the end of the next attempt, unless there was one just now or nobody makes any.
    pub(super) async fn wait_for_newer(&self) {
        let mut state = self.state.subscribe();
        if self.idle_for() < SPACING {
            return;
        }
        if self.wishes.send(()).is_ok() {
            let _ = timeout(DEADLINE + Duration::from_secs(1), state.changed()).await;
        }
    }

    /// Loads the set again and again: at intervals, after failures, and when a token names an unknown key.
    pub(super) async fn keep_fresh(&self) {
        let mut wishes = self.wishes.subscribe();
        loop {
            let (attempted, failing) = {
                let state = self.state.borrow();
                (state.attempted, state.failing)
            };
            let pause = if failing { SPACING } else { self.place.interval() };
            tokio::select! {
                () = sleep_until(attempted + pause) => {}
                _ = wishes.changed() => {}
            }
            // A wish may be left over from before the last attempt ended.
            if self.idle_for() >= SPACING {
                self.refresh_and_tell().await;
            }
        }
    }

    fn idle_for(&self) -> Duration {
        self.state.borrow().attempted.elapsed()
    }

    /// Puts the last attempt so far back that another is due.
    #[cfg(test)]
    pub(super) fn forget_last_attempt(&self) {
        self.state.send_modify(|state| state.attempted -= SPACING);
    }

    /// Makes an attempt and logs when its outcome is another than the last one's.
    async fn refresh_and_tell(&self) {
        let failed_before = self.state.borrow().failing;
        match self.refresh().await {
            Err(fault) if !failed_before => {
                let error = Chain(fault.as_ref());
                tracing::warn!(place = ?self.place, %error, "key set could not be loaded: {error}");
            }
            Ok(()) if failed_before => tracing::info!(place = ?self.place, "key set is back"),
            _ => {}
        }
    }

    async fn refresh(&self) -> Result<(), Fault> {
        let stamp = self.state.borrow().stamp;
        let outcome = timeout(DEADLINE, self.place.load(stamp)).await;
        let (loaded, result) = match outcome.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(loaded) => (loaded, Ok(())),
            Err(fault) => (None, Err(fault)),
        };
        // In one step, since those who wait look at the keys as soon as anything changes.
        self.state.send_modify(|state| {
            if let Some((keys, stamp)) = loaded {
                state.keys = Some(keys.into());
                state.stamp = stamp;
            }
            state.attempted = Instant::now();
            state.failing = result.is_err();
        });
        result
    }
}

impl Place {
    fn parse(text: &str) -> Result<Self> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url = Url::parse(text)
            .map_err(|error| Error::malformed("ROWCAST_JWKS is not a valid URL").because(error))?;
        // Not following redirects keeps an https address from being led to a plain or an internal one.
        let mut client = Client::builder().redirect(redirect::Policy::none()).user_agent("rowcast");
        if url.scheme() == "http" {
            // Works on a machine that has no certificate authorities.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|error| {
            Error::malformed("ROWCAST_JWKS is https and this machine has no usable certificates")
                .because(error)
        })?;
        Ok(Self::Url { client, url })
    }

    fn interval(&self) -> Duration {
        match self {
            Self::Url { .. } => FETCH_INTERVAL,
            Self::File(_) => SPACING,
        }
    }

    /// Loads the keys, or nothing when they have not changed since `seen`.
    async fn load(&self, seen: Option<Stamp>) -> Result<Option<(Vec<Key>, Option<Stamp>)>, Fault> {
        match self {
            Self::Url { client, url } => {
                Ok(Some((parse(&fetch(client, url.clone()).await?)?, None)))
            }
            Self::File(path) => {
                let about = tokio::fs::metadata(path).await?;
                let stamp = (about.modified()?, about.len());
                if seen == Some(stamp) {
                    return Ok(None);
                }
                Ok(Some((parse(&read(path).await?)?, Some(stamp))))
            }
        }
    }
}

async fn fetch(client: &Client, url: Url) -> Result<Vec<u8>, Fault> {
    // An address may hold a password, so errors go without it.
    let hidden = reqwest::Error::without_url;
    let request = client.get(url).header(header::ACCEPT, "application/json");
    let mut response = request.send().await.map_err(hidden)?;
    if response.status() != 200 {
        return Err(format!("the answer was {}", response.status()).into());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(hidden)? {
        if body.len() + chunk.len() > LARGEST {
            return Err("the answer is larger than 1 MiB".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(LARGEST as u64 + 1).read_to_end(&mut body).await?;
    if body.len() > LARGEST {
        return Err("the file is larger than 1 MiB".into());
    }
    Ok(body)
}

/// Takes the usable keys; one that is not costs the others nothing.
fn parse(body: &[u8]) -> Result<Vec<Key>, Fault> {
    let document: Document = serde_json::from_slice(body)?;
    let mut keys = Vec::new();
    for key in document.keys {
        let id = key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let jwk = serde_json::from_value::<Jwk>(key).map_err(|_| "it is damaged");
        match jwk.and_then(|jwk| Key::from_jwk(&jwk)) {
            Ok(key) if keys.len() < MOST_KEYS => keys.push(key),
            Ok(_) => tracing::debug!(id, "key `{id}` is not used: the set has too many"),
            Err(why) => tracing::debug!(id, why, "key `{id}` is not used: {why}"),
        }
    }
    Ok(keys)
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys();
        f.debug_struct("KeySet").field("place", &self.place).field("keys", &keys).finish()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, .. } => f.write_str(url.host_str().unwrap_or("…")),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}
