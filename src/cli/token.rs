//! `rowcast token`: a token for a user, for trying things and for scripts.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::{place::Folder, say};
use crate::{
    auth,
    config::{Secret, duration},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whom the token is for: the user's uuid or integer id.
    #[arg(long)]
    user: String,

    /// Database role, for the policies of watched tables.
    #[arg(long, default_value = "authenticated")]
    role: String,

    /// How long the token is good.
    #[arg(long, default_value = "1h", value_parser = duration)]
    ttl: Duration,

    /// Id of the token, by which it can be revoked; a random one when not given.
    #[arg(long)]
    jti: Option<String>,

    /// Issuer that the token names.
    #[arg(long, env = "ROWCAST_JWT_ISSUER")]
    issuer: Option<String>,

    /// Audience that the token names.
    #[arg(long, env = "ROWCAST_JWT_AUDIENCE")]
    audience: Option<String>,

    /// Shared secret that signs it; without one, the one that `rowcast dev` made.
    #[arg(
        long = "secret",
        alias = "jwt-secret",
        env = "ROWCAST_JWT_SECRET",
        hide_env_values = true
    )]
    secret: Option<Secret>,

    #[command(flatten)]
    folder: Folder,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let secret = args.folder.secret_or_private(args.secret.as_ref()).context(
        "no secret: set ROWCAST_JWT_SECRET or --secret, or start `rowcast dev` in this folder",
    )?;
    let mut claims = claims(&args.user, &args.role, args.ttl);
    let jti = args.jti.as_ref().map(|jti| ("jti", jti));
    let issuer = args.issuer.as_ref().map(|issuer| ("iss", issuer));
    let audience = args.audience.as_ref().map(|audience| ("aud", audience));
    for (name, value) in [jti, issuer, audience].into_iter().flatten() {
        claims.insert(name.to_owned(), json!(value));
    }
    say(auth::mint(secret.reveal(), &Value::Object(claims))?);
    Ok(ExitCode::SUCCESS)
}

/// The payload of a token.
pub(super) fn claims(user: &str, role: &str, ttl: Duration) -> Map<String, Value> {
    let now = jiff::Timestamp::now().as_second();
    let ends = now.saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
    let jti = uuid::Uuid::new_v4().to_string();
    let pairs = [
        ("sub", json!(user)),
        ("role", json!(role)),
        ("jti", json!(jti)),
        ("iat", json!(now)),
        ("exp", json!(ends)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
