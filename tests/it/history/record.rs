//! The record: what the database says was committed, which is what everybody's word is held against.

use std::collections::HashMap;

use rowcast::cursor::{HistoryId, Mark, Position, Snapshot};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    inbox::{LAST, word},
    trouble::Set,
    world::{Key, Ledger, Outcome, What},
};

/// Under traffic there is a checkpoint every 250 ms, if nothing holds it up.
const AROUND: i64 = 2_500_000;

/// A row of the log that some client is told of.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) xid: u64,
    pub(crate) at: i64,
    /// No later than it was written, by the clock of the writers.
    pub(crate) written: i64,
    pub(crate) topic: String,
    /// The thread that its topic is, if it is one.
    pub(crate) thread: Option<i64>,
    pub(crate) key: Key,
    /// The message's number.
    pub(crate) message: i64,
}

impl Row {
    /// Whether somebody at a position has had it, by what a snapshot means and nothing else.
    pub(crate) fn is_had_at(&self, position: &Position) -> bool {
        // Written after the snapshot: not in it, whatever its number, which a crash may give out twice.
        let seen = |mark: &Mark| mark.snapshot.sees(self.xid) && self.at <= mark.at;
        let within = |(upto, last): &(Mark, i64)| seen(upto) && self.id <= *last;
        seen(&position.base) || position.partial.as_ref().is_some_and(within)
    }
}

/// All that was committed.
pub(crate) struct Record {
    pub(crate) rows: Vec<Row>,
    /// The same of the table that follows the messages.
    pub(crate) posts: Vec<Row>,
    pub(crate) history: HistoryId,
    /// The places in `rows` of what a key names, in the log's order.
    pub(crate) places: HashMap<Key, Vec<usize>>,
    /// What was finished at which time, the oldest first.
    pub(crate) checkpoints: Vec<Mark>,
    /// How the database's clock was set, in order.
    set: Vec<Set>,
}

impl Record {
    pub(crate) async fn read(client: &Client) -> Self {
        let sql = "select id, xid::text, (extract(epoch from at) * 1000000)::bigint, topic, relation, op, \
                case relation when 'public.posts' then key ->> 'id' else \
                    coalesce(record ->> 'uuid', old_record ->> 'uuid', record ->> 'thread_uuid', \
                        old_record ->> 'thread_uuid') end::uuid, \
                record ->> 'content', record ->> 'deleted_at' is not null, \
                case relation when 'public.posts' then 0 else coalesce((key ->> 'id')::bigint, 0) end, \
                coalesce(record ->> 'room', old_record ->> 'room')::bigint \
            from rowcast.changes \
            where relation in ('chat.messages', 'public.posts') \
                or (relation = 'chat.members' and topic like 'user:%') \
            order by id";
        let rows = client.query(sql, &[]).await.expect("the log");
        let rows = rows.iter().map(read);
        let (posts, rows): (Vec<Row>, Vec<Row>) =
            rows.partition(|row| row.topic == "table:public.posts");
        let history = client.query_one("select rowcast.history()", &[]).await.expect("a history");
        let mut places: HashMap<Key, Vec<usize>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            places.entry(row.key.clone()).or_default().push(place);
        }
        let sql = "select (extract(epoch from at) * 1000000)::bigint, snapshot::text \
            from rowcast.checkpoints order by at";
        let checkpoints = client.query(sql, &[]).await.expect("checkpoints");
        let mark = |row: &tokio_postgres::Row| Mark {
            snapshot: Snapshot::parse(row.get(1)).expect("a snapshot"),
            at: row.get(0),
        };
        let checkpoints = checkpoints.iter().map(mark).collect();
        Self {
            rows,
            posts,
            history: HistoryId::of(history.get(0)),
            places,
            checkpoints,
            set: Vec::new(),
        }
    }

    /// Goes by the clock of the writers, where that of the database was set meanwhile. Nobody else writes anything but the
    /// last messages; the comings and goings of movers are not ordered by time.
    pub(crate) fn go_by(&mut self, began: &HashMap<Key, i64>, set: Vec<Set>) {
        self.set = set;
        for row in self.rows.iter_mut().chain(&mut self.posts) {
            let other = if row.key.2 == LAST { i64::MAX } else { i64::MIN };
            row.written = began.get(&row.key).copied().unwrap_or(other);
        }
    }

    /// Whether a change may be told again at a moment: it was captured just before the clock was set back, after the last
    /// checkpoint, so that a position of after that may be of an earlier time.
    pub(crate) fn is_from_later(&self, row: &Row, told: i64) -> bool {
        let mut back = self.set.iter().filter(|set| set.back);
        back.any(|set| (set.at - AROUND..set.at).contains(&row.written) && set.at < told)
    }

    /// Whether who goes on from a time may never be told of it: a time that was handed out just before the clock was set
    /// back, and was further than the newest checkpoint then, stands for a later one.
    pub(crate) fn may_be_skipped(&self, row: &Row) -> bool {
        let mut back = self.set.iter().filter(|set| set.back);
        back.any(|set| (set.at - AROUND..set.at + AROUND).contains(&row.written))
    }

    /// Whether an answer to "since this time", asked at a moment, may have had a row: by what the checkpoint in force says.
    /// A time in the future stands for the present.
    pub(crate) fn is_since(&self, row: &Row, time: i64, asked: i64) -> bool {
        let since = |time| {
            let upto = self.checkpoints.partition_point(|mark| mark.at <= time);
            // They are written one after the other: that one was committed is only sure when the next was taken.
            let taken = self.checkpoints.get(upto).is_some_and(|next| next.at < asked);
            let in_force = if taken && self.set.is_empty() { upto } else { upto.saturating_sub(1) };
            let mark = in_force.checked_sub(1).map(|place| &self.checkpoints[place]);
            mark.is_none_or(|mark| !mark.sees(row.xid, row.at))
        };
        since(time) || self.clocks(asked).any(|clock| clock < time && since(clock))
    }

    /// What the database's clock may have said when a question was answered, where it was set.
    fn clocks(&self, asked: i64) -> impl Iterator<Item = i64> {
        const ANSWERED: i64 = 10_000_000;
        let first = self.set.partition_point(|set| set.at <= asked).saturating_sub(1);
        let set = self.set[first..].iter().take_while(move |set| set.at < asked + ANSWERED);
        set.map(move |set| set.to + (asked - set.at).max(0))
    }

    /// Holds the log against what the writers know; returns what does not fit.
    pub(crate) fn against(&self, ledger: &Ledger) -> Vec<String> {
        let mut wrong = Vec::new();
        let times = |key: &Key| self.places.get(key).map_or(0, Vec::len);
        let mut known = 0;
        for entry in ledger.entries.lock().expect("whole").iter() {
            let there = entry.done.iter().filter(|key| times(key) == 1).count();
            let twice = entry.done.iter().filter(|key| times(key) > 1).count();
            let undone = entry.undone.iter().filter(|key| times(key) > 0).count();
            known += there;
            let fits = match entry.outcome {
                Outcome::Committed => there == entry.done.len(),
                Outcome::RolledBack => there == 0,
                Outcome::Unknown => there == 0 || there == entry.done.len(),
            };
            if !fits || twice > 0 || undone > 0 {
                wrong.push(format!(
                    "the log has {there} of {} changes ({twice} twice, {undone} undone) of {} of writer {}, {:?}: {:?}",
                    entry.done.len(),
                    entry.kind,
                    entry.writer,
                    entry.outcome,
                    entry.done.first(),
                ));
            }
        }
        let told = |row: &&Row| matches!(row.key.0, What::New | What::Updated | What::Deleted);
        let logged = self.rows.iter().filter(told).filter(|row| row.key.2 != LAST).count();
        if logged != known {
            wrong
                .push(format!("the log has {logged} changes of messages, writers know of {known}"));
        }
        wrong
    }
}

fn read(row: &tokio_postgres::Row) -> Row {
    let (relation, op, deleted): (String, String, bool) = (row.get(4), row.get(5), row.get(8));
    let what = match (relation.as_str(), op.as_str()) {
        ("chat.members", "INSERT") => What::Joined,
        ("chat.members", _) => What::Left,
        (_, "INSERT") => What::New,
        (_, "UPDATE") if !deleted => What::Updated,
        _ => What::Deleted,
    };
    let topic: String = row.get(3);
    let content = match what {
        What::New | What::Updated => word(row.get::<_, Option<&str>>(7).unwrap_or_default()),
        What::Deleted => String::new(),
        What::Joined | What::Left => topic.trim_start_matches("user:").to_owned(),
    };
    Row {
        id: row.get(0),
        xid: row.get::<_, &str>(1).parse().expect("a number"),
        at: row.get(2),
        written: row.get(2),
        thread: row
            .get::<_, Option<i64>>(10)
            .or_else(|| topic.strip_prefix("thread:").and_then(|thread| thread.parse().ok())),
        topic,
        key: (what, row.get::<_, Option<Uuid>>(6).expect("an id"), content),
        message: row.get(9),
    }
}
