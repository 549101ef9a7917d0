//! The ground that faults are played on: a Postgres that may be killed, proxies that may stall, the real program, once or twice.

mod bridge;
mod clock;
mod pooler;
mod postgres;
mod proxy;
mod replica;

use std::{
    net::SocketAddr,
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

pub(crate) use self::{
    bridge::Bridge,
    clock::Clock,
    pooler::Pooler,
    postgres::Postgres,
    proxy::Proxy,
    replica::{Replica, program},
};

/// Connections of a pooler's that is crowded.
pub(crate) const FEW: usize = 3;
/// Connections of any other.
const MANY: usize = 20;

/// What stands between clients and Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terrain {
    /// One bridge.
    Plain,
    /// Two bridges; clients of each go to the other when theirs is away. What is between is a proxy.
    Nodes,
    /// One bridge of which only the feed goes through the proxy: what holds that up leaves the rest with the database.
    FeedApart,
    /// One bridge whose connections go through pgbouncer, in transaction mode; it may have another way to listen.
    Pooled { listens: bool },
    /// Two bridges behind one pgbouncer in transaction mode, with a `FEW` connections for both.
    Crowded,
    /// One bridge behind pgbouncer in session mode.
    Sessions,
    /// One bridge; its clock and that of Postgres can be set.
    Clocks,
}

/// A Postgres of one's own, and a bridge in front of it that reaches it through a proxy.
pub(crate) struct Ground {
    pub(crate) postgres: Postgres,
    pub(crate) proxy: Proxy,
    pub(crate) bridge: Bridge,
    pub(crate) lifecycle: Lifecycle,
    /// The other node.
    pub(crate) second: Option<Bridge>,
    /// What clients go through, where that is not the bridge itself.
    pub(crate) doors: Vec<Proxy>,
    pooler: Option<Pooler>,
    /// The bridge's clock, where it can be set; that of Postgres is with Postgres.
    pub(crate) clock: Option<Clock>,
}

impl Ground {
    /// Starts everything on an installed database with `data` in it; `flags` go to the bridge.
    pub(crate) async fn start(data: &str, flags: &[&str]) -> Self {
        Self::start_with(data, flags, &[]).await
    }

    /// The same with further lines of `postgresql.conf`.
    pub(crate) async fn start_with(data: &str, flags: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_on(Terrain::Plain, data, flags, settings).await
    }

    /// The same on some terrain.
    pub(crate) async fn start_on(
        terrain: Terrain,
        data: &str,
        flags: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let lifecycle = Lifecycle::new();
        let folder = folder();
        let (mut clock, mut of_postgres) = (None, None);
        if terrain == Terrain::Clocks {
            let place = folder.with_extension("clocks");
            clock = Some(Clock::make(&place, "bridge"));
            of_postgres = Some(Clock::make(&place, "postgres"));
        }
        let postgres = Postgres::start(&folder, settings, of_postgres).await;
        let target = Target::parse(&postgres.url()).expect("a URL");
        migrate::run(&target, &lifecycle, |_| {}).await.expect("migrated");
        let client = target.client(&lifecycle).await.expect("a connection");
        client.batch_execute(data).await.expect("data");
        let proxy = Proxy::start(vec![postgres.port()]).await;
        let direct = with_port(postgres.url().reveal(), proxy.port());
        let (mut url, mut flags) = (direct.clone(), flags.to_vec());
        let listen = format!("--listen-url={}", direct.reveal());
        let pooling = match terrain {
            Terrain::Pooled { listens } => {
                if listens {
                    flags.push(&listen);
                }
                Some(("transaction", MANY))
            }
            Terrain::Crowded => Some(("transaction", FEW)),
            Terrain::Sessions => Some(("session", MANY)),
            Terrain::FeedApart => {
                flags.push(&listen);
                url = postgres.url();
                None
            }
            Terrain::Plain | Terrain::Nodes | Terrain::Clocks => None,
        };
        let mut pooler = None;
        if let Some(pooling) = pooling {
            let started = Pooler::start(&postgres, &folder, &direct, pooling).await;
            url = with_port(direct.reveal(), started.port());
            pooler = Some(started);
        }
        let bridge = Bridge::start_by(clock.as_ref(), &folder, &url, &flags).await;
        let (mut second, mut doors) = (None, Vec::new());
        if matches!(terrain, Terrain::Nodes | Terrain::Crowded) {
            let other = folder.join("second");
            std::fs::create_dir_all(&other).expect("a folder");
            let node = Bridge::start(&other, &url, &flags).await;
            let (one, two) = (bridge.address.port(), node.address.port());
            second = Some(node);
            doors = vec![Proxy::start(vec![one, two]).await, Proxy::start(vec![two, one]).await];
        }
        Self { postgres, proxy, bridge, lifecycle, second, doors, pooler, clock }
    }

    /// Where one of the clients goes in.
    pub(crate) fn address(&self, client: i64) -> SocketAddr {
        let nth = client.unsigned_abs() as usize % self.doors.len().max(1);
        self.doors.get(nth).map_or(self.bridge.address, |door| ([127, 0, 0, 1], door.port()).into())
    }

    /// A connection straight to the database, as the role that owns it.
    pub(crate) async fn client(&self) -> Client {
        let target = Target::parse(&self.postgres.url()).expect("a URL");
        target.client(&self.lifecycle).await.expect("a connection")
    }

    /// Where the pooler is, for the role that owns the database.
    pub(crate) fn target_pooled(&self) -> Target {
        let port = self.pooler.as_ref().expect("a pooler").port();
        Target::parse(&with_port(self.postgres.url().reveal(), port)).expect("a URL")
    }

    /// A connection through the pooler, as any other application has it.
    pub(crate) async fn client_pooled(&self) -> Client {
        self.target_pooled().client(&self.lifecycle).await.expect("a connection")
    }

    /// A connection by the bridge's own way, as the role that owns the database.
    pub(crate) async fn client_through(&self) -> Client {
        let url = with_port(self.postgres.url().reveal(), self.proxy.port());
        let target = Target::parse(&url).expect("a URL");
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

pub(crate) fn with_port(url: &str, port: u16) -> Secret {
    let (server, database) = url.rsplit_once('/').expect("a database name");
    let (host, _) = server.rsplit_once(':').expect("a port");
    Secret::new(format!("{host}:{port}/{database}"))
}
