//! The screens: one person's clients in every dialect at the same time, each gathering what it gets as its guide says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    table::{Dialect, Via},
    wire::{Log, Speech, Wire},
    world::{LINUS, MARY, Person, Place},
};
use crate::harness::app::App;

/// A client that asks again and again does so this often.
const ASKS_EVERY: Duration = Duration::from_millis(20);

/// One client.
pub(super) struct Screen {
    pub(super) dialect: Dialect,
    pub(super) via: Via,
    /// The thread that it is about, where it is about one.
    pub(super) place: Option<Place>,
    pub(super) log: Log,
    wire: Option<Wire>,
}

impl Screen {
    /// Tries to come into threads that are not this person's; refused each time.
    pub(super) async fn intrude(&self, places: &[Place]) {
        let Some(wire) = &self.wire else { return };
        for place in places {
            let id = place.uuid();
            let frame = match self.dialect {
                Dialect::Native => json!({ "type": "subscribe_thread", "thread_id": id }),
                Dialect::Conversations => {
                    json!(["subscribe_conversation", { "conversationId": id }])
                }
                Dialect::Direct => json!(["leave_conversation", { "room_id": id }]),
                _ => continue,
            };
            wire.refused(frame).await;
        }
    }
}

/// Opens all of a person's screens on their threads, and returns when they are all at it.
pub(super) async fn open(app: &Arc<App>, who: Person, places: &[Place]) -> Vec<Screen> {
    let mut screens = Vec::new();
    let polled = |dialect, via, place| {
        let log = Log::new();
        (Screen { dialect, via, place, log: log.clone(), wire: None }, log)
    };
    let wired = |dialect, place, wire: Wire| {
        let log = wire.log.clone();
        Screen { dialect, via: Via::Socket, place, log, wire: Some(wire) }
    };

    let native = Wire::open(app, who, Speech::Native, &who.token("native")).await;
    let conversations =
        Wire::open(app, who, Speech::Conversations, &who.token("conversations")).await;
    let direct = Wire::open(app, who, Speech::Direct, &who.token("direct")).await;
    for place in places {
        let subscribe = json!({ "type": "subscribe_thread", "thread_id": place.uuid() });
        native.ask(subscribe, "thread_subscribed").await;
        let subscribe = json!(["subscribe_conversation", { "conversationId": place.uuid() }]);
        conversations.ask(subscribe, "ack").await;
        let room = Wire::open(app, who, Speech::Room(place.id()), &who.token("room")).await;
        screens.push(wired(Dialect::Rooms, Some(*place), room));

        let (screen, log) = polled(Dialect::Longpoll, Via::Messages, Some(*place));
        screens.push(screen);
        spawn(messages(Arc::clone(app), who.token("messages"), *place, log));
        let (screen, log) = polled(Dialect::Rooms, Via::Messages, Some(*place));
        screens.push(screen);
        spawn(room_messages(Arc::clone(app), who.token("polling"), *place, log));
    }
    let join = json!(["join_conversation", { "other_user_id": who.partner().uuid() }]);
    direct.ask(join, "ack").await;
    screens.push(wired(Dialect::Native, None, native));
    screens.push(wired(Dialect::Conversations, None, conversations));
    screens.push(wired(Dialect::Direct, None, direct));

    let (screen, log) = polled(Dialect::Longpoll, Via::Updates, None);
    screens.push(screen);
    spawn(updates(Arc::clone(app), who.token("updates"), log));
    let (longpoll, statuses) = polled(Dialect::Longpoll, Via::Status, None);
    let (rooms, lists) = polled(Dialect::Rooms, Via::Status, None);
    let asked = lists.clone();
    screens.extend([longpoll, rooms]);
    let status = Status {
        app: Arc::clone(app),
        token: who.token("status"),
        places: places.to_vec(),
        on: BTreeSet::new(),
        fields: BTreeMap::new(),
        longpoll: statuses,
        rooms: lists,
    };
    spawn(status.watch());
    assert!(asked.has(0, |_| true).await, "statuses are not answered");
    screens
}

#[expect(clippy::disallowed_methods, reason = "a test's task ends with the test")]
fn spawn(doing: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(doing);
}

async fn call(app: &App, token: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "params": params }).to_string();
    let path = format!("/api/messaging/{method}");
    let (_, mut answer) = app.ask("POST", &path, token, Some(&body)).await;
    match answer["result"].take() {
        Value::Null => json!({ "trouble": answer }),
        result => result,
    }
}

/// The guide's ChatScreen.
async fn messages(app: Arc<App>, token: String, place: Place, log: Log) {
    let mut last = 0;
    loop {
        let params = json!({ "thread_id": place.id(), "last_message_id": last, "timeout": 30 });
        let result = call(&app, &token, "poll/messages", params).await;
        let Some(messages) = result["messages"].as_array() else { return log.add(result) };
        for message in messages {
            last = message["id"].as_i64().expect("an id");
            let item = json!({ "type": "poll/messages", "thread": place.id(), "value": message });
            log.add(item);
        }
    }
}

/// The guide's ChatListScreen.
async fn updates(app: Arc<App>, token: String, log: Log) {
    loop {
        let result = call(&app, &token, "poll/updates", json!({ "timeout": 30 })).await;
        let Some(threads) = result["threads_with_updates"].as_array() else {
            return log.add(result);
        };
        for thread in threads {
            log.add(json!({
                "type": "poll/updates", "thread": thread["thread_id"], "value": thread
            }));
        }
    }
}

/// The poll of rooms, with the timestamps alone.
async fn room_messages(app: Arc<App>, token: String, place: Place, log: Log) {
    let mut since = String::new();
    loop {
        let room = place.id();
        let path = format!("/api/chat/messages/poll/?room_id={room}&since={since}&wait=30");
        let (_, answer) = app.ask("GET", &path, &token, None).await;
        let (Some(messages), Some(timestamp)) =
            (answer["messages"].as_array(), answer["timestamp"].as_str())
        else {
            return log.add(json!({ "trouble": answer }));
        };
        timestamp.clone_into(&mut since);
        for message in messages {
            log.add(json!({ "type": "message", "message": message }));
        }
    }
}

/// What only shows when it is asked for: each change of it is one item.
struct Status {
    app: Arc<App>,
    token: String,
    places: Vec<Place>,
    on: BTreeSet<(bool, &'static str, i64, i64)>,
    fields: BTreeMap<(&'static str, i64), Value>,
    longpoll: Log,
    rooms: Log,
}

impl Status {
    async fn watch(mut self) {
        for round in 0_u64.. {
            let (on, fields) = match self.ask().await {
                Ok(shown) => shown,
                Err(trouble) => return self.rooms.add(json!({ "trouble": trouble })),
            };
            match round {
                0 => self.rooms.add(json!({ "type": "began" })),
                _ => self.tell(&on, &fields),
            }
            (self.on, self.fields) = (on, fields);
            tokio::time::sleep(ASKS_EVERY).await;
        }
    }

    fn tell(
        &self,
        on: &BTreeSet<(bool, &'static str, i64, i64)>,
        fields: &BTreeMap<(&'static str, i64), Value>,
    ) {
        for (longpoll, list, thread, user) in on.symmetric_difference(&self.on) {
            let is_on = on.contains(&(*longpoll, list, *thread, *user));
            let log = if *longpoll { &self.longpoll } else { &self.rooms };
            log.add(json!({ "type": list, "thread": thread, "user": user, "on": is_on }));
        }
        for ((field, thread), value) in fields {
            if self.fields.get(&(*field, *thread)) != Some(value) {
                self.rooms.add(json!({ "type": field, "thread": thread, "value": value }));
            }
        }
    }

    /// Who is in which list, and what the fields are.
    async fn ask(
        &self,
    ) -> Result<
        (BTreeSet<(bool, &'static str, i64, i64)>, BTreeMap<(&'static str, i64), Value>),
        Value,
    > {
        let (mut on, mut fields) = (BTreeSet::new(), BTreeMap::new());
        let people = |list: &Value, id: &str| -> Vec<i64> {
            let list = list.as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|one| one[id].as_i64()).collect()
        };
        for place in &self.places {
            let method = format!("typing/status/{}", place.id());
            let answer = call(&self.app, &self.token, &method, json!({})).await;
            let typists = people(&answer["typing_users"], "partner_id");
            on.extend(typists.iter().map(|user| (true, "typing_users", place.id(), *user)));
        }
        let asked = json!({ "partner_ids": [LINUS.0, MARY.0] });
        let answer = call(&self.app, &self.token, "presence/status", asked).await;
        let partners = answer["presence"].as_array().ok_or_else(|| answer.clone())?;
        let online = partners.iter().filter(|one| one["status"] == "online");
        on.extend(
            online.filter_map(|one| Some((true, "presence", 0, one["partner_id"].as_i64()?))),
        );

        let (_, answer) = self.app.ask("GET", "/api/chat/rooms/", &self.token, None).await;
        for room in answer.as_array().ok_or_else(|| answer.clone())? {
            let id = room["id"].as_i64().ok_or_else(|| answer.clone())?;
            for list in ["typing_users", "participants"] {
                on.extend(
                    people(&room[list], "id").into_iter().map(|user| (false, list, id, user)),
                );
            }
            if room["typing_user"] != room["typing_users"][0] {
                return Err(room.clone());
            }
            fields.insert(("last_message", id), room["last_message"].clone());
            fields.insert(("unread_count", id), room["unread_count"].clone());
        }
        Ok((on, fields))
    }
}

/// Whether an item that an outsider gathered is of their own thread.
pub(super) fn is_own(item: &Value) -> bool {
    let text = item.to_string();
    let room = item["message"]["room"] == Place::Elsewhere.id();
    let thread = item["thread"] == Place::Elsewhere.id();
    let user = item["user"] == MARY.0 || item["user_id"] == MARY.0;
    room || thread || user || text.contains(&Place::Elsewhere.uuid()) || text.contains(&MARY.uuid())
}
