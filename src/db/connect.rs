//! How to reach a database: a parsed connection string, and connections made with it.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Config, Socket,
    config::{Host, SslMode},
    error::SqlState,
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    dsn::Dsn,
    tls::{self, Mode},
};
use crate::{
    config::Secret,
    error::{Chain, Error, Kind, Result},
    lifecycle::Lifecycle,
};

/// A connection to be polled by whoever owns it, encrypted or not.
pub type Connection =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

const APPLICATION_NAME: &str = "rowcast";
/// A host that does not answer within this is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that vanished is noticed after idle + retries × interval = 60 s, and 20 s when we have sent something.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVES_RETRIES: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);
const DEFAULT_PORT: u16 = 5432;

/// A database that can be connected to; a cheap handle, and its `Debug` shows no password.
#[derive(Clone)]
pub struct Target(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    config: Config,
    mode: Mode,
    tls: MakeRustlsConnect,
}

impl Target {
    /// Parses a `postgres://` URL or `key=value` pairs; reads the certificates that it names.
    pub fn parse(url: &Secret) -> Result<Self> {
        if url.is_empty() {
            return Err(Error::malformed(
                "No database given: set DATABASE_URL or --database-url to a postgres:// URL",
            ));
        }
        let wrong =
            |why: String| Error::malformed(format!("The database URL is not usable: {why}"));
        let dsn = Dsn::parse(url.reveal()).map_err(wrong)?;
        let mut mode = Mode::of(&dsn).map_err(wrong)?;
        let mut config: Config =
            dsn.rest.parse().map_err(|error| wrong(Chain(&error).to_string()))?;
        set_defaults(&mut config, &dsn);
        // As libpq: nothing to encrypt on a socket of the file system.
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            mode = Mode::Disable;
        }
        let tls = MakeRustlsConnect::new(tls::client_config(mode, &dsn).map_err(wrong)?);
        Ok(Self(Arc::new(Inner { config, mode, tls })))
    }

    /// The same database with settings for each session, such as `statement_timeout`; those of the URL win.
    #[must_use]
    pub fn with_settings(&self, settings: &[(&str, &str)]) -> Self {
        let mut inner = Inner::clone(&self.0);
        let given = inner.config.get_options().unwrap_or_default();
        let escaped = |value: &str| value.replace('\\', r"\\").replace(' ', r"\ ");
        let mut options: Vec<String> =
            settings.iter().map(|(name, value)| format!("-c {name}={}", escaped(value))).collect();
        options.push(given.to_owned());
        let options = options.join(" ");
        inner.config.options(options.trim());
        Self(Arc::new(inner))
    }

    /// The same server with another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut inner = Inner::clone(&self.0);
        inner.config.dbname(name);
        Self(Arc::new(inner))
    }

    /// Connects. Nothing moves until the connection is polled; for notifications loop on its `poll_message`.
    pub async fn connect(&self) -> Result<(Client, Connection)> {
        self.open().await.map_err(|error| match error {
            Failure::Postgres(error) => error.into(),
            Failure::Deadline => Error::unavailable(format!("no answer from {}", self.describe())),
        })
    }

    /// Connects and lets the lifecycle drive the connection; it ends when the client is dropped.
    pub async fn client(&self, lifecycle: &Lifecycle) -> Result<Client> {
        let (client, connection) = self.connect().await?;
        drive(connection, lifecycle);
        Ok(client)
    }

    /// Asks the server to stop what a client is doing; best effort.
    pub(super) async fn cancel(&self, token: tokio_postgres::CancelToken) {
        let request = token.cancel_query(self.0.tls.clone());
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, request).await;
    }

    /// Where it leads, for people: `host:port/database`.
    pub fn describe(&self) -> String {
        let config = &self.0.config;
        let hosts: Vec<String> = config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| {
                let ports = config.get_ports();
                let port = ports.get(index).or(ports.first()).unwrap_or(&DEFAULT_PORT);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    Host::Unix(folder) => format!("{}:{port}", folder.display()),
                }
            })
            .collect();
        let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
        format!("{}/{database}", hosts.join(","))
    }

    /// Tries the ways that the TLS mode allows, one after the other.
    pub(super) async fn open(&self) -> std::result::Result<(Client, Connection), Failure> {
        let ways: &[SslMode] = match self.0.mode {
            Mode::Disable => &[SslMode::Disable],
            Mode::Allow => &[SslMode::Disable, SslMode::Require],
            Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => &[SslMode::Require],
        };
        let mut result = self.attempt(ways[0]).await;
        if let (Some(&way), Err(Failure::Postgres(error))) = (ways.get(1), &result)
            && is_about_encryption(error)
            && let Ok(connected) = self.attempt(way).await
        {
            result = Ok(connected);
        }
        result
    }

    async fn attempt(&self, way: SslMode) -> std::result::Result<(Client, Connection), Failure> {
        let mut config = self.0.config.clone();
        config.ssl_mode(way);
        // The driver's own limit is per address and ends with the TCP handshake.
        let each = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(1).max(1);
        let connecting = Box::pin(config.connect(self.0.tls.clone()));
        match tokio::time::timeout(each.saturating_mul(hosts + 1), connecting).await {
            Ok(result) => result.map_err(Failure::Postgres),
            Err(_) => Err(Failure::Deadline),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}, {:?})", self.describe(), self.0.mode)
    }
}

/// Why there is no connection.
pub(super) enum Failure {
    /// The driver or the server said so.
    Postgres(tokio_postgres::Error),
    /// Nobody said anything for too long.
    Deadline,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Postgres(error) => error.into(),
            Failure::Deadline => Self::new(Kind::Unavailable, "The database does not answer"),
        }
    }
}

/// Lets the lifecycle poll a connection until its client is dropped.
pub(super) fn drive(connection: Connection, lifecycle: &Lifecycle) -> JoinHandle<()> {
    lifecycle.service("database connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %Chain(&error), "a database connection ended: {}", Chain(&error));
        }
    })
}

fn set_defaults(config: &mut Config, dsn: &Dsn) {
    let given = |name: &str| dsn.given.iter().any(|given| given == name);
    if !given("application_name") {
        config.application_name(APPLICATION_NAME);
    }
    if !given("connect_timeout") {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if !given("keepalives_idle") {
        config.keepalives_idle(KEEPALIVES_IDLE);
    }
    if !given("keepalives_interval") {
        config.keepalives_interval(KEEPALIVES_INTERVAL);
    }
    if !given("keepalives_retries") {
        config.keepalives_retries(KEEPALIVES_RETRIES);
    }
    if !given("tcp_user_timeout") {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
        let socket = |folder: &&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
        let folders = ["/var/run/postgresql", "/tmp"];
        config.host(folders.into_iter().find(socket).unwrap_or("localhost"));
    }
}

/// Whether another try with, or without, TLS may do better: a failed handshake, or a `pg_hba.conf` that wants the other.
fn is_about_encryption(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
        || error.to_string().contains("TLS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target> {
        Target::parse(&Secret::new(url))
    }

    #[test]
    fn what_is_printed_names_the_place_and_not_the_password() {
        let target =
            target("postgres://me:hunter2@db.example:6432/app?sslmode=require").expect("legal");
        assert_eq!(target.describe(), "db.example:6432/app");
        assert!(!format!("{target:?}").contains("hunter2"));
        let socket =
            self::target("host=/run/pg dbname=app user=me sslmode=verify-full").expect("legal");
        assert_eq!(socket.describe(), "/run/pg:5432/app");
    }

    #[test]
    fn an_unusable_url_says_why_and_not_what() {
        for (bad, why) in [
            ("", "DATABASE_URL"),
            ("postgres://me:hunter2@h/d?sslmode=on", "sslmode `on`"),
            ("postgres://me:hunter2@h/d?schema=x", "schema"),
            ("postgres://me:hunter2@h:port/d", "port"),
            (
                "postgres://me:hunter2@h/d?sslmode=verify-full&sslrootcert=/nowhere.pem",
                "/nowhere.pem",
            ),
        ] {
            let error = target(bad).expect_err("an error").to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }

    #[test]
    fn settings_come_before_those_of_the_url() {
        let target = target("host=h user=me options='-c work_mem=8MB'").expect("legal");
        let with = target.with_settings(&[("statement_timeout", "5000"), ("x.y", "a b")]);
        assert_eq!(
            with.0.config.get_options(),
            Some(r"-c statement_timeout=5000 -c x.y=a\ b -c work_mem=8MB")
        );
    }
}
