//! The world of a schedule: one database, the real hub, clients with real followers and cursors, and what each is owed.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::{
    super::{Follower, Next},
    asker::Asker,
    postgres::{Bug, Postgres, Row},
    verdict::Outcome,
};
use crate::{
    change::{Change, Op},
    config::Secret,
    cursor::Position,
    db::{Pool, Target},
    feed::{Batches, Origin, Page, known_since},
    hub::Hub,
    lifecycle::Lifecycle,
    topic::Topic,
};

/// Small, so that mailboxes overflow.
const CAPACITY: usize = 3;
/// Changes that the hub remembers: few, so that clients come back to what it has forgotten, too. With a bug in the
/// database none, or it would hide there.
const REMEMBERED: usize = 6;
/// The last of them is a guest.
pub(super) const CLIENTS: u8 = 4;
const GUEST: u8 = CLIENTS - 1;
pub(super) const TOPICS: u8 = 3;

thread_local! {
    /// It leads nowhere: the log is the model's.
    static POOL: Pool = {
        let nowhere = Secret::new("postgres://nobody@127.0.0.1:1/none");
        let target = Target::parse(&nowhere).expect("a URL");
        Pool::new(&target, 1, Duration::from_secs(1), &Lifecycle::new())
    };
}

/// A client that resumes by its cursor; or a guest, who has none, and asks for what there is since the newest that it had.
pub(super) struct Client {
    pub(super) topics: Vec<u8>,
    pub(super) follower: Option<Follower>,
    cursor: Option<String>,
    /// What it is not owed: it was there before it came in.
    pub(super) before: Option<HashSet<u32>>,
    pub(super) got: Vec<u32>,
    /// What a guest has of answers and from its socket, and the time of the newest.
    pub(super) guest: Option<Asker>,
}

pub(super) struct World {
    pub(super) postgres: Postgres,
    hub: Hub,
    /// Where the feed's connection stands, while there is one.
    feed: Option<Position>,
    /// What the feed's place is past.
    passed: HashSet<u32>,
    pub(super) clients: Vec<Client>,
    pub(super) asker: Asker,
    pub(super) outcome: Outcome,
    /// What went wrong, in words.
    pub(super) wrong: Option<String>,
}

impl World {
    pub(super) fn new(bug: Option<Bug>) -> Self {
        let clients = (0..CLIENTS).map(|nth| Client {
            topics: (0..TOPICS).filter(|topic| *topic != nth).collect(),
            follower: None,
            cursor: None,
            before: None,
            got: Vec::new(),
            guest: (nth == GUEST).then(Asker::default),
        });
        let mut world = Self {
            postgres: Postgres::new(bug),
            hub: Hub::remembering(if bug.is_some() { 0 } else { REMEMBERED }),
            feed: None,
            passed: HashSet::new(),
            clients: clients.collect(),
            asker: Asker::default(),
            outcome: Outcome::default(),
            wrong: None,
        };
        world.listen(false);
        world
    }

    pub(super) fn wrong(&mut self, words: impl FnOnce() -> String) {
        self.wrong.get_or_insert_with(words);
    }

    pub(super) fn lose_listener(&mut self) {
        self.feed = None;
    }

    /// The database is another one: connections are lost, and who asks by time asks the tables.
    pub(super) fn restored(&mut self) {
        self.feed = None;
        self.forget_times();
    }

    /// The clock is set. A time from before it was set back stands for nothing: whoever has one asks from the tables.
    pub(super) fn step_clock(&mut self, by: i64) {
        self.postgres.step_clock(by);
        if by < 0 {
            self.forget_times();
        }
    }

    /// Retention; a feed that is connected has read on by then, for the log is kept longer than a read takes.
    pub(super) fn prune(&mut self, kept: u8) {
        if self.feed.is_some() {
            self.read(4, None, false);
        }
        self.postgres.prune(kept);
    }

    /// A fresh connection of the feed.
    fn listen(&mut self, too_much: bool) {
        let (history, recovered) = (self.postgres.history(), self.postgres.recovered);
        let pruned_below = self.postgres.pruned_below;
        let origin = Origin { history, now: self.postgres.now(), recovered, pruned_below };
        let position = origin.go_on(&self.hub, too_much);
        if position == Position::at(origin.now) {
            self.passed = self.postgres.committed.clone();
        }
        self.feed = Some(position);
    }

    /// The feed reads, all of it or so many rows before it loses its connection; without one it connects.
    pub(super) fn read(&mut self, chunk: usize, rows: Option<usize>, too_much: bool) {
        let Some(position) = self.feed.take() else { return self.listen(too_much) };
        let floor = self.postgres.floor(&position);
        let (upto, found) = self.postgres.lacking(&position, floor, None, usize::MAX);
        let found = self.by_ids_only(found);
        let mut batches = Batches::new(position, self.postgres.history(), chunk);
        batches.begin(upto);
        let all = rows.is_none_or(|rows| rows >= found.len());
        for (late, row) in found.into_iter().take(rows.unwrap_or(usize::MAX)) {
            let chunk = batches.push(late, row.id, Some(change(row)));
            self.publish(chunk);
        }
        if all {
            let rest = batches.rest();
            self.publish(rest);
            let batch = batches.finish().expect("begun");
            self.hub.finish(&batch);
            self.feed = Some(Position::at(batch.upto.clone()));
        }
    }

    fn publish(&mut self, chunk: Option<crate::feed::Chunk>) {
        let Some(chunk) = chunk else { return };
        self.hub.publish(&chunk.batch, &chunk.deliveries);
        self.passed.extend(chunk.deliveries.iter().map(|delivery| uid(&delivery.change)));
    }

    /// The planted bug of those who remember the largest id.
    fn by_ids_only(&self, found: Vec<(bool, Row)>) -> Vec<(bool, Row)> {
        if self.postgres.bug != Some(Bug::IdsOnly) {
            return found;
        }
        let last = self
            .passed
            .iter()
            .filter_map(|uid| self.postgres.rows.get(uid))
            .map(|row| row.id)
            .max();
        found.into_iter().filter(|(_, row)| Some(row.id) > last).collect()
    }

    /// A client comes in, by its cursor if it has one.
    pub(super) fn come(&mut self, nth: u8) {
        let asked = self.postgres.now();
        let client = &mut self.clients[usize::from(nth % CLIENTS)];
        if client.follower.is_some() {
            return;
        }
        let pool = POOL.with(Pool::clone);
        let Some(mut follower) = Follower::open(&self.hub, pool, CAPACITY, &[]) else { return };
        let topics: Vec<Topic> = client.topics.iter().map(|topic| name(*topic)).collect();
        follower.come_in(&topics, asked);
        let resumed = match client
            .cursor
            .as_deref()
            .filter(|_| client.guest.is_none())
            .map(|cursor| follower.resume(cursor))
        {
            Some(Err(error)) => return self.wrong(|| format!("a cursor was refused: {error}")),
            Some(Ok(Some(()))) => true,
            Some(Ok(None)) => {
                self.outcome.resyncs += 1;
                false
            }
            None => false,
        };
        if client.guest.is_some() {
            client.before.get_or_insert_default();
        } else if !resumed {
            // It begins where the database stood when it was asked, or where the hub is further.
            client.before = Some(&self.passed | &self.postgres.committed);
            client.got.clear();
            client.cursor = Some(follower.cursor());
        }
        client.follower = Some(follower);
        self.catch_up(nth);
    }

    /// A client goes away without a word.
    pub(super) fn go(&mut self, nth: u8) {
        self.clients[usize::from(nth % CLIENTS)].follower = None;
    }

    /// A client takes what comes next: a page of so many rows, or what is in its mailbox; of that it may get so much only.
    pub(super) fn step(&mut self, nth: u8, limit: usize, gets: Option<usize>) {
        let nth = usize::from(nth % CLIENTS);
        let Some(mut follower) = self.clients[nth].follower.take() else { return };
        let mut out = Vec::new();
        if let Some(replay) = follower.replay.clone() {
            self.outcome.pages += 1;
            let topics = self.clients[nth].topics.clone();
            let names: Vec<Topic> = topics.iter().map(|topic| name(*topic)).collect();
            let page = match follower.remembered(&replay, &names, limit) {
                Some(page) => {
                    self.outcome.remembered += 1;
                    Ok(page)
                }
                None => self.page(&replay.from, Some(&topics), limit),
            };
            if let Err(error) = follower.turn(replay, page, &mut out) {
                self.wrong(|| format!("client {nth}: a page failed: {error}"));
            }
        } else if let Some(Err(error)) = follower.next(&mut out).now_or_never() {
            self.wrong(|| format!("client {nth}: {error}"));
        }
        follower.keep_up();
        let whole = gets.is_none_or(|gets| gets >= out.len());
        for next in out.into_iter().take(gets.unwrap_or(usize::MAX)) {
            self.take(nth, &follower, &next);
        }
        if whole {
            // What it is told as "resumed", and what a ping could tell it.
            if !follower.is_replaying() && limit.is_multiple_of(2) {
                let empty = follower.mailbox.stands_at().is_some();
                if empty {
                    self.clients[nth].cursor = Some(follower.cursor());
                }
            }
            self.clients[nth].follower = Some(follower);
        }
    }

    fn take(&mut self, nth: usize, follower: &Follower, next: &Next) {
        let client = &mut self.clients[nth];
        match next {
            Next::Change(delivery, cursor) => {
                client.got.push(uid(&delivery.change));
                if let Some(guest) = &mut client.guest {
                    guest.hear(uid(&delivery.change), delivery.change.at);
                }
                client.cursor = Some(cursor.as_str().to_owned());
                self.outcome.delivered += 1;
            }
            Next::Resync => {
                client.got.clear();
                client.before = Some(self.passed.clone());
                client.cursor = Some(follower.cursor());
                self.outcome.resyncs += 1;
                self.afresh(nth);
            }
            Next::Lagged => self.outcome.overflows += 1,
            Next::Heed(_) | Next::Signal(_) => {}
        }
    }

    /// `feed::replay`, on the model.
    pub(super) fn page(
        &mut self,
        position: &Position,
        topics: Option<&[u8]>,
        limit: usize,
    ) -> crate::error::Result<Page> {
        let floor = self.postgres.floor(position);
        let (upto, found) = self.postgres.lacking(position, floor, topics, limit);
        let mut batches = Batches::new(position.clone(), self.postgres.history(), 2);
        let mut deliveries = Vec::new();
        batches.begin(upto.clone());
        for (late, row) in found {
            let chunk = batches.push(late, row.id, Some(change(row)));
            deliveries.extend(chunk.into_iter().flat_map(|chunk| chunk.deliveries));
        }
        deliveries.extend(batches.rest().into_iter().flat_map(|chunk| chunk.deliveries));
        if self.postgres.bug != Some(Bug::NoPruned) {
            let known = known_since(position, floor, self.postgres.pruned_below);
            // By the numbers and by the clock: what is not certain is old.
            let boundary = self.postgres.boundary.as_ref();
            let old = boundary.is_none_or(|boundary| !position.base.covers(boundary));
            if known.is_err() && !old {
                self.wrong(|| format!("resync for {position:?}, which is younger than the log"));
            }
            known?;
        }
        if self.postgres.bug == Some(Bug::PageIsBatch) {
            return Ok(Page { deliveries, position: Position::at(upto), more: false });
        }
        batches.page(deliveries, limit, false)
    }
}

fn name(topic: u8) -> Topic {
    Topic::parse(&format!("thread:{topic}")).expect("legal")
}

fn change(row: Row) -> Change {
    Change {
        id: row.id,
        xid: row.xid,
        at: row.at,
        topic: name(row.topic),
        relation: Arc::from(row.uid.to_string()),
        op: Op::Insert,
        key: None,
        record: None,
        old_record: None,
        link: None,
    }
}

/// The row that a change is, which its relation's name tells here.
pub(super) fn uid(change: &Change) -> u32 {
    change.relation.parse().expect("a uid")
}
