//! The ground that faults are played on: a Postgres that may be killed, a proxy that may stall, the real program.

mod bridge;
mod postgres;
mod proxy;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rowcast::{
    config::Secret,
    db::{Target, migrate},
    lifecycle::Lifecycle,
};
use tokio_postgres::Client;

pub(crate) use self::{bridge::Bridge, postgres::Postgres, proxy::Proxy};

/// A Postgres of one's own, and a bridge in front of it that reaches it through a proxy.
pub(crate) struct Ground {
    pub(crate) postgres: Postgres,
    pub(crate) proxy: Proxy,
    pub(crate) bridge: Bridge,
    pub(crate) lifecycle: Lifecycle,
}

impl Ground {
    /// Starts everything on an installed database with `data` in it; `flags` go to the bridge.
    pub(crate) async fn start(data: &str, flags: &[&str]) -> Self {
        Self::start_with(data, flags, &[]).await
    }

    /// The same with further lines of `postgresql.conf`.
    pub(crate) async fn start_with(data: &str, flags: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::build(data, flags, settings, false).await
    }

    /// Only the feed goes through the proxy: what holds it up leaves the rest of the bridge with the database.
    pub(crate) async fn start_with_feed_apart(data: &str) -> Self {
        Self::build(data, &[], &[], true).await
    }

    async fn build(data: &str, flags: &[&str], settings: &[(&str, &str)], apart: bool) -> Self {
        let lifecycle = Lifecycle::new();
        let folder = folder();
        let postgres = Postgres::start(&folder, settings).await;
        let target = Target::parse(&postgres.url()).expect("a URL");
        migrate::run(&target, &lifecycle, |_| {}).await.expect("migrated");
        let client = target.client(&lifecycle).await.expect("a connection");
        client.batch_execute(data).await.expect("data");
        let proxy = Proxy::start(postgres.port()).await;
        let behind = with_port(postgres.url().reveal(), proxy.port());
        let bridge = if apart {
            let listen = format!("--listen-url={}", behind.reveal());
            Bridge::start(&folder, &postgres.url(), &[flags, &[&listen]].concat()).await
        } else {
            Bridge::start(&folder, &behind, flags).await
        };
        Self { postgres, proxy, bridge, lifecycle }
    }

    /// A connection straight to the database, as the role that owns it.
    pub(crate) async fn client(&self) -> Client {
        let target = Target::parse(&self.postgres.url()).expect("a URL");
        target.client(&self.lifecycle).await.expect("a connection")
    }

    /// A connection as the superuser.
    pub(crate) async fn superuser(&self) -> Client {
        let target = Target::parse(&self.postgres.superuser_url()).expect("a URL");
        target.client(&self.lifecycle).await.expect("a connection")
    }

    /// Runs SQL as another service would.
    pub(crate) async fn sql(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.expect(sql);
    }

    /// Ends the connection that the bridge's feed reads and listens on; false when there is none just now.
    pub(crate) async fn kill_listener(&self, client: &Client) -> bool {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
            where application_name = 'rowcast' and pid <> pg_backend_pid() \
              and (query ilike '%left join lateral%rowcast.changes%' and query not like '%limit $8%' \
                   or query like '%listen rowcast%')";
        client.query_one(sql, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) > 0)
    }
}

/// Waits until something is so; what is waited for is named when it does not come.
pub(crate) async fn until<F>(what: &str, within: Duration, mut so: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(within, waiting)
        .await
        .unwrap_or_else(|_| panic!("not {what} in {within:?}"));
}

/// The wall clock, which is the database's too, in microseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294247")
}

fn folder() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("rowcast-ground-{}-{nth}", std::process::id()))
}

fn with_port(url: &str, port: u16) -> Secret {
    let (server, database) = url.rsplit_once('/').expect("a database name");
    let (host, _) = server.rsplit_once(':').expect("a port");
    Secret::new(format!("{host}:{port}/{database}"))
}
