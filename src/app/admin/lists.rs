//! What the console lists: sessions, topics, tables, failures, and what the doctor finds.

use serde_json::{Value, json};
use warp::reply::Response;

use super::{Console, said};
use crate::{
    change::Json,
    dialects::door::Ask,
    error::{Error, Result},
    session::Entry,
};

/// Rows of one page of a list.
const PAGE: usize = 50;
/// Topics of one session that are listed; how many there are is always said.
const TOPICS: usize = 20;
/// The longest search that is looked for.
const LONGEST: usize = 200;
const TABLES: i32 = 200;
const FAILURES: i32 = 100;

impl Console {
    /// The newest sessions first: `?search=` in names, addresses and topics, `?behind=true`, `?before=` a session's number.
    pub(super) fn sessions(&self, ask: &Ask) -> Result<Response> {
        let hub = &self.services.hub;
        let search = search(ask)?.to_lowercase();
        let behind = ask.parameter("behind").is_some_and(|behind| behind == "true");
        let before = match ask.parameter("before") {
            None => u64::MAX,
            Some(number) => number
                .parse()
                .map_err(|_| Error::malformed("`before` is the number of a session"))?,
        };
        let holds = |entry: &Entry| {
            entry
                .look(hub)
                .topics
                .iter()
                .any(|topic| topic.as_str().to_lowercase().contains(&search))
        };
        let named = |entry: &Entry| {
            let who = &entry.who;
            let address = who.address.map(|address| address.to_string());
            [entry.dialect, &who.user, &who.sub, &who.role, address.as_deref().unwrap_or_default()]
                .iter()
                .any(|text| text.to_lowercase().contains(&search))
                || entry.id.to_string() == search
        };
        let (found, more) = self.services.register.newest(before, PAGE, |entry| {
            (!behind || entry.is_behind()) && (search.is_empty() || named(entry) || holds(entry))
        });
        let rows: Vec<Value> = found
            .iter()
            .map(|entry| {
                let mut look = entry.look(hub);
                let count = look.topics.len();
                look.topics.truncate(TOPICS);
                let topics: Vec<&str> = look.topics.iter().map(|topic| topic.as_str()).collect();
                json!({
                    "id": entry.id,
                    "dialect": entry.dialect,
                    "user": entry.who.user,
                    "sub": entry.who.sub,
                    "role": entry.who.role,
                    "address": entry.who.address,
                    "since": jiff::Timestamp::try_from(entry.since).unwrap_or_default().as_millisecond(),
                    "delivered": entry.delivered(),
                    "waiting": look.waiting,
                    "capacity": look.capacity,
                    "topics": topics,
                    "topics_count": count,
                })
            })
            .collect();
        Ok(said(json!({ "sessions": rows, "more": more }).to_string()))
    }

    /// Topics by name, with how many hold each: `?search=`, `?after=` a topic.
    pub(super) fn topics(&self, ask: &Ask) -> Result<Response> {
        let (search, after) = (search(ask)?, ask.parameter("after").unwrap_or_default());
        let mut found = self.services.hub.topics(&search, &after, PAGE + 1);
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        let row = |(topic, holders): &(crate::topic::Topic, usize)| json!({ "topic": topic.as_str(), "holders": holders });
        let rows: Vec<Value> = found.iter().map(row).collect();
        Ok(said(json!({ "topics": rows, "more": more }).to_string()))
    }

    /// The log's extent and the running nodes.
    pub(super) async fn database(&self) -> Result<Response> {
        let answer: Json =
            self.services.pool.value("select rowcast.console_database()", &[]).await?;
        Ok(said(answer.bytes()))
    }

    /// Watched tables and those that could be.
    pub(super) async fn tables(&self, ask: &Ask) -> Result<Response> {
        let search = search(ask)?;
        let sql = "select rowcast.console_tables($1, $2)";
        let answer: Json = self.services.pool.value(sql, &[&search, &TABLES]).await?;
        Ok(said(answer.bytes()))
    }

    /// The newest failures of capture, each with its remedy.
    pub(super) async fn failures(&self) -> Result<Response> {
        let sql = "select rowcast.console_failures($1)";
        let answer: Json = self.services.pool.value(sql, &[&FAILURES]).await?;
        Ok(said(answer.bytes()))
    }

    /// Every precondition that SQL can check.
    pub(super) async fn doctor(&self) -> Result<Response> {
        let answer: Json = self.services.pool.value("select rowcast.console_doctor()", &[]).await?;
        Ok(said(answer.bytes()))
    }
}

/// The text to look for, bounded.
pub(super) fn search(ask: &Ask) -> Result<String> {
    let search = ask.parameter("search").unwrap_or_default();
    if search.chars().count() > LONGEST || search.contains('\0') {
        return Err(Error::malformed("`search` has 200 characters at most, and no null character"));
    }
    Ok(search)
}
