//! The writers: connections that commit rows at a pace or as fast as they can, and publish where the peer wants that.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::time::Instant;
use tokio_postgres::NoTls;

use super::{
    http::Http,
    peers::{Kind, Peer, Publish},
};
use crate::postgres::Postgres;

/// Connections that commit at the same time: with a flush of 1 ms fewer do not reach 5,000 commits a second.
const WRITERS: u64 = 12;

/// How rows are written for a peer.
pub(super) struct Writers {
    url: String,
    insert: &'static str,
    publish: Option<Publish>,
    /// Numbers are given once.
    next: Arc<AtomicU64>,
}

impl Writers {
    pub(super) fn start(postgres: &Postgres, peer: &Peer) -> Result<Self> {
        Ok(Self {
            url: postgres.url(),
            insert: peer.kind.insert(),
            publish: peer.publish(),
            next: Arc::default(),
        })
    }

    /// The same writers, with a table that nobody listens to.
    pub(super) fn plain(postgres: &Postgres) -> Self {
        let insert = Kind::Nchan.insert();
        Self { url: postgres.url(), insert, publish: None, next: Arc::default() }
    }

    /// Commits at a pace for so many seconds; when each number's commit was acknowledged.
    pub(super) fn paced(
        &self,
        topic: usize,
        pace: u64,
        seconds: u64,
    ) -> Result<Vec<(u64, Instant)>> {
        let begin = Instant::now() + Duration::from_millis(100);
        let end = begin + Duration::from_secs(seconds);
        let first = self.next.load(Ordering::Relaxed);
        let mut acked = self.each(|writer, line| {
            let mut acked = Vec::new();
            // Who is late goes on at once, and stops with the others: what a peer lets be written shows.
            for nth in (writer..pace * seconds).step_by(WRITERS as usize) {
                let due = begin + Duration::from_secs(nth) / u32::try_from(pace)?;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if Instant::now() > end {
                    break;
                }
                acked.push((first + nth, line.write(topic, first + nth)?));
            }
            Ok(acked)
        })?;
        self.next.fetch_add(pace * seconds, Ordering::Relaxed);
        acked.sort_unstable_by_key(|(number, _)| *number);
        Ok(acked)
    }

    /// Commits so many messages, one a transaction, to the topics in turn, as fast as it goes.
    pub(super) fn burst(&self, topics: &[usize], messages: usize) -> Result<()> {
        let first = self.next.fetch_add(messages as u64, Ordering::Relaxed);
        self.each(|writer, line| {
            for nth in (writer..messages as u64).step_by(WRITERS as usize) {
                let turn = usize::try_from(nth)? % topics.len();
                line.write(topics.get(turn).copied().unwrap_or_default(), first + nth)?;
            }
            Ok(Vec::<()>::new())
        })?;
        Ok(())
    }

    /// Commits to the topics in turn, as fast as it goes, for so long; how many a second.
    pub(super) fn flat_out(&self, topics: &[usize], time: Duration) -> Result<f64> {
        let written = self.each(|writer, line| {
            let end = Instant::now() + time;
            let mut written = Vec::new();
            for turn in (usize::try_from(writer)?..).step_by(WRITERS as usize) {
                if Instant::now() > end {
                    break;
                }
                let topic = topics.get(turn % topics.len()).copied().unwrap_or_default();
                line.write(topic, self.next.fetch_add(1, Ordering::Relaxed))?;
                written.push(());
            }
            Ok(written)
        })?;
        Ok(written.len() as f64 / time.as_secs_f64())
    }

    /// Runs a piece of work on every writer's own thread and connection.
    fn each<T: Send>(
        &self,
        work: impl Fn(u64, &mut Line) -> Result<Vec<T>> + Sync,
    ) -> Result<Vec<T>> {
        let work = &work;
        thread::scope(|scope| {
            let running: Vec<_> = (0..WRITERS)
                .map(|writer| scope.spawn(move || work(writer, &mut self.line()?)))
                .collect();
            let mut all = Vec::new();
            for one in running {
                all.extend(one.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??);
            }
            Ok(all)
        })
    }

    fn line(&self) -> Result<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&self.url, NoTls))?;
        runtime.spawn(async move {
            let _ = connection.await;
        });
        let statement = runtime.block_on(client.prepare(self.insert))?;
        let publish = self.publish.clone();
        let http = publish.as_ref().map(|publish| Http::connect(publish.address)).transpose()?;
        Ok(Line { runtime, client, statement, publish: publish.zip(http) })
    }
}

/// One writer's connections.
struct Line {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
    statement: tokio_postgres::Statement,
    publish: Option<(Publish, Http)>,
}

impl Line {
    /// Commits one row, and publishes it where nobody else does; when the commit was acknowledged.
    fn write(&mut self, topic: usize, number: u64) -> Result<Instant> {
        let (topic, body) = (topic.to_string(), format!("no {number}. {:x<100}", ""));
        self.runtime
            .block_on(self.client.execute(&self.statement, &[&topic, &body]))
            .context("an insert")?;
        let acked = Instant::now();
        if let Some((publish, http)) = &mut self.publish {
            http.send(&(publish.request)(&topic, &body)).context("publishing")?;
        }
        Ok(acked)
    }
}
