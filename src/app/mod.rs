//! The wiring: builds the parts, starts them in order, serves until a signal, drains.

mod addresses;
mod admin;
mod asked;
mod client;
mod connection;
mod cors;
mod described;
mod http;
mod patient;
mod reload;
mod rewound;
mod traced;
mod web;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpSocket};
use uuid::Uuid;

pub use reload::{Again, Fresh, LIVE};
pub use web::{Demo, DemoUser};

use crate::{
    auth::Verifier,
    chat::Chat,
    config::{Config, Supabase},
    db::{self, Pool, Target},
    dialects,
    error::{Error, Kind, Result},
    feed::{Feed, Keeper, Status},
    hub::Hub,
    lifecycle::Lifecycle,
    live::Live,
    session::{self, Limits, Permit, Register, Services, Settings},
};
use reload::Reload;

/// How long a start waits for the database.
const START_DEADLINE: Duration = Duration::from_secs(30);
const LIMITS_SWEEP: Duration = Duration::from_secs(60);
/// Connections that wait to be accepted, as far as `net.core.somaxconn` lets it. Linux answers none beyond that, and each of
/// those tries again a second later: thousands who come back at once were let in a second late for nothing else.
const BACKLOG: u32 = 65_535;

/// Where a running bridge is reached.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Clients.
    pub http: SocketAddr,
    /// `/live`, `/ready`, `/metrics`, `/admin`.
    pub admin: SocketAddr,
}

/// A running bridge.
pub struct Running {
    /// Where it is reached.
    pub addresses: Addresses,
    keeper: Keeper,
    lifecycle: Lifecycle,
    grace: Duration,
}

/// Serves until SIGTERM or SIGINT, then drains.
pub async fn run(
    config: Config,
    demo: Option<Demo>,
    lifecycle: Lifecycle,
    again: Option<Again>,
    ready: impl FnOnce(Addresses),
) -> Result<()> {
    let running = start_with(config, demo, lifecycle, again).await?;
    ready(running.addresses);
    interrupted().await?;
    tracing::info!("stopping: telling clients");
    running.stop().await;
    Ok(())
}

/// Starts all parts; returns when changes are being delivered.
pub async fn start(config: Config, demo: Option<Demo>, lifecycle: Lifecycle) -> Result<Running> {
    start_with(config, demo, lifecycle, None).await
}

async fn start_with(
    config: Config,
    demo: Option<Demo>,
    lifecycle: Lifecycle,
    again: Option<Again>,
) -> Result<Running> {
    let target = Target::parse(&config.database.url)?;
    let listen = config.database.listen_url.as_ref().map(Target::parse).transpose()?;
    let pool =
        Pool::new(&target, config.database.pool_size, config.database.database_timeout, &lifecycle);
    let verifier = Verifier::from_config(&config.auth).await?;
    db::migrate::check(&pool).await?;

    // Before the feed, which says at its start that it listens.
    let recorder = admin::record()?;
    let hub = Hub::remembering(config.limits.remember);
    let feed = Feed::new(listen.unwrap_or(target), hub.clone(), lifecycle.clone());
    let keeper = Keeper {
        pool: pool.clone(),
        hub: hub.clone(),
        status: feed.status(),
        lifecycle: lifecycle.clone(),
        node: Uuid::new_v4(),
        name: config.node.clone(),
        retention: config.retention,
        publications: Arc::default(),
    };
    lifecycle.service("feed", feed.run());
    let services = services(&config, hub, pool, verifier, &lifecycle);
    started(&keeper.status).await?;
    keeper.start();
    housekeeping(&services);
    let (theirs, chores) = (services.clone(), keeper.clone());
    Reload { services: theirs, keeper: chores, config: config.clone(), again }.start()?;

    let clients = bind((config.host, config.port).into())?;
    let operators = bind((config.admin_host, config.admin_port).into())?;
    let addresses = Addresses {
        http: clients.local_addr().map_err(Error::internal)?,
        admin: operators.local_addr().map_err(Error::internal)?,
    };
    let routes = web::with_pages(dialects::routes(&services), config.demo_page, demo);
    let routes = described::with_descriptions(client::with_modules(routes));
    http::serve_clients(clients, routes, &services)?;
    let operating = admin::routes(&config, &services, &keeper.status, recorder)?;
    http::serve(operators, operating, &services);
    tracing::info!(http = %addresses.http, admin = %addresses.admin, "serving on {}", addresses.http);
    Ok(Running { addresses, keeper, lifecycle, grace: config.grace })
}

impl Running {
    /// How many polls wait.
    pub fn parked_polls(&self) -> usize {
        self.keeper.hub.presence().parked()
    }

    /// Tells clients, waits for them, ends everything.
    pub async fn stop(self) {
        self.lifecycle.drain(self.grace).await;
        self.keeper.goodbye().await;
        self.lifecycle.stop().await;
    }
}

fn services(
    config: &Config,
    hub: Hub,
    pool: Pool,
    verifier: Verifier,
    lifecycle: &Lifecycle,
) -> Services {
    let limits = &config.limits;
    Services {
        hub,
        chat: Chat::start(pool.clone(), lifecycle),
        permit: Permit::start(pool.clone(), lifecycle),
        pool,
        verifier,
        register: Register::default(),
        limits: Limits::new(limits, config.content_policy),
        lifecycle: lifecycle.clone(),
        settings: Live::new(settings(config, None)),
    }
}

/// The settings that sessions read; those that what was built `before` goes by stay as they were.
fn settings(config: &Config, before: Option<&Settings>) -> Settings {
    let limits = &config.limits;
    let fresh = Settings {
        max_frame: limits.max_frame,
        mailbox: limits.mailbox,
        send_deadline: limits.send_deadline,
        ping_interval: limits.ping_interval,
        max_connections: limits.max_connections,
        allowed_origins: config.allowed_origins.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        rate_handshakes: limits.rate_handshakes,
        rate_failures: limits.rate_failures,
        direct_price: config.direct_price.into(),
        supabase: config.supabase.clone(),
    };
    let Some(before) = before else { return fresh };
    Settings {
        max_frame: before.max_frame,
        send_deadline: before.send_deadline,
        ping_interval: before.ping_interval,
        supabase: Supabase {
            supabase_upstream: before.supabase.supabase_upstream.clone(),
            broadcast_limit: before.supabase.broadcast_limit,
            ..fresh.supabase
        },
        ..fresh
    }
}

/// What ends by itself: typing, presence, buckets that are full again, keys that are outdated.
fn housekeeping(services: &Services) {
    let lifecycle = &services.lifecycle;
    lifecycle.service("typing", session::keep_typing(services.hub.clone()));
    lifecycle.service("presence", session::keep_presence(services.clone()));
    let limits = services.limits.clone();
    lifecycle.service("limits", async move {
        loop {
            tokio::time::sleep(LIMITS_SWEEP).await;
            limits.sweep();
        }
    });
    lifecycle.service("keys", services.verifier.clone().keep_fresh());
}

/// Waits until changes are being delivered: from then on none is missed, and `/ready` says so.
async fn started(status: &Status) -> Result<()> {
    let wait = async {
        while status.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(START_DEADLINE, wait).await.map_err(|_| {
        Error::new(
            Kind::Unavailable,
            "The listener could not connect to the database; run `rowcast doctor`",
        )
    })
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A node that starts again finds connections of before on its port.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|error: std::io::Error| {
        let message =
            format!("Cannot listen on {address} ({error}); choose another --port or --admin-port");
        Error::new(Kind::Unavailable, message)
    })
}

async fn interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
