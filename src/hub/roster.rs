//! The roster: who is in a channel, by key, with what they say of themselves.
//!
//! Moves are told under the roster's own lock, so they reach everybody in the order in which they happened.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;

use super::Hub;
use crate::{
    signal::{Made, Moves, Signal},
    topic::Topic,
};

/// A cheap handle to the rosters of all channels.
#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    channels: Mutex<HashMap<Topic, Channel>>,
    members: AtomicU64,
    metas: AtomicU64,
    /// Tells refs of this run from those of another.
    run: std::sync::OnceLock<u32>,
}

/// The metas of one channel by key, oldest first.
type Channel = BTreeMap<String, Vec<Meta>>;

#[derive(Debug)]
struct Meta {
    member: u64,
    reference: String,
    previous: Option<String>,
    /// The fields of a JSON object, without its braces.
    fields: String,
}

impl Meta {
    fn json(&self) -> String {
        let Self { reference, previous, fields, .. } = self;
        let previous = previous.as_ref().map(|previous| format!(r#","phx_ref_prev":"{previous}""#));
        let comma = if fields.is_empty() { "" } else { "," };
        let previous = previous.unwrap_or_default();
        format!(r#"{{"phx_ref":"{reference}"{previous}{comma}{fields}}}"#)
    }
}

/// A member's entry in a channel's roster; dropping it takes it away and tells the others.
#[derive(Debug)]
pub struct Entry {
    hub: HubHandle,
    channel: Topic,
    member: u64,
    key: String,
}

/// The hub, which does not print.
#[derive(Clone)]
struct HubHandle(Hub);

impl std::fmt::Debug for HubHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

impl Hub {
    /// Enters a member in a channel's roster under a key; `fields` are those of a JSON object, without its braces.
    pub fn enter(&self, channel: &Topic, member: u64, key: &str, fields: String) -> Entry {
        let entry = Entry {
            hub: HubHandle(self.clone()),
            channel: channel.clone(),
            member,
            key: key.to_owned(),
        };
        entry.change(fields);
        entry
    }
}

impl Entry {
    /// Says something else of the member; the same again is no news.
    pub fn change(&self, fields: String) {
        let roster = self.hub.0.roster();
        let mut channels = roster.channels();
        let metas = channels.entry(self.channel.clone()).or_default();
        let metas = metas.entry(self.key.clone()).or_default();
        let was = metas.iter().position(|meta| meta.member == self.member);
        if was.is_some_and(|at| metas.get(at).is_some_and(|meta| meta.fields == fields)) {
            return;
        }
        let old = was.map(|at| metas.remove(at));
        let previous = old.as_ref().map(|old| old.reference.clone());
        let new = Meta { member: self.member, reference: roster.reference(), previous, fields };
        let joins = object(&self.key, &new);
        metas.push(new);
        let leaves = old.map_or_else(empty, |old| object(&self.key, &old));
        self.tell(joins, leaves);
    }

    fn tell(&self, joins: String, leaves: String) {
        let channel = self.channel.clone();
        let moves = Moves { channel, joins, leaves, made: Made::default() };
        self.hub.0.signal(std::slice::from_ref(&self.channel), Signal::Moves(moves));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let roster = self.hub.0.roster();
        let mut channels = roster.channels();
        let Some(channel) = channels.get_mut(&self.channel) else { return };
        let Some(metas) = channel.get_mut(&self.key) else { return };
        let was = metas.iter().position(|meta| meta.member == self.member);
        let Some(old) = was.map(|at| metas.remove(at)) else { return };
        if metas.is_empty() {
            channel.remove(&self.key);
        }
        if channel.is_empty() {
            channels.remove(&self.channel);
        }
        self.tell(empty(), object(&self.key, &old));
    }
}

impl Roster {
    /// A number that no other member has.
    pub fn member(&self) -> u64 {
        self.0.members.fetch_add(1, Ordering::Relaxed)
    }

    /// Everybody in a channel: a JSON object, key to metas.
    pub fn state(&self, channel: &Topic) -> String {
        let channels = self.channels();
        let keys = channels.get(channel).into_iter().flatten().map(|(key, metas)| {
            let metas: Vec<String> = metas.iter().map(Meta::json).collect();
            format!(r#"{}:{{"metas":[{}]}}"#, Value::from(key.as_str()), metas.join(","))
        });
        format!("{{{}}}", keys.collect::<Vec<_>>().join(","))
    }

    fn reference(&self) -> String {
        let run = self.0.run.get_or_init(rand::random);
        let count = self.0.metas.fetch_add(1, Ordering::Relaxed);
        format!("F{run:08x}{count:x}")
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<Topic, Channel>> {
        self.0.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn object(key: &str, meta: &Meta) -> String {
    format!(r#"{{{}:{{"metas":[{}]}}}}"#, Value::from(key), meta.json())
}

fn empty() -> String {
    "{}".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Item, Mailbox};

    async fn moves(mailbox: &Mailbox) -> Vec<(String, String)> {
        let mut items = Vec::new();
        mailbox.take(&mut items).await;
        let moves = items.into_iter().map(|item| match item {
            Item::Signal(signal) => match signal.as_ref() {
                Signal::Moves(moves) => (moves.joins.clone(), moves.leaves.clone()),
                other => panic!("{other:?}"),
            },
            _ => panic!("a change"),
        });
        moves.collect()
    }

    #[tokio::test]
    async fn whoever_comes_changes_and_leaves_is_told_once() {
        let hub = Hub::new();
        let channel = Topic::parse("channel:public:a").expect("legal");
        let mailbox = hub.open(16);
        mailbox.subscribe(std::slice::from_ref(&channel));
        let ada = hub.enter(&channel, 1, "ada", r#""a":1"#.to_owned());
        ada.change(r#""a":1"#.to_owned());
        let phone = hub.enter(&channel, 2, "ada", String::new());
        let told = moves(&mailbox).await;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].0.starts_with(r#"{"ada":{"metas":[{"phx_ref":"F"#), "{told:?}");
        assert!(told[0].0.ends_with(r#"","a":1}]}}"#) && told[0].1 == "{}", "{told:?}");
        assert_eq!(hub.roster().state(&channel).matches("phx_ref").count(), 2);

        ada.change(r#""a":2"#.to_owned());
        let told = moves(&mailbox).await;
        assert!(told[0].0.contains("phx_ref_prev") && told[0].1.contains(r#""a":1"#), "{told:?}");
        drop(ada);
        drop(phone);
        assert_eq!(moves(&mailbox).await.len(), 2);
        assert_eq!(hub.roster().state(&channel), "{}");
    }
}
