//! The settings: each a flag, an environment variable and a README row at once.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

pub use crate::network::Network;

/// What `serve` and `dev` read. The doc comments are the manual.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// How to reach the database.
    #[command(flatten)]
    pub database: Database,

    /// How tokens are verified.
    #[command(flatten)]
    pub auth: Auth,

    /// Address that clients connect to.
    #[arg(long, env = "ROWCAST_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// Port that clients connect to; 0 takes any free one.
    #[arg(long, env = "ROWCAST_PORT", default_value_t = 4000)]
    pub port: u16,

    /// Address of /live, /ready, /metrics and the console at /admin. Keep it private.
    #[arg(long, env = "ROWCAST_ADMIN_HOST", default_value = "127.0.0.1")]
    pub admin_host: IpAddr,

    /// Port of /live, /ready, /metrics and /admin; 0 takes any free one.
    #[arg(long, env = "ROWCAST_ADMIN_PORT", default_value_t = 4001)]
    pub admin_port: u16,

    /// Token that opens the console at /admin, 16 characters at least; without one there is no console.
    #[arg(long, env = "ROWCAST_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,

    /// Let the console watch and unwatch tables and end sessions; otherwise it only shows.
    #[arg(long, env = "ROWCAST_ADMIN_WRITE", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub admin_write: bool,

    /// Host names under which the console may be opened, comma-separated, besides localhost and IP addresses.
    #[arg(long, env = "ROWCAST_ADMIN_HOSTS", value_delimiter = ',')]
    pub admin_hosts: Vec<String>,

    /// Name of this node in `rowcast.nodes`, logs and metrics.
    #[arg(long, env = "ROWCAST_NODE", default_value = "rowcast")]
    pub node: String,

    /// Browser origins that may connect, comma-separated; `*` for any. Requests without an Origin header are not browsers' and always pass.
    #[arg(long, env = "ROWCAST_ALLOWED_ORIGINS", value_delimiter = ',', default_value = "*")]
    pub allowed_origins: Vec<String>,

    /// Reverse proxies whose `Forwarded` and `X-Forwarded-*` headers count, comma-separated: addresses or networks such as 10.0.0.0/8.
    #[arg(long, env = "ROWCAST_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,

    /// Serve the demo chat page at /demo.
    #[arg(long, env = "ROWCAST_DEMO_PAGE", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub demo_page: bool,

    /// How long the change log is kept: how far back a cursor resumes.
    #[arg(long, env = "ROWCAST_RETENTION", default_value = "24h", value_parser = duration)]
    pub retention: Duration,

    /// How long a shutdown waits for clients to be told and drained.
    #[arg(long, env = "ROWCAST_GRACE", default_value = "10s", value_parser = duration)]
    pub grace: Duration,

    /// Where traces go.
    #[command(flatten)]
    pub traces: Traces,

    /// Limits on what one client may do and hold.
    #[command(flatten)]
    pub limits: Limits,

    /// What is done with a message's HTML on the way in.
    #[arg(long, env = "ROWCAST_CONTENT_POLICY", value_enum, default_value_t = ContentPolicy::AsSent)]
    pub content_policy: ContentPolicy,

    /// Credits that a message costs in the `direct` dialect; users without a balance are not charged.
    #[arg(long, env = "ROWCAST_DIRECT_PRICE", default_value_t = 1)]
    pub direct_price: u32,

    /// What the `supabase` dialect reads.
    #[command(flatten)]
    pub supabase: Supabase,
}

/// Where traces go.
#[derive(Debug, Clone, Args)]
pub struct Traces {
    /// Collector that traces go to by OTLP over HTTP, such as http://127.0.0.1:4318; none are made when unset.
    #[arg(long, env = "ROWCAST_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Part of all traces that is kept, 0 to 1; a caller's `traceparent` decides for its own.
    #[arg(long, env = "ROWCAST_TRACE_RATIO", default_value = "1", value_parser = ratio)]
    pub trace_ratio: f64,
}

/// What the `supabase` dialect reads.
#[derive(Debug, Clone, Args)]
pub struct Supabase {
    /// Opaque key that stands for the role `anon`, as `sb_publishable_…` does.
    #[arg(long, env = "ROWCAST_PUBLISHABLE_KEY", hide_env_values = true)]
    pub publishable_key: Option<Secret>,

    /// Opaque key that stands for the role `service_role`, as `sb_secret_…` does.
    #[arg(long, env = "ROWCAST_SECRET_KEY", hide_env_values = true)]
    pub secret_key: Option<Secret>,

    /// URL of a Supabase project whose /auth/v1, /rest/v1, /storage/v1, /functions/v1 and /graphql/v1 are served here, too.
    #[arg(long, env = "ROWCAST_SUPABASE_UPSTREAM")]
    pub supabase_upstream: Option<String>,

    /// Refuse public channels.
    #[arg(long, env = "ROWCAST_PRIVATE_ONLY", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub private_only: bool,

    /// Channels that one socket may join.
    #[arg(long, env = "ROWCAST_CHANNELS_PER_SOCKET", default_value_t = 100)]
    pub channels_per_socket: usize,

    /// Time after which a socket without channels is closed.
    #[arg(long, env = "ROWCAST_CHANNEL_IDLE", default_value = "10m", value_parser = duration)]
    pub channel_idle: Duration,

    /// How often it is asked again what a private channel's bearer may do; a fresh token is asked about at once.
    #[arg(long, env = "ROWCAST_RIGHTS_RECHECK", default_value = "5m", value_parser = duration)]
    pub rights_recheck: Duration,

    /// Largest broadcast, in bytes of its payload.
    #[arg(long, env = "ROWCAST_BROADCAST_LIMIT", default_value_t = 3_000_000)]
    pub broadcast_limit: usize,

    /// Channel joins per socket and second, and the burst allowed; a refused join counts tenfold.
    #[arg(long, env = "ROWCAST_RATE_CHANNEL_JOINS", default_value = "100/200")]
    pub rate_channel_joins: Rate,

    /// Broadcasts per socket and second, and the burst allowed.
    #[arg(long, env = "ROWCAST_RATE_BROADCASTS", default_value = "100/500")]
    pub rate_broadcasts: Rate,

    /// Presence calls per channel and second, and the burst allowed.
    #[arg(long, env = "ROWCAST_RATE_PRESENCE", default_value = "5/30")]
    pub rate_presence: Rate,
}

/// How to reach the database.
#[derive(Debug, Clone, Args)]
pub struct Database {
    /// Database to bridge: a PostgreSQL connection URL (`sslmode` and `sslrootcert` as libpq).
    #[arg(long = "database-url", env = "DATABASE_URL", hide_env_values = true, default_value = "")]
    pub url: Secret,

    /// Direct connection for LISTEN, when the database URL leads to a pooler.
    #[arg(long, env = "ROWCAST_LISTEN_URL", hide_env_values = true)]
    pub listen_url: Option<Secret>,

    /// Connections in the pool that serves REST and authorisation.
    #[arg(long, env = "ROWCAST_POOL_SIZE", default_value_t = 8)]
    pub pool_size: usize,

    /// Deadline of one database call.
    #[arg(long, env = "ROWCAST_DATABASE_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub database_timeout: Duration,
}

/// How tokens are verified. At least one key must be set.
#[derive(Debug, Clone, Args)]
pub struct Auth {
    /// Shared secret for HS256, HS384 and HS512 tokens; 32 characters at least.
    #[arg(long, env = "ROWCAST_JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,

    /// Public key in PEM, or the path of a file with it: RS256, ES256 or EdDSA tokens.
    #[arg(long, env = "ROWCAST_JWT_PUBLIC_KEY")]
    pub jwt_public_key: Option<String>,

    /// JSON Web Key Set: a path, or an http(s) URL that is fetched again every ten minutes and for unknown key ids.
    #[arg(long, env = "ROWCAST_JWKS")]
    pub jwks: Option<String>,

    /// Issuer that tokens must name; not checked when unset.
    #[arg(long, env = "ROWCAST_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// Audience that tokens must name; not checked when unset.
    #[arg(long, env = "ROWCAST_JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
}

/// Limits on what one client may do and hold.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// Longest message that the APIs take, in characters.
    #[arg(long, env = "ROWCAST_CONTENT_LIMIT", default_value_t = 2_000)]
    pub content_limit: usize,

    /// Largest frame or request body that a client may send, in bytes.
    #[arg(long, env = "ROWCAST_MAX_FRAME", default_value_t = 65_536)]
    pub max_frame: usize,

    /// Undelivered changes held for one client before it replays from the log.
    #[arg(long, env = "ROWCAST_MAILBOX", default_value_t = 1_024)]
    pub mailbox: usize,

    /// Changes that a node remembers, 8 MiB of them at most, to tell who comes back soon without reading the log; 0 for none.
    #[arg(long, env = "ROWCAST_REMEMBER", default_value_t = 4_096)]
    pub remember: usize,

    /// Time that one write to a client may take before it is disconnected with 4408.
    #[arg(long, env = "ROWCAST_SEND_DEADLINE", default_value = "10s", value_parser = duration)]
    pub send_deadline: Duration,

    /// Idle time after which a client is pinged; it is gone when it stays silent for as long again.
    #[arg(long, env = "ROWCAST_PING_INTERVAL", default_value = "25s", value_parser = duration)]
    pub ping_interval: Duration,

    /// Open connections of all clients together.
    #[arg(long, env = "ROWCAST_MAX_CONNECTIONS", default_value_t = 50_000)]
    pub max_connections: usize,

    /// REST requests per user and second, and the burst allowed: `rate/burst`.
    #[arg(long, env = "ROWCAST_RATE_REST", default_value = "100/200")]
    pub rate_rest: Rate,

    /// Messages per user and second, and the burst allowed.
    #[arg(long, env = "ROWCAST_RATE_MESSAGES", default_value = "20/100")]
    pub rate_messages: Rate,

    /// Typing signals per user and second, and the burst allowed.
    #[arg(long, env = "ROWCAST_RATE_TYPING", default_value = "10/30")]
    pub rate_typing: Rate,

    /// Subscriptions and joins per user and second, and the burst allowed.
    #[arg(long, env = "ROWCAST_RATE_JOINS", default_value = "50/100")]
    pub rate_joins: Rate,

    /// Handshakes of sockets per client address and second, and the burst allowed; not limited when unset. Behind a proxy that is not trusted, all clients have one address.
    #[arg(long, env = "ROWCAST_RATE_HANDSHAKES")]
    pub rate_handshakes: Option<Rate>,

    /// Requests with a missing or bad token (401) per client address and second, and the burst allowed: who has more is refused for a while. Not limited when unset.
    #[arg(long, env = "ROWCAST_RATE_FAILURES")]
    pub rate_failures: Option<Rate>,
}

/// What is done with HTML in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContentPolicy {
    /// Nothing: it is stored as sent, and clients show it as text.
    AsSent,
    /// Tags and attributes that can do harm are removed before it is stored.
    Sanitize,
}

/// A token bucket: so many a second, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Refill, per second.
    pub per_second: u32,
    /// Size of the bucket.
    pub burst: u32,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a rate; write rate/burst, both at least 1, such as 20/100");
        let (per_second, burst) = text.split_once('/').ok_or_else(wrong)?;
        let number =
            |part: &str| part.trim().parse().ok().filter(|&n: &u32| n > 0).ok_or_else(wrong);
        Ok(Self { per_second: number(per_second)?, burst: number(burst)? })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.burst)
    }
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Takes the text out, at the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Parses a part of something, from 0 to 1.
fn ratio(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    number.ok_or_else(|| format!("`{text}` is not a part; write a number from 0 to 1, such as 0.1"))
}

/// Parses `250ms`, `10s`, `5m`, `24h` or `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration; write a number and ms, s, m, h or d, such as 10s");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let milliseconds = match &text[digits..] {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    };
    milliseconds.map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates_parse_or_say_what_is_accepted() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for bad in ["", "10", "s", "-1s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(duration(bad).is_err_and(|why| why.contains("such as")), "{bad}");
        }
        assert_eq!("20/100".parse(), Ok(Rate { per_second: 20, burst: 100 }));
        for bad in ["20", "0/1", "a/b", "1/-1"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "…");
    }
}
