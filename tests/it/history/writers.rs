//! The writers: other services that write with plain SQL and know nothing of us.

use std::{sync::Arc, time::Duration};

use rowcast::{config::Secret, db::Target, lifecycle::Lifecycle};
use tokio::sync::watch;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::{
    dice::Dice,
    ground::now,
    world::{Entry, Key, Ledger, Outcome, What, World},
};

/// Rows of a bulk insert.
const BULK: usize = 1_000;

/// How a transaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Short,
    Long,
    RolledBack,
    Savepoint,
    TwoPhase,
    Edit,
    SoftDelete,
    Delete,
    Mixed,
    Bulk,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::RolledBack => "rolled back",
            Self::Savepoint => "savepoint",
            Self::TwoPhase => "two-phase",
            Self::Edit => "edit",
            Self::SoftDelete => "soft delete",
            Self::Delete => "delete",
            Self::Mixed => "mixed",
            Self::Bulk => "bulk",
        }
    }

    fn throw(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..36 => Self::Short,
            36..42 => Self::Long,
            42..50 => Self::RolledBack,
            50..58 => Self::Savepoint,
            58..66 => Self::TwoPhase,
            66..82 => Self::Edit,
            82..88 => Self::SoftDelete,
            88..92 => Self::Delete,
            _ => Self::Mixed,
        }
    }
}

/// What a writer needs.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) url: Secret,
    pub(crate) world: World,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) seed: u64,
    /// How long a long transaction is open at most, in milliseconds.
    pub(crate) longest: u64,
    /// Bulk inserts of each writer.
    pub(crate) bulks: u64,
    /// Turns true when enough was written.
    pub(crate) enough: watch::Receiver<bool>,
}

/// One writer.
struct Writer {
    desk: Desk,
    nth: u64,
    dice: Dice,
    client: Option<Client>,
    /// Messages of ours that are known to be there.
    mine: Vec<Uuid>,
    words: u64,
    done: Vec<Key>,
    undone: Vec<Key>,
}

/// Writes until there is enough.
pub(crate) async fn write(desk: Desk, nth: u64) {
    let dice = Dice::new(desk.seed, 1_000 + nth);
    let mut writer = Writer {
        desk,
        nth,
        dice,
        client: None,
        mine: Vec::new(),
        words: 0,
        done: Vec::new(),
        undone: Vec::new(),
    };
    let mut bulks = writer.desk.bulks;
    let mut count = 0u64;
    while !*writer.desk.enough.borrow() || bulks > 0 {
        count += 1;
        let bulk = bulks > 0 && (count.is_multiple_of(12) || *writer.desk.enough.borrow());
        bulks -= u64::from(bulk);
        let kind = if bulk { Kind::Bulk } else { Kind::throw(&mut writer.dice) };
        writer.transaction(kind).await;
        let pause = writer.dice.millis(1, 30);
        tokio::time::sleep(pause).await;
    }
}

impl Writer {
    /// One transaction from begin to a known end, or to one that nobody knows.
    async fn transaction(&mut self, kind: Kind) {
        self.connect().await;
        let began = now();
        (self.done, self.undone) = (Vec::new(), Vec::new());
        let prepared = format!("w{}-{}", self.nth, self.words);
        let outcome = match self.body(kind).await {
            Err(_) => Outcome::RolledBack,
            Ok(()) if kind == Kind::TwoPhase => self.two_phases(&prepared).await,
            Ok(()) => {
                let last = if kind == Kind::RolledBack { "rollback" } else { "commit" };
                match self.client().batch_execute(last).await {
                    _ if kind == Kind::RolledBack => Outcome::RolledBack,
                    Ok(()) => Outcome::Committed,
                    Err(error) => after_a_commit(&error),
                }
            }
        };
        let acked = now();
        if outcome == Outcome::RolledBack && self.client.as_ref().is_some_and(|c| !c.is_closed()) {
            let _ = self.client().batch_execute("rollback").await;
        }
        for (what, message, _) in &self.done {
            if *what == What::Deleted {
                self.mine.retain(|mine| mine != message);
            }
        }
        let done = std::mem::take(&mut self.done);
        let undone = std::mem::take(&mut self.undone);
        if outcome == Outcome::Committed {
            let new = done.iter().filter(|(what, ..)| *what == What::New).take(5);
            let deleted = |id: &Uuid| done.iter().any(|(w, m, _)| *w == What::Deleted && m == id);
            let new = new.map(|(_, message, _)| *message).filter(|id| !deleted(id));
            self.mine.extend(new);
        }
        let (writer, kind) = (self.nth, kind.name());
        self.desk.ledger.note(Entry { writer, kind, done, undone, outcome, began, acked });
    }

    /// What the transaction does before its end.
    async fn body(&mut self, kind: Kind) -> Result<(), Error> {
        self.client().batch_execute("begin; set local lock_timeout = '10s'").await?;
        match kind {
            Kind::Short | Kind::RolledBack => {
                let count = 1 + self.dice.below(3);
                self.insert(count, false).await?;
            }
            Kind::Long => {
                // Half of them hold a thread's lock, half only a row's.
                if self.mine.is_empty() || self.dice.chance(50) {
                    self.insert(1, true).await?;
                } else {
                    self.edit().await?;
                }
                let open = self.dice.millis(0, self.desk.longest);
                tokio::time::sleep(open).await;
                if self.dice.chance(30) {
                    self.edit().await?;
                }
            }
            Kind::Savepoint => {
                self.insert(1, false).await?;
                self.client().batch_execute("savepoint here").await?;
                let kept = self.done.len();
                self.insert(1, false).await?;
                self.edit().await?;
                self.client().batch_execute("rollback to savepoint here").await?;
                self.undone.extend(self.done.drain(kept..));
                if self.dice.chance(60) {
                    self.insert(1, false).await?;
                }
            }
            Kind::TwoPhase => {
                self.client().batch_execute("set local rowcast.silent = on").await?;
                let slow = self.dice.chance(50);
                self.insert(1, slow).await?;
            }
            Kind::Edit => self.edit().await?,
            Kind::SoftDelete => self.delete(true).await?,
            Kind::Delete => self.delete(false).await?,
            Kind::Mixed => {
                self.edit().await?;
                self.insert(2, false).await?;
                self.delete(true).await?;
            }
            Kind::Bulk => self.bulk().await?,
        }
        Ok(())
    }

    /// Prepares, waits, and commits or rolls back, whatever happens to connections and servers in between.
    async fn two_phases(&mut self, name: &str) -> Outcome {
        let commit = self.dice.chance(70);
        let wait = self.dice.millis(0, 600);
        let known =
            match self.client().batch_execute(&format!("prepare transaction '{name}'")).await {
                Ok(()) => true,
                Err(error) if after_a_commit(&error) == Outcome::RolledBack => {
                    return Outcome::RolledBack;
                }
                Err(_) => false,
            };
        tokio::time::sleep(wait).await;
        let last = if commit { "commit" } else { "rollback" };
        let mut tried = false;
        loop {
            self.connect().await;
            let sql = "select exists (select from pg_prepared_xacts where gid = $1)";
            let Ok(row) = self.client().query_one(sql, &[&name]).await else { continue };
            if !row.get::<_, bool>(0) {
                // It is gone: our try has worked, or it never was prepared.
                let worked = commit && (tried || known);
                return if worked { Outcome::Committed } else { Outcome::RolledBack };
            }
            tried = true;
            if self.client().batch_execute(&format!("{last} prepared '{name}'")).await.is_ok() {
                return if commit { Outcome::Committed } else { Outcome::RolledBack };
            }
        }
    }

    async fn insert(&mut self, count: u64, slow: bool) -> Result<(), Error> {
        // In the order of threads, as two services that lock several must.
        let mut threads: Vec<i64> = (0..count).map(|_| self.thread(slow)).collect();
        threads.sort_unstable();
        for thread in threads {
            let (message, mut text) = (self.dice.uuid(), self.word());
            let key = (What::New, message, text.clone());
            if self.dice.chance(2) {
                text = text + "|" + &"x".repeat(20_000);
            }
            // In a direct thread one of the two writes.
            let sender = self.desk.world.pair(thread).map_or(1, |(one, other)| {
                if message.as_bytes()[0].is_multiple_of(2) { one } else { other }
            });
            let sql = "insert into chat.messages (uuid, thread_id, sender_id, content) values ($1, $2, $3, $4)";
            self.client().execute(sql, &[&message, &thread, &sender, &text]).await?;
            self.done.push(key);
        }
        Ok(())
    }

    async fn bulk(&mut self) -> Result<(), Error> {
        let thread = self.thread(false);
        let ids: Vec<Uuid> = (0..BULK).map(|_| self.dice.uuid()).collect();
        let word = self.word();
        let texts: Vec<String> = (0..BULK).map(|nth| format!("{word}.{nth}")).collect();
        let sql = "insert into chat.messages (uuid, thread_id, content) \
            select m.id, $2, m.text from unnest($1::uuid[], $3::text[]) m (id, text)";
        self.client().execute(sql, &[&ids, &thread, &texts]).await?;
        self.done.extend(ids.into_iter().zip(texts).map(|(id, text)| (What::New, id, text)));
        Ok(())
    }

    async fn edit(&mut self) -> Result<(), Error> {
        let Some(message) = self.one_of_mine() else { return self.insert(1, false).await };
        let text = self.word();
        let sql = "update chat.messages set content = $2 where uuid = $1";
        if self.client().execute(sql, &[&message, &text]).await? == 1 {
            self.done.push((What::Updated, message, text));
        }
        Ok(())
    }

    async fn delete(&mut self, soft: bool) -> Result<(), Error> {
        let Some(message) = self.one_of_mine() else { return self.insert(1, false).await };
        let sql = if soft {
            "update chat.messages set deleted_at = now() where uuid = $1"
        } else {
            "delete from chat.messages where uuid = $1"
        };
        if self.client().execute(sql, &[&message]).await? == 1 {
            self.done.push((What::Deleted, message, String::new()));
        }
        Ok(())
    }

    fn one_of_mine(&mut self) -> Option<Uuid> {
        if self.mine.is_empty() {
            return None;
        }
        let nth = self.dice.index(self.mine.len());
        Some(self.mine[nth])
    }

    /// Long transactions hold a thread's lock: they keep to half of the threads, which the others mostly leave to them.
    fn thread(&mut self, slow: bool) -> i64 {
        let all = self.desk.world.all().unsigned_abs();
        let few = all / 2;
        let nth = if slow || self.dice.chance(3) {
            self.dice.below(few)
        } else {
            few + self.dice.below(all - few)
        };
        i64::try_from(nth + 1).expect("a thread")
    }

    fn word(&mut self) -> String {
        self.words += 1;
        format!("w{}-{}", self.nth, self.words)
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("`connect` came first")
    }

    async fn connect(&mut self) {
        while self.client.as_ref().is_none_or(Client::is_closed) {
            let target = Target::parse(&self.desk.url).expect("a URL");
            match target.client(&self.desk.lifecycle).await {
                Ok(client) => self.client = Some(client),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// What an error at the commit says: refused by the database, or nobody knows.
fn after_a_commit(error: &Error) -> Outcome {
    // Class 57: the server was going down while it worked.
    match error.code() {
        Some(code) if !code.code().starts_with("57") => Outcome::RolledBack,
        _ => Outcome::Unknown,
    }
}
