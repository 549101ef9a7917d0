//! The keys that tokens are verified with: there, usable, and not to be guessed.

use std::path::Path;

use super::{
    Args,
    check::{Check, quoted},
};
use crate::{
    auth::Verifier,
    config::{Auth, Secret},
    error::Error,
};

/// A random secret of 32 characters or more has this many different ones, short of a miracle.
const FEWEST_CHARACTERS: usize = 10;
/// What no random secret holds, and examples do.
const WORDS: [&str; 8] =
    ["secret", "password", "changeme", "example", "rowcast", "supabase", "12345678", "qwerty"];
const NEW_SECRET: &str = "export ROWCAST_JWT_SECRET=$(openssl rand -base64 48)";

pub(super) async fn checks(args: &Args) -> Vec<Check> {
    let given = &args.config.auth;
    let secret = args.folder.secret_or_private(given.jwt_secret.as_ref());
    let secret = secret.filter(|secret| !secret.is_empty());
    let none = Auth {
        jwt_secret: None,
        jwt_public_key: None,
        jwks: None,
        jwt_issuer: None,
        jwt_audience: None,
    };
    let mut checks = Vec::new();
    if let Some(secret) = secret {
        let auth = Auth { jwt_secret: Some(secret.clone()), ..none.clone() };
        checks.push(self::secret(&secret, Verifier::from_config(&auth).await.err()));
    }
    if let Some(key) = text(&given.jwt_public_key) {
        let auth = Auth { jwt_public_key: Some(key.to_owned()), ..none.clone() };
        checks.push(match Verifier::from_config(&auth).await {
            Ok(_) => Check::fine("token public key", "usable"),
            Err(error) => Check::failed("token public key", &error, new_key(key, &error)),
        });
    }
    if let Some(place) = text(&given.jwks) {
        checks.push(key_set(place, &Auth { jwks: Some(place.to_owned()), ..none }).await);
        checks.push(audience(place, given));
    }
    if checks.is_empty() {
        checks.push(Check::new("token keys", false, "none", NEW_SECRET));
    } else {
        checks.insert(0, Check::fine("token keys", "given"));
    }
    checks
}

fn secret(secret: &Secret, refused: Option<Error>) -> Check {
    if let Some(error) = refused {
        return Check::failed("token secret", &error, NEW_SECRET);
    }
    let length = secret.reveal().chars().count();
    match guessable(secret.reveal()) {
        Some(why) => Check::new("token secret", false, why, NEW_SECRET),
        None => Check::fine("token secret", format!("{length} characters")),
    }
}

/// Why a secret is no secret, as far as can be seen.
fn guessable(secret: &str) -> Option<String> {
    let lower = secret.to_lowercase();
    if let Some(word) = WORDS.iter().find(|word| lower.contains(**word)) {
        return Some(format!("it can be guessed: `{word}` is in it"));
    }
    let mut characters: Vec<char> = secret.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    let few = characters.len() < FEWEST_CHARACTERS;
    few.then(|| format!("it can be guessed: it has {} different characters", characters.len()))
}

/// How a usable key is made of what was given.
fn new_key(given: &str, error: &Error) -> String {
    let use_it = "export ROWCAST_JWT_PUBLIC_KEY=public-key.pem";
    let file = Path::new(given).is_file().then(|| quoted(given));
    let text = std::fs::read_to_string(given).unwrap_or_default();
    match file {
        Some(file) if error.message.contains("private key") => {
            format!("openssl pkey -in {file} -pubout -out public-key.pem\n{use_it}")
        }
        Some(file) if text.contains("BEGIN CERTIFICATE") => {
            format!("openssl x509 -in {file} -pubkey -noout -out public-key.pem\n{use_it}")
        }
        _ => format!(
            "openssl genpkey -algorithm ed25519 -out rowcast.key # for whoever signs the tokens\n\
             openssl pkey -in rowcast.key -pubout -out public-key.pem\n{use_it}"
        ),
    }
}

async fn key_set(place: &str, auth: &Auth) -> Check {
    let remedy = match place.starts_with("http") {
        true => format!(
            "curl -fsS {} # has to print {{\"keys\": […]}} with a public key",
            quoted(place)
        ),
        false => {
            format!("cat {} # has to print {{\"keys\": […]}} with a public key", quoted(place))
        }
    };
    match Verifier::from_config(auth).await {
        Ok(verifier) if verifier.has_keys() => Check::fine("token key set", "loaded"),
        Ok(_) => Check::new(
            "token key set",
            false,
            "it could not be loaded, or has no usable key",
            remedy,
        ),
        Err(error) => Check::failed("token key set", &error, remedy),
    }
}

fn audience(place: &str, auth: &Auth) -> Check {
    let named = text(&auth.jwt_issuer).is_some() || text(&auth.jwt_audience).is_some();
    let issuer = place.split('/').take(3).collect::<Vec<_>>().join("/");
    let issuer =
        if place.starts_with("http") { issuer.as_str() } else { "https://auth.example.com" };
    Check::new(
        "token audience",
        named,
        if named { "tokens have to name it" } else { "tokens need neither issuer nor audience" },
        format!(
            "export ROWCAST_JWT_ISSUER={} # or ROWCAST_JWT_AUDIENCE: as your tokens have it",
            quoted(issuer)
        ),
    )
}

fn text(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_were_thought_up_are_told_from_random_ones() {
        for bad in [
            "super-secret-jwt-token-with-at-least-32-characters-long",
            "0000000000000000000000000000000000000000",
            "abcabcabcabcabcabcabcabcabcabcabcabcabc",
            "MyPassword-MyPassword-MyPassword",
        ] {
            assert!(guessable(bad).is_some(), "{bad}");
        }
        for good in [
            "q1Vt0Zr8m9Yx3Lk5Jh7Gf2Ds4Aw6Pe0Ru",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ] {
            assert_eq!(guessable(good), None, "{good}");
        }
    }
}
