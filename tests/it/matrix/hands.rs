//! The hands: everything that can be done, by each origin that can do it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{
    table::Origin,
    wire::{Speech, Wire},
    world::{ADA, GRACE, LINUS, Person, Place},
};
use crate::harness::app::App;

/// The sockets by which people act, and a connection of another service.
pub(super) struct Hands {
    app: Arc<App>,
    client: Client,
    wires: Vec<(Person, Origin, Option<Place>, Wire)>,
}

impl Hands {
    pub(super) async fn new(app: &Arc<App>) -> Self {
        let mut wires = Vec::new();
        for who in [ADA, GRACE] {
            for (origin, place, speech) in [
                (Origin::NativeSocket, None, Speech::Native),
                (Origin::RoomsSocket, Some(Place::Group), Speech::Room(Place::Group.id())),
                (Origin::RoomsSocket, Some(Place::Direct), Speech::Room(Place::Direct.id())),
                (Origin::ConversationsSocket, None, Speech::Conversations),
                (Origin::DirectSocket, None, Speech::Direct),
            ] {
                let wire = Wire::open(app, who, speech, &who.token("hands")).await;
                wires.push((who, origin, place, wire));
            }
        }
        let client = app.database.client().await;
        Self { app: Arc::clone(app), client, wires }
    }

    pub(super) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect(sql);
    }

    /// Two values of SQL.
    pub(super) async fn row(&self, sql: &str) -> (i64, String) {
        let row = self.client.query_one(sql, &[]).await.expect(sql);
        (row.get(0), row.get(1))
    }

    fn wire(&self, who: Person, origin: Origin, place: Place) -> &Wire {
        let found = self.wires.iter().find(|(one, by, room, _)| {
            *one == who && *by == origin && room.is_none_or(|room| room == place)
        });
        &found.expect("a socket").3
    }

    async fn post(&self, who: Person, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let (status, answer) = self.app.ask("POST", path, &who.token("hands"), Some(&body)).await;
        let well = (200..300).contains(&status) && answer["error"].is_null();
        assert!(well, "{path} {body}: {status} {answer}");
        answer
    }

    async fn call(&self, who: Person, method: &str, params: Value) {
        let body = json!({ "jsonrpc": "2.0", "params": params });
        self.post(who, &format!("/api/messaging/{method}"), &body).await;
    }

    /// Says something in a thread.
    pub(super) async fn say(&self, who: Person, place: Place, content: &str, origin: Origin) {
        let (id, uuid, other) = (place.id(), place.uuid(), who.partner().uuid());
        let body = json!({ "content": content, "receiver_id": other });
        let wire = || self.wire(who, origin, place);
        match origin {
            Origin::Sql | Origin::SqlRow => {
                let insert = "insert into chat.messages (thread_id, sender_id, content) values";
                self.sql(&format!("{insert} ({id}, {}, '{content}')", who.0)).await;
            }
            Origin::NativeRest => {
                self.post(who, &format!("/api/chat/threads/{uuid}/messages"), &body).await;
            }
            Origin::NativeSocket => {
                let frame =
                    json!({ "type": "send_message", "thread_id": uuid, "content": content });
                wire().ask(frame, "message_sent").await;
            }
            Origin::Longpoll => {
                self.call(who, "send", json!({ "thread_id": id, "body": content })).await;
            }
            Origin::RoomsRest => {
                self.post(who, &format!("/api/chat/rooms/{id}/messages/"), &body).await;
            }
            Origin::RoomsSocket => wire().send(&json!({ "type": "message", "content": content })),
            Origin::ConversationsRest => {
                self.post(who, &format!("/api/conversations/{uuid}/messages"), &body).await;
            }
            Origin::ConversationsSocket => {
                let data = json!({ "conversationId": uuid, "content": content });
                wire().ask(json!(["message:send", data]), "ack").await;
            }
            Origin::DirectRest => {
                self.post(who, "/api/messages/send", &body).await;
            }
            Origin::DirectSocket => {
                wire().ask(json!(["send_message_realtime", body]), "ack").await;
            }
        }
    }

    /// Reads a thread to its end.
    pub(super) async fn read(&self, who: Person, place: Place, origin: Origin) {
        let (id, uuid, other) = (place.id(), place.uuid(), who.partner().uuid());
        let wire = || self.wire(who, origin, place);
        let nothing = json!({});
        match origin {
            Origin::NativeRest => {
                self.post(who, &format!("/api/chat/mark-read/{uuid}"), &nothing).await;
            }
            Origin::NativeSocket => {
                let frame = json!({ "type": "mark_read", "thread_id": uuid });
                wire().ask(frame, "marked_read").await;
            }
            Origin::Longpoll => {
                let params = json!({ "thread_id": id });
                self.call(who, "notifications/mark_all_read", params).await;
            }
            Origin::RoomsRest => {
                self.post(who, &format!("/api/chat/rooms/{id}/read/"), &nothing).await;
            }
            Origin::ConversationsRest => {
                self.post(who, &format!("/api/conversations/{uuid}/read"), &nothing).await;
            }
            Origin::ConversationsSocket => {
                let data = json!({ "conversationId": uuid });
                wire().ask(json!(["conversation:read", data]), "ack").await;
            }
            Origin::DirectRest => {
                self.post(who, &format!("/api/messages/read/{other}"), &nothing).await;
            }
            Origin::DirectSocket => {
                let data = json!({ "other_user_id": other });
                wire().ask(json!(["mark_read_realtime", data]), "ack").await;
            }
            _ => self.mark(who, place, "last_read_seq").await,
        }
    }

    /// Notes that a message has arrived.
    pub(super) async fn receive(&self, who: Person, place: Place, message: &str, origin: Origin) {
        let wire = || self.wire(who, origin, place);
        let data = json!({
            "type": "mark_delivered", "thread_id": place.uuid(), "message_id": message
        });
        match origin {
            Origin::NativeSocket => wire().ask(data, "marked_delivered").await,
            Origin::DirectSocket => wire().ask(json!(["mark_delivered", data]), "ack").await,
            _ => self.mark(who, place, "last_delivered_seq").await,
        }
    }

    /// Moves a watermark, as any service may.
    async fn mark(&self, who: Person, place: Place, column: &str) {
        let (user, thread) = (who.0, place.id());
        self.sql(&format!(
            "update chat.members set {column} =
                (select last_seq from chat.threads where id = {thread})
             where user_id = {user} and thread_id = {thread}"
        ))
        .await;
    }

    /// Types, or no longer does.
    pub(super) async fn typing(&self, who: Person, place: Place, is_typing: bool, origin: Origin) {
        let (id, uuid, other) = (place.id(), place.uuid(), who.partner().uuid());
        let wire = || self.wire(who, origin, place);
        match origin {
            Origin::NativeSocket => {
                let (kind, reference) = ("typing", 1);
                let frame = json!({
                    "type": kind, "thread_id": uuid, "is_typing": is_typing, "ref": reference
                });
                wire().ask(frame, "typing_noted").await;
            }
            Origin::Longpoll => {
                let method = if is_typing { "typing/start" } else { "typing/stop" };
                self.call(who, method, json!({ "thread_id": id })).await;
            }
            Origin::RoomsRest => {
                let body = json!({ "is_typing": is_typing });
                self.post(who, &format!("/api/chat/rooms/{id}/typing/"), &body).await;
            }
            Origin::RoomsSocket => {
                wire().send(&json!({ "type": "typing", "is_typing": is_typing }));
            }
            Origin::ConversationsSocket => {
                let data = json!({ "conversationId": uuid, "isTyping": is_typing });
                wire().ask(json!(["typing", data]), "ack").await;
            }
            Origin::DirectSocket => {
                let event = if is_typing { "typing" } else { "stop_typing" };
                wire().ask(json!([event, { "receiver_id": other }]), "ack").await;
            }
            _ => self.say(who, place, "and with this the typing ends", Origin::Sql).await,
        }
    }

    /// Opens a direct thread with somebody and says something there.
    pub(super) async fn open_direct(&self, who: Person, other: Person, content: &str) {
        let wire = Wire::open(&self.app, who, Speech::Direct, &who.token("hands")).await;
        let join = json!(["join_conversation", { "other_user_id": other.uuid() }]);
        wire.ask(join, "ack").await;
        let data = json!({ "receiver_id": other.uuid(), "content": content });
        wire.ask(json!(["send_message_realtime", data]), "ack").await;
    }

    /// Lets linus come; what he comes with keeps him here.
    pub(super) async fn arrive(&self, origin: Origin) -> Option<Wire> {
        let token = LINUS.token("coming and going");
        let speech = match origin {
            Origin::Longpoll => {
                self.presence(LINUS, "online").await;
                return None;
            }
            Origin::RoomsRest => {
                let (status, rooms) = self.app.ask("GET", "/api/chat/rooms/", &token, None).await;
                assert_eq!(status, 200, "{rooms}");
                return None;
            }
            Origin::RoomsSocket => Speech::Room(Place::Group.id()),
            Origin::ConversationsSocket => Speech::Conversations,
            Origin::DirectSocket => Speech::Direct,
            _ => Speech::Native,
        };
        Some(Wire::open(&self.app, LINUS, speech, &token).await)
    }

    /// Lets linus go.
    pub(super) async fn leave(&self, origin: Origin, here: Option<Wire>) {
        match (origin, here) {
            (Origin::Longpoll, _) => self.presence(LINUS, "offline").await,
            // A request made before the last connection closed counts no more.
            (_, None) => drop(self.arrive(Origin::NativeSocket).await),
            (Origin::Sql, Some(_)) => {
                let (token, user) = ("coming and going", LINUS.0);
                let revoke = "insert into chat.revoked_tokens (jti, user_id) values";
                self.sql(&format!("{revoke} ('{token}', {user})")).await;
            }
            (_, Some(here)) => drop(here),
        }
    }

    /// Says how one is.
    pub(super) async fn presence(&self, who: Person, status: &str) {
        self.call(who, "presence/update", json!({ "status": status })).await;
    }
}
