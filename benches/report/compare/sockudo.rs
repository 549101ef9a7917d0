//! Sockudo, which speaks Pusher's protocol: how it is started, subscribed to and published to (signed as Pusher wants it).

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use serde_json::json;
use sha2::Sha256;

const KEY: &str = "bench";
const SECRET: &str = "a secret of one run";

/// Where `scripts/bench compare` puts it.
pub(super) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/sockudo")
}

pub(super) fn command(address: SocketAddr) -> Result<Command> {
    let mut command = Command::new(program());
    // Limits and telemetry would be measured instead of the work.
    command.current_dir(std::env::temp_dir()).envs([
        ("HOST", address.ip().to_string()),
        ("PORT", address.port().to_string()),
        ("SOCKUDO_DEFAULT_APP_ID", KEY.to_owned()),
        ("SOCKUDO_DEFAULT_APP_KEY", KEY.to_owned()),
        ("SOCKUDO_DEFAULT_APP_SECRET", SECRET.to_owned()),
        ("SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS", "100000".to_owned()),
        ("SOCKUDO_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SECOND", "1000000".to_owned()),
        ("RATE_LIMITER_ENABLED", "false".to_owned()),
        ("METRICS_ENABLED", "false".to_owned()),
        ("SOCKUDO_OTEL_ENABLED", "false".to_owned()),
        // Without it nobody comes back to what they missed.
        ("CONNECTION_RECOVERY_ENABLED", "true".to_owned()),
        // Each publication claims an id in a cache that throws claims out when there are many: it is answered with 503 then.
        ("IDEMPOTENCY_ENABLED", "false".to_owned()),
        // When asked to end it waits for load balancers, else for ten seconds.
        ("SHUTDOWN_GRACE_PERIOD", "0".to_owned()),
        ("RUST_LOG", "error".to_owned()),
    ]);
    Ok(command)
}

pub(super) fn path() -> String {
    format!("/app/{KEY}?protocol=7&client=js&version=8.4.0")
}

pub(super) fn subscribe(topic: usize) -> String {
    json!({ "event": "pusher:subscribe", "data": { "channel": format!("topic-{topic}") } })
        .to_string()
}

/// Asks for what came after a place.
pub(super) fn resume(topic: usize, place: &str) -> Result<String> {
    let place: u64 = place.parse()?;
    let data = json!({ "channel_positions": { format!("topic-{topic}"): { "serial": place } } });
    Ok(json!({ "event": "pusher:resume", "data": data }).to_string())
}

/// Path and body of a publication: <https://pusher.com/docs/channels/library_auth_reference/rest-api/>.
pub(super) fn publish(topic: &str, text: &str) -> (String, String) {
    let row = json!({ "topic": topic, "body": text }).to_string();
    let body =
        json!({ "name": "post", "channel": format!("topic-{topic}"), "data": row }).to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let query = format!(
        "auth_key={KEY}&auth_timestamp={now}&auth_version=1.0&body_md5={}",
        hex(&Md5::digest(body.as_bytes()))
    );
    let path = format!("/apps/{KEY}/events");
    let signature = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).map(|mut mac| {
        mac.update(format!("POST\n{path}\n{query}").as_bytes());
        hex(&mac.finalize().into_bytes())
    });
    (format!("{path}?{query}&auth_signature={}", signature.unwrap_or_default()), body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
