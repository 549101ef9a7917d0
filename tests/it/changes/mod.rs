//! postgres_changes over a real database: filters, values, events, rights, coming back.

mod events;
mod filters;
mod resume;
mod rights;
mod values;

use std::time::Duration;

use rowcast::{
    claims::Claims,
    dialects::supabase::changes::{Changes, Options, Said, Source},
    feed::Feed,
    hub::Hub,
    lifecycle::Lifecycle,
    session::{Permit, permit::Subject},
};
use serde_json::{Value, json, value::RawValue};
use tokio::time::timeout;

use crate::harness::{Database, app::PATIENCE};

/// What is made from here on `server` may read; the bridge's own role nobody may act as.
const READABLE: &str = "alter default privileges grant select on tables to service_role";

/// A database with a feed that runs.
struct Ground {
    database: Database,
    source: Source,
    _lifecycle: Lifecycle,
}

impl Ground {
    /// Runs SQL first, then the feed.
    async fn new(sql: &str) -> Self {
        let database = Database::new().await;
        let client = database.client().await;
        client.batch_execute(READABLE).await.expect("rights");
        client.batch_execute(sql).await.expect("the ground");
        let (hub, lifecycle) = (Hub::new(), Lifecycle::new());
        let feed = Feed::new(database.target(), hub.clone(), lifecycle.clone());
        lifecycle.service("feed", feed.run());
        let pool = database.pool();
        let permit = Permit::start(pool.clone(), &lifecycle);
        let source = Source { hub, pool, permit, mailbox: 1_000 };
        let ground = Self { database, source, _lifecycle: lifecycle };
        ground.until(|| ground.source.hub.position().is_some()).await;
        ground
    }

    async fn until(&self, done: impl Fn() -> bool) {
        let wait = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("in time");
    }

    async fn sql(&self, sql: &str) {
        self.database.client().await.batch_execute(sql).await.expect(sql);
    }

    /// Subscribes as a role; whatever is wrong fails the test.
    async fn join(&self, who: Subject, asked: Value, options: Value) -> Channel {
        let (channel, outcome) = self.try_join(who, asked, options).await;
        outcome.expect("subscribed");
        channel.expect("something to wait for")
    }

    async fn try_join(
        &self,
        who: Subject,
        asked: Value,
        options: Value,
    ) -> (Option<Channel>, Result<(), String>) {
        let asked = asked.as_array().expect("a list").clone();
        let options = Options::parse(&options);
        let opened = Changes::open(self.source.clone(), who, &asked, &options).await;
        let opened = opened.expect("the database is there");
        assert_eq!(opened.ids.len(), asked.len());
        let ids = opened.ids;
        (opened.changes.map(|changes| Channel { changes, ids, said: Vec::new() }), opened.outcome)
    }
}

/// One channel's subscriptions.
struct Channel {
    changes: Changes,
    ids: Vec<u64>,
    said: Vec<Said>,
}

impl Channel {
    /// What is said next.
    async fn said(&mut self) -> Said {
        if self.said.is_empty() {
            let next = self.changes.next(&mut self.said);
            timeout(PATIENCE, next).await.expect("in time").expect("the database is there");
        }
        self.said.remove(0)
    }

    /// The text of the next payload, cursors apart.
    async fn text(&mut self) -> String {
        loop {
            match self.said().await {
                Said::Change(payload) => return payload.text().to_owned(),
                Said::Cursor(_) => {}
                Said::System(text) => panic!("{text}"),
            }
        }
    }

    /// The next payload.
    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.text().await).expect("JSON")
    }

    /// The next payload in few words: ids by their place, event, record, old record.
    async fn brief(&mut self) -> Value {
        let payload = self.next().await;
        let ids = payload["ids"].as_array().expect("ids").iter();
        let places: Vec<_> = ids
            .map(|id| self.ids.iter().position(|known| Some(*known) == id.as_u64()).expect("ours"))
            .collect();
        let data = &payload["data"];
        json!([places, data["type"], data["record"], data["old_record"]])
    }

    /// The next cursor.
    async fn cursor(&mut self) -> String {
        loop {
            if let Said::Cursor(cursor) = self.said().await {
                return cursor;
            }
        }
    }

    /// The next error.
    async fn wrong(&mut self) -> String {
        loop {
            match self.said().await {
                Said::System(text) => return text,
                Said::Cursor(_) => {}
                Said::Change(payload) => panic!("{}", payload.text()),
            }
        }
    }
}

/// A subject of a role.
fn who(role: &str, sub: &str) -> Subject {
    let claims = json!({ "sub": sub, "role": role });
    Subject::new(&Claims {
        sub: sub.to_owned(),
        jti: None,
        role: role.to_owned(),
        exp: i64::MAX,
        iat: 0,
        revocation: None,
        raw: RawValue::from_string(claims.to_string()).expect("JSON"),
    })
}

/// One who may see everything of the tables of these tests.
fn server() -> Subject {
    who("service_role", "")
}
