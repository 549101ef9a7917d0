//! A Postgres in memory: transaction numbers, snapshots, row locks, the log, checkpoints, retention, crashes.
//!
//! Numbers and ids are given before the commit, snapshots end at the newest *finished* number, a savepoint takes a
//! number of its own, a prepared transaction survives a crash, and a commit that did not wait for the disk may not.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    cursor::{HistoryId, Mark, Position, Snapshot},
    feed::ABOVE_ALL,
};

/// What can be planted to see whether it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// The read goes by `id > last`, as most hand-written bridges do.
    IdsOnly,
    /// The read forgets the transactions that were open.
    NoXip,
    /// The position after a read is that of a later moment.
    CursorAtNow,
    /// The last page that was asked for counts as the whole batch.
    PageIsBatch,
    /// A position in a batch forgets how far in it is.
    NoPartial,
    /// What was captured after the position's time does not count as unseen.
    NoTime,
    /// Nobody asks what retention has removed.
    NoPruned,
    /// A checkpoint takes the clock first and the snapshot after.
    ClockFirst,
    /// The time of a checkpoint is ignored: the newest one is taken.
    NewestCheckpoint,
}

/// A row of the log; `uid` tells it from every other that ever was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) uid: u32,
    pub(super) id: i64,
    pub(super) xid: u64,
    pub(super) at: i64,
    pub(super) topic: u8,
}

#[derive(Debug, Default)]
struct Open {
    rows: Vec<Row>,
    savepoint: Option<usize>,
    prepared: bool,
    lazy: bool,
}

/// What reached the write-ahead log, in order; from the newest on that waited for the disk all before it is safe.
#[derive(Debug)]
enum Written {
    Commit {
        xid: u64,
        lazy: bool,
    },
    Checkpoint {
        xid: u64,
    },
    /// It is on the disk, and so is what came before it: a prepared transaction, the end of a recovery.
    Safe,
}

/// The server and its one database.
pub(super) struct Postgres {
    pub(super) bug: Option<Bug>,
    clock: i64,
    next_xid: u64,
    /// The newest number that has ended.
    latest: u64,
    next_id: i64,
    next_uid: u32,
    open: BTreeMap<u64, Open>,
    wal: Vec<Written>,
    /// Below it no number is given out again: a recovery writes it down.
    safe_xid: u64,
    /// Committed rows that retention has left, in the order of their commits.
    pub(super) log: Vec<Row>,
    /// All that is committed for good, pruned or not.
    pub(super) committed: HashSet<u32>,
    pub(super) checkpoints: Vec<Mark>,
    pub(super) pruned_below: u64,
    /// The checkpoint that retention went by.
    pub(super) boundary: Option<Mark>,
    pub(super) history: u32,
    pub(super) recovered: Option<i64>,
    /// Clock steps and lost numbers are told apart by the clock: a schedule has one or the other.
    stepped: bool,
    crashed: bool,
    /// Whether the clock was set back: then something may be told again, and nothing be lost.
    pub(super) set_back: bool,
    /// Every row that ever was committed.
    pub(super) rows: HashMap<u32, Row>,
    early: Option<i64>,
}

impl Postgres {
    pub(super) fn new(bug: Option<Bug>) -> Self {
        Self {
            bug,
            clock: 1_000_000,
            next_xid: 100,
            latest: 99,
            next_id: 1,
            next_uid: 1,
            open: BTreeMap::new(),
            wal: Vec::new(),
            safe_xid: 100,
            log: Vec::new(),
            committed: HashSet::new(),
            checkpoints: Vec::new(),
            pruned_below: 0,
            boundary: None,
            history: 1,
            recovered: None,
            stepped: false,
            crashed: false,
            set_back: false,
            rows: HashMap::new(),
            early: None,
        }
    }

    pub(super) fn history(&self) -> HistoryId {
        HistoryId(self.history)
    }

    /// The clock, which moves on whenever it is looked at.
    pub(super) fn clock(&mut self) -> i64 {
        self.clock += 7;
        self.clock
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let xmax = self.latest + 1;
        let xip: Vec<u64> = self.open.keys().copied().filter(|xid| *xid < xmax).collect();
        let xmin = xip.first().copied().unwrap_or(xmax);
        Snapshot::new(xmin, xmax, xip).expect("legal")
    }

    /// The present moment: first the snapshot, then the clock.
    pub(super) fn now(&mut self) -> Mark {
        Mark { snapshot: self.snapshot(), at: self.clock() }
    }

    fn number(&mut self) -> u64 {
        self.next_xid += 1;
        self.next_xid - 1
    }

    pub(super) fn begin(&mut self, lazy: bool) {
        if self.open.len() < 6 {
            let xid = self.number();
            self.open.insert(xid, Open { lazy, ..Open::default() });
        }
    }

    /// One of the transactions that are open; of those that are prepared only when asked for.
    fn pick(&self, nth: u8, prepared: bool) -> Option<u64> {
        let able: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| prepared || !open.prepared)
            .map(|(xid, _)| *xid)
            .collect();
        (!able.is_empty()).then(|| able[usize::from(nth) % able.len()])
    }

    /// Writes into a topic, unless somebody else holds its row.
    pub(super) fn write(&mut self, nth: u8, topic: u8) {
        let Some(xid) = self.pick(nth, false) else { return };
        let holds = |open: &Open| open.rows.iter().any(|row| row.topic == topic);
        if self.open.iter().any(|(other, open)| *other != xid && holds(open)) {
            return;
        }
        let at = self.clock();
        let row = Row { uid: self.next_uid, id: self.next_id, xid, at, topic };
        (self.next_uid, self.next_id) = (self.next_uid + 1, self.next_id + 1);
        if let Some(open) = self.open.get_mut(&xid) {
            open.rows.push(row);
        }
    }

    /// Sets a savepoint, or goes back to the one there is.
    pub(super) fn savepoint(&mut self, nth: u8) {
        let Some(xid) = self.pick(nth, false) else { return };
        self.number();
        if let Some(open) = self.open.get_mut(&xid) {
            match open.savepoint.take() {
                Some(kept) => open.rows.truncate(kept),
                None => open.savepoint = Some(open.rows.len()),
            }
        }
    }

    pub(super) fn prepare(&mut self, nth: u8) {
        if let Some(open) = self.pick(nth, false).and_then(|xid| self.open.get_mut(&xid)) {
            open.prepared = true;
            self.wal.push(Written::Safe);
        }
    }

    pub(super) fn end(&mut self, nth: u8, commit: bool) {
        let Some(xid) = self.pick(nth, true) else { return };
        let Some(open) = self.open.remove(&xid) else { return };
        self.latest = self.latest.max(xid);
        if commit {
            self.committed.extend(open.rows.iter().map(|row| row.uid));
            self.rows.extend(open.rows.iter().map(|row| (row.uid, *row)));
            self.log.extend(open.rows);
            self.wal.push(Written::Commit { xid, lazy: open.lazy && !open.prepared });
        }
    }

    pub(super) fn checkpoint(&mut self) {
        if self.bug == Some(Bug::ClockFirst) {
            // What commits between the two is seen by a checkpoint of a time before it.
            let Some(early) = self.early.take() else {
                self.early = Some(self.clock());
                return;
            };
            let at = early.max(self.checkpoints.last().map_or(0, |last| last.at + 1));
            let snapshot = self.snapshot();
            self.keep(Mark { snapshot, at });
            return;
        }
        let now = self.now();
        let at = now.at.max(self.checkpoints.last().map_or(0, |last| last.at + 1));
        self.keep(Mark { at, ..now });
    }

    fn keep(&mut self, mark: Mark) {
        let xid = self.number();
        self.latest = self.latest.max(xid);
        self.checkpoints.push(mark);
        self.wal.push(Written::Checkpoint { xid });
    }

    /// Retention, as `rowcast.prune` does it, with the checkpoint so many from the newest as the boundary.
    pub(super) fn prune(&mut self, kept: u8) {
        let place = self.checkpoints.len().checked_sub(1 + usize::from(kept));
        let Some(boundary) = place.map(|place| self.checkpoints[place].clone()) else { return };
        let below = boundary.snapshot.xmin();
        self.pruned_below = self.pruned_below.max(below);
        self.boundary = Some(boundary.clone());
        self.log.retain(|row| row.xid >= below);
        self.checkpoints.retain(|mark| mark.at >= boundary.at);
        self.wal.push(Written::Safe);
    }

    /// Every process dies; up to so many of the last commits that did not wait for the disk never were.
    pub(super) fn crash(&mut self, lost: u8) -> bool {
        if self.stepped {
            return false;
        }
        self.crashed = true;
        self.open.retain(|_, open| open.prepared);
        for _ in 0..lost {
            match self.wal.last() {
                Some(Written::Commit { xid, lazy: true }) => {
                    let gone = |row: &Row| row.xid == *xid;
                    for row in self.log.iter().filter(|row| gone(row)) {
                        self.committed.remove(&row.uid);
                    }
                    self.log.retain(|row| !gone(row));
                }
                Some(Written::Checkpoint { .. }) if !self.checkpoints.is_empty() => {
                    self.checkpoints.pop();
                }
                _ => break,
            }
            self.wal.pop();
        }
        let of = |written: &Written| match written {
            Written::Commit { xid, .. } | Written::Checkpoint { xid } => Some(*xid),
            Written::Safe => None,
        };
        let written = self.wal.iter().filter_map(of);
        let durable = written.chain(self.open.keys().copied()).max().unwrap_or(0);
        let least = self.safe_xid.max(durable + 1);
        self.next_xid = self.next_xid.min(least + u64::from(lost % 3));
        (self.safe_xid, self.latest) = (self.next_xid, self.next_xid - 1);
        self.wal.push(Written::Safe);
        let rows = self.log.iter().chain(self.open.values().flat_map(|open| &open.rows));
        self.next_id = self.next_id.min(rows.map(|row| row.id).max().unwrap_or(0) + 1).max(1);
        self.clock += 1_000;
        self.recovered = Some(self.clock);
        true
    }

    /// A replica takes over that lacks the last commits; it is another history with the same log.
    pub(super) fn fail_over(&mut self, lost: u8) -> bool {
        let failed = self.crash(lost);
        self.history += u32::from(failed);
        failed
    }

    /// A dump is restored: other numbers, and whoever adopts it empties the log.
    pub(super) fn restore(&mut self) -> bool {
        if !self.crash(0) {
            return false;
        }
        self.open.clear();
        self.history += 1;
        (self.next_xid, self.latest) = (self.next_xid / 2 + 60, self.next_xid / 2 + 59);
        self.wal.clear();
        self.safe_xid = self.next_xid;
        self.log.clear();
        self.checkpoints.clear();
        self.boundary = None;
        self.pruned_below = self.latest + 1;
        true
    }

    /// Sets the clock, forward or back.
    pub(super) fn step_clock(&mut self, by: i64) {
        if !self.crashed {
            self.stepped = true;
            self.clock = (self.clock + by).max(1);
            self.set_back |= by < 0;
        }
    }

    /// `origin::FLOOR`.
    pub(super) fn floor(&self, position: &Position) -> u64 {
        if self.recovered.is_none_or(|recovered| recovered <= position.base.at) {
            return ABOVE_ALL;
        }
        let newest = self.checkpoints.iter().rev().find(|mark| mark.at <= position.base.at);
        let floor = newest.map_or(0, |mark| mark.snapshot.xmax());
        floor.min(position.base.snapshot.xmax())
    }

    /// `rowcast.checkpoint_at`.
    pub(super) fn checkpoint_at(&self, time: i64) -> Option<Mark> {
        let newest = self.bug == Some(Bug::NewestCheckpoint);
        self.checkpoints.iter().rev().find(|mark| newest || mark.at <= time).cloned()
    }

    /// `log::READ` and `log::REPLAY`: how far the read goes, and the rows with whether they are late.
    pub(super) fn lacking(
        &mut self,
        position: &Position,
        floor: u64,
        topics: Option<&[u8]>,
        limit: usize,
    ) -> (Mark, Vec<(bool, Row)>) {
        let mut now = self.now();
        let base = &position.base;
        let (xmax, xip) = (base.snapshot.xmax(), base.snapshot.xip());
        let partial = position.partial.as_ref();
        let had = partial.filter(|_| self.bug != Some(Bug::NoPartial));
        let last_id = had.map_or(0, |(_, id)| *id);
        let late = |row: &Row| {
            partial.is_some_and(|(upto, _)| {
                !(upto.snapshot.sees(row.xid) && (row.xid < floor || row.at <= upto.at))
            })
        };
        let unseen = |row: &&Row| match self.bug {
            Some(Bug::NoXip) => row.xid >= xmax || (row.xid >= floor && row.at > base.at),
            Some(Bug::NoTime) => row.xid >= xmax || xip.contains(&row.xid),
            _ => row.xid >= xmax || xip.contains(&row.xid) || row.xid >= floor && row.at > base.at,
        };
        let held = |row: &&Row| topics.is_none_or(|topics| topics.contains(&row.topic));
        let rows = self.log.iter().filter(unseen).filter(held).map(|row| (late(row), *row));
        let mut rows: Vec<_> = rows.filter(|(late, row)| *late || row.id > last_id).collect();
        rows.sort_by_key(|(late, row)| (*late, row.id));
        rows.truncate(limit);
        if self.bug == Some(Bug::CursorAtNow) {
            // As if it were asked for in a statement of its own, with a commit in between.
            self.end(0, true);
            now = self.now();
        }
        (now, rows)
    }
}
