//! The place of one channel in the feed: what it asked for, and what it is told next.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{
    options::{From, Options},
    payload::Payload,
    places::{Places, resolve},
    sift::sift,
    wish::{Wish, id_of},
};
use crate::{
    db::Pool,
    error::{Kind, Result},
    feed,
    hub::{Delivery, Hub, Wanted, Window},
    session::{Follower, Next, Permit, Services, permit::Subject, starting},
    topic::Topic,
};

/// Where it is told which tables are watched.
pub(super) const WATCHES: &str = "table:rowcast.watches";
/// Changes of one table that are sifted together.
const AT_ONCE: usize = 256;
/// This often a channel for which nothing comes looks at its tables, and a client that keeps cursors gets a fresh one,
/// so that neither grows too old.
const LOOK_UP: Duration = Duration::from_secs(60);
/// What a client is told whose cursor leads nowhere.
const TOO_OLD: &str =
    "Changes since then are no longer known: fetch the rows afresh, changes come from here on";

/// What the changes of channels are made with.
#[derive(Clone)]
pub struct Source {
    /// Where changes come from.
    pub hub: Hub,
    /// For reading the log.
    pub pool: Pool,
    /// Who may see what.
    pub permit: Permit,
    /// Changes held for one channel.
    pub mailbox: usize,
}

impl Source {
    /// The parts of a running bridge.
    pub fn of(services: &Services) -> Self {
        Self {
            hub: services.hub.clone(),
            pool: services.pool.clone(),
            permit: services.permit.clone(),
            mailbox: services.settings.now().mailbox,
        }
    }
}

/// What became of a join's `postgres_changes`.
pub struct Opened {
    /// One for each entry, in their order.
    pub ids: Vec<u64>,
    /// The subscriptions; none where there is nothing to wait for.
    pub changes: Option<Changes>,
    /// What is wrong with an entry, as a `system` message says it; the others are subscribed all the same.
    pub outcome: Result<(), String>,
}

/// Something to tell a channel.
#[derive(Debug, Clone)]
pub enum Said {
    /// A change.
    Change(Payload),
    /// Where the client stands after what it has been told.
    Cursor(String),
    /// An error, as a `system` message says it.
    System(String),
}

/// What a channel asked of `postgres_changes`, and its place in the feed.
pub struct Changes {
    pub(super) source: Source,
    pub(super) who: Subject,
    pub(super) wishes: Vec<Arc<Wish>>,
    options: Options,
    pub(super) places: Places,
    pub(super) follower: Follower,
    /// What came and has not been told yet.
    pub(super) pending: VecDeque<Next>,
    /// Whether the tables have to be looked for again.
    pub(super) stale: bool,
    /// When it was asked what their columns are.
    pub(super) as_of: Instant,
    /// What the client was last told of where it stands…
    cursor: String,
    /// …and of what is wrong.
    wrong: String,
    look_up_at: Instant,
}

impl Changes {
    /// Subscribes to what a join asks for. An error is of a passing kind: the database is away.
    pub async fn open(
        source: Source,
        who: Subject,
        asked: &[Value],
        options: &Options,
    ) -> Result<Opened> {
        let ids = asked.iter().map(id_of).collect();
        let mut wrong = None;
        let mut wishes = Vec::new();
        for wish in asked.iter().map(Wish::parse) {
            match wish {
                Ok(wish) => wishes.push(Arc::new(wish)),
                Err(text) => drop(wrong.get_or_insert(text)),
            }
        }
        if wishes.is_empty() {
            return Ok(Opened { ids, changes: None, outcome: wrong.map_or(Ok(()), Err) });
        }
        let mut changes = Self::subscribe(source, who, wishes, options.clone())?;
        let as_of = Instant::now();
        let (places, refused) =
            resolve(&changes.source.permit, &changes.who, &changes.wishes).await?;
        changes.settle(places, as_of);
        let refused = refused.or(changes.resume().await?);
        let waits = !changes.places.is_empty() || changes.is_wild();
        let outcome = changes.outcome(wrong.or(refused));
        Ok(Opened { ids, changes: waits.then_some(changes), outcome })
    }

    /// Takes a place in the feed before the tables are looked for, so that one which comes meanwhile is not missed.
    fn subscribe(
        source: Source,
        who: Subject,
        wishes: Vec<Arc<Wish>>,
        options: Options,
    ) -> Result<Self> {
        let watches = match wishes.iter().any(|wish| wish.is_wild()) {
            true => vec![(Topic::parse(WATCHES)?, Wanted::All)],
            false => Vec::new(),
        };
        let follower =
            Follower::open_for(&source.hub, source.pool.clone(), source.mailbox, &watches);
        // Who keeps cursors gets the first at once.
        let first = if options.cursors { Duration::ZERO } else { LOOK_UP };
        let look_up_at = Instant::now() + first;
        Ok(Self {
            follower: follower.ok_or_else(starting)?,
            source,
            who,
            wishes,
            places: Places::new(),
            pending: VecDeque::new(),
            stale: false,
            as_of: Instant::now(),
            options,
            cursor: String::new(),
            wrong: String::new(),
            look_up_at,
        })
    }

    /// A fresh token: the same subscriptions with other claims. What is wrong with one of them now is told.
    pub async fn renew(&mut self, who: Subject) -> Result<Result<(), String>> {
        let as_of = Instant::now();
        let (places, wrong) = resolve(&self.source.permit, &who, &self.wishes).await?;
        self.who = who;
        self.settle(places, as_of);
        Ok(self.outcome(wrong))
    }

    /// A view of its mailbox for others.
    pub fn window(&self) -> Window {
        self.follower.window()
    }

    /// Whether what comes next does not wait for an event.
    pub fn is_replaying(&self) -> bool {
        self.follower.is_replaying()
    }

    /// Waits for what comes next and adds it to `out`. Cancelling loses nothing.
    pub async fn next(&mut self, out: &mut Vec<Said>) -> Result<()> {
        let before = out.len();
        while out.len() == before {
            if self.stale {
                self.look_again(out).await?;
            } else if !self.pending.is_empty() {
                self.tell(out).await?;
            } else {
                self.wait(out).await?;
            }
        }
        Ok(())
    }

    async fn wait(&mut self, out: &mut Vec<Said>) -> Result<()> {
        let mut came = Vec::new();
        tokio::select! {
            biased;
            done = self.follower.next(&mut came) => {
                done?;
                self.pending.extend(came);
            }
            () = sleep_until(self.look_up_at) => {
                self.look_up_at = Instant::now() + LOOK_UP.mul_f64(rand::random_range(0.8..1.2));
                self.follower.keep_up();
                self.say_cursor(self.follower.cursor(), out);
                for relation in self.places.keys().cloned().collect::<Vec<_>>() {
                    self.refresh(&relation, None).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells of the first that is pending, and of those after it that can be dealt with together.
    async fn tell(&mut self, out: &mut Vec<Said>) -> Result<()> {
        let relation = match self.pending.front() {
            Some(Next::Change(delivery, _)) if delivery.change.topic.as_str() != WATCHES => {
                Arc::clone(&delivery.change.relation)
            }
            Some(Next::Change(..)) => {
                self.stale = true;
                return Ok(());
            }
            Some(Next::Resync) => {
                self.pending.pop_front();
                self.stale = self.is_wild();
                out.push(Said::System(TOO_OLD.to_owned()));
                self.say_cursor(self.follower.cursor(), out);
                return Ok(());
            }
            _ => {
                self.pending.pop_front();
                return Ok(());
            }
        };
        self.keep_to_columns().await?;
        if self.stale || !self.refresh(&relation, None).await? {
            return Ok(());
        }
        let changes = self.run_of(&relation);
        let told = match self.places.get(&relation) {
            Some(place) => {
                let Source { permit, .. } = &self.source;
                let told = sift(permit, &self.who, place, &changes, self.options.left).await;
                match told {
                    // It concerns this subject and this table, and would be the same at the next try.
                    Err(error) if matches!(error.kind, Kind::Forbidden | Kind::Timeout) => {
                        self.say_wrong(error.message.into_owned(), out);
                        Vec::new()
                    }
                    told => told?,
                }
            }
            None => Vec::new(),
        };
        // From here on nothing waits: what is told is no longer pending.
        let told = told.into_iter().flatten().map(Said::Change);
        let said = out.len();
        out.extend(told);
        let last = self.pending.drain(..changes.len()).next_back();
        if out.len() > said
            && let Some(Next::Change(_, cursor)) = last
        {
            self.say_cursor(cursor.as_str().to_owned(), out);
        }
        Ok(())
    }

    /// The changes at the front that are of one table.
    fn run_of(&self, relation: &str) -> Vec<Arc<Delivery>> {
        let of = |next: &Next| match next {
            Next::Change(delivery, _) if *delivery.change.relation == *relation => {
                Some(Arc::clone(delivery))
            }
            _ => None,
        };
        self.pending.iter().map_while(of).take(AT_ONCE).collect()
    }

    /// Goes back to where the client says it stands; the text of what is wrong with that.
    async fn resume(&mut self) -> Result<Option<String>> {
        let found = match &self.options.from {
            None => true,
            Some(From::Cursor(cursor)) => match self.follower.resume(cursor) {
                Ok(found) => found.is_some(),
                Err(error) => return Ok(Some(error.message.into_owned())),
            },
            Some(From::Time(time)) => match feed::position_at(&self.source.pool, *time).await? {
                Some(position) => {
                    self.follower.rewind(position);
                    true
                }
                None => false,
            },
        };
        Ok((!found).then(|| TOO_OLD.to_owned()))
    }

    /// Says what is wrong, once for as long as it is the same.
    pub(super) fn say_wrong(&mut self, wrong: String, out: &mut Vec<Said>) {
        if wrong != self.wrong {
            self.wrong.clone_from(&wrong);
            out.push(Said::System(wrong));
        }
    }

    fn outcome(&mut self, wrong: Option<String>) -> Result<(), String> {
        self.wrong = wrong.clone().unwrap_or_default();
        wrong.map_or(Ok(()), Err)
    }

    fn say_cursor(&mut self, cursor: String, out: &mut Vec<Said>) {
        if self.options.cursors && cursor != self.cursor {
            self.cursor.clone_from(&cursor);
            out.push(Said::Cursor(cursor));
        }
    }

    fn is_wild(&self) -> bool {
        self.wishes.iter().any(|wish| wish.is_wild())
    }
}
