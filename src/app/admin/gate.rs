//! The gate of the console: a token in a header, from a page of this very server, and patience that ends.
//!
//! There is no cookie, so nothing that another page makes a browser send carries the token. A name that leads here by a
//! trick of DNS is refused by the Host header, a foreign page by its Origin.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256, digest::Output};

use crate::{
    app::addresses::{MOST, site},
    config::{Config, Rate},
    error::{Error, Kind, Result},
    session::Bucket,
};

/// Shorter tokens can be guessed.
const SHORTEST: usize = 16;
/// Wrong tokens of one address that are looked at; who comes from there when there were more has to wait.
const WRONG: Rate = Rate { per_second: 1, burst: 10 };

pub(super) struct Gate {
    /// The token's hash: how long comparing hashes takes says nothing about the token.
    token: Option<Output<Sha256>>,
    write: bool,
    hosts: Vec<String>,
    wrong: Wrong,
}

impl Gate {
    pub(super) fn new(config: &Config) -> Result<Self> {
        let token = config.admin_token.as_ref().filter(|token| !token.is_empty());
        if token.is_some_and(|token| token.reveal().chars().count() < SHORTEST) {
            return Err(Error::malformed(
                "The admin token is shorter than 16 characters; choose a longer ROWCAST_ADMIN_TOKEN, such as the output of: openssl rand -base64 24",
            ));
        }
        Ok(Self {
            token: token.map(|token| Sha256::digest(token.reveal().as_bytes())),
            write: config.admin_write,
            hosts: config.admin_hosts.clone(),
            wrong: Wrong::default(),
        })
    }

    /// Whether the console may do more than show.
    pub(super) fn writes(&self) -> bool {
        self.write
    }

    /// Without a token there is no console.
    pub(super) fn is_there(&self) -> Result<()> {
        let off = "The console is off; set --admin-token (ROWCAST_ADMIN_TOKEN) to turn it on";
        self.token.map(|_| ()).ok_or_else(|| Error::new(Kind::Missing, off))
    }

    /// Refuses names that are not ours: a page elsewhere can have its own name lead here.
    pub(super) fn knows_host(&self, headers: &HeaderMap) -> Result<()> {
        let host = name_of(text(headers, &header::HOST).unwrap_or_default());
        let listed = |host: &str| self.hosts.iter().any(|one| one.eq_ignore_ascii_case(host));
        if host.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost") || listed(host)
        {
            return Ok(());
        }
        Err(Error::forbidden(
            "The console does not answer to this host name; open it by its address or localhost, or list the name in --admin-hosts",
        ))
    }

    /// Whether a request comes from the console's own page, or from no page, with the right token.
    pub(super) fn admits(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Result<()> {
        let host = text(headers, &header::HOST);
        let foreign = |origin: &str| origin.split_once("://").map(|(_, host)| host) != host;
        let site = text(headers, &HeaderName::from_static("sec-fetch-site"));
        if text(headers, &header::ORIGIN).is_some_and(foreign)
            || site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
        {
            return Err(Error::forbidden("Only the console's own page may ask"));
        }
        let presented = text(headers, &header::AUTHORIZATION)
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let Some(presented) = presented.filter(|token| !token.is_empty()) else {
            return Err(Error::unauthorized(
                "The console wants its token: Authorization: Bearer and ROWCAST_ADMIN_TOKEN",
            ));
        };
        let is_right = self.token == Some(Sha256::digest(presented.as_bytes()));
        // Also a right one: what is answered must not tell it from a wrong one.
        if !self.wrong.may_try(from, is_right) {
            return Err(Error::too_many("Too many wrong tokens; try again in a second", 1_000));
        }
        if is_right {
            return Ok(());
        }
        Err(Error::unauthorized("That is not the console's token"))
    }

    /// Refuses what changes something where the console only shows.
    pub(super) fn may_write(&self) -> Result<()> {
        let only = "The console is read-only; start with --admin-write (ROWCAST_ADMIN_WRITE) to let it act";
        if self.write { Ok(()) } else { Err(Error::forbidden(only)) }
    }
}

/// Wrong tokens by the site that they came from: nobody is locked out by what others try.
#[derive(Default)]
struct Wrong(Mutex<HashMap<Option<IpAddr>, Bucket>>);

impl Wrong {
    /// Whether an address may try a token now; counts the wrong ones.
    fn may_try(&self, from: Option<IpAddr>, is_right: bool) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = from.map(site);
        if let Some(bucket) = known.get_mut(&from) {
            let may_try = bucket.take(WRONG, 0.0);
            if may_try && !is_right {
                bucket.owe(1.0);
            }
            return may_try;
        }
        if is_right {
            return true;
        }
        if known.len() >= MOST {
            known.retain(|_, bucket| bucket.wait(WRONG, WRONG.burst.into()).is_some());
        }
        // Who has more addresses than that at hand is not held by a limit per address anyway.
        if known.len() < MOST {
            let mut bucket = Bucket::new(WRONG);
            bucket.owe(1.0);
            known.insert(from, bucket);
        }
        true
    }
}

/// A host without its port, and without the brackets of IPv6.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(name, _)| name);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_ports_and_brackets() {
        for (host, name) in [
            ("localhost:4001", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]:4001", "::1"),
            ("[::1", ""),
            ("evil.example:80", "evil.example"),
            ("", ""),
        ] {
            assert_eq!(name_of(host), name, "{host}");
        }
    }
}
