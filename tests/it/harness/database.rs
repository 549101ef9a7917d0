//! A migrated database for one test, dropped with the value.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rowcast::{
    db::{Pool, Target},
    lifecycle::Lifecycle,
};
use tokio_postgres::Client;

use super::cluster::{Shared, TEMPLATE, cluster};

/// A database of the run's cluster that nobody else uses; its owner is an ordinary role.
pub(crate) struct Database {
    name: String,
    shared: &'static Shared,
    lifecycle: Lifecycle,
}

impl Database {
    /// Clones the migrated template.
    pub(crate) async fn new() -> Self {
        Self::create(&format!("template {TEMPLATE}")).await
    }

    /// Makes a database in which nothing is installed.
    pub(crate) async fn empty() -> Self {
        Self::create("").await
    }

    async fn create(template: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (shared, lifecycle) = (cluster().await, Lifecycle::new());
        let client = shared.superuser.client(&lifecycle).await.expect("a connection");
        let create = format!("create database {name} owner rowcast_dev {template}");
        client.batch_execute(&create).await.expect("a database");
        Self { name, shared, lifecycle }
    }

    /// The URL for the role that owns it.
    pub(crate) fn url(&self) -> String {
        self.renamed(&self.shared.owner_url)
    }

    /// The URL for another role.
    pub(crate) fn url_of(&self, role: &str, password: &str) -> String {
        let url = self.url();
        let (_, place) = url.rsplit_once('@').expect("a server");
        format!("postgres://{role}:{password}@{place}")
    }

    /// Where it is, for the role that owns it.
    pub(crate) fn target(&self) -> Target {
        self.shared.owner.with_database(&self.name)
    }

    /// A connection of the role that owns it.
    pub(crate) async fn client(&self) -> Client {
        self.target().client(&self.lifecycle).await.expect("a connection")
    }

    /// A connection of the superuser.
    pub(crate) async fn superuser(&self) -> Client {
        let target = self.shared.superuser.with_database(&self.name);
        target.client(&self.lifecycle).await.expect("a connection")
    }

    /// A pool of four connections with a deadline of five seconds.
    pub(crate) fn pool(&self) -> Pool {
        Pool::new(&self.target(), 4, Duration::from_secs(5), &self.lifecycle)
    }

    /// The lifecycle that drives the connections of this value.
    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    fn renamed(&self, url: &str) -> String {
        let (server, _) = url.rsplit_once('/').expect("a database name");
        format!("{server}/{}", self.name)
    }
}

impl Drop for Database {
    /// Nobody waits for it: to drop a database Postgres waits for every backend, and one of a connection that this very
    /// runtime has begun answers only when the runtime goes on. What is not dropped goes with the cluster.
    fn drop(&mut self) {
        let target = self.shared.superuser.clone();
        let drop = format!("drop database if exists {} with (force)", self.name);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client =
                    target.client(&Lifecycle::new()).await.map_err(std::io::Error::other)?;
                client.batch_execute(&drop).await.map_err(std::io::Error::other)
            })
        });
    }
}
