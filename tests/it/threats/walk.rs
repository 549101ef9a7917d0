//! A stranger's good token walks every endpoint and every request of every socket with other people's ids.
//!
//! An id that exists and is another's is answered as one that does not exist, nothing of its content is shown, nothing is written.
//! The walk is held against the README and against what sockets say they know, so that a new endpoint cannot be left out.

use std::{collections::BTreeSet, fs};

use regex::Regex;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error as SocketError;

use crate::harness::{
    app::{App, Socket, person, thread, token},
    io::IoSocket,
};

/// What ada and grace have between them.
const SECRET: &str = "between-us-two";
const MISSING: &str = "00000000-0000-4000-8000-00000000ffff";
const FLAGS: &[&str] = &[
    "--rate-rest=100000/100000",
    "--rate-joins=100000/100000",
    "--rate-messages=100000/100000",
    "--rate-typing=100000/100000",
];

/// How a request has to be answered.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// Refused, in the same words for what is another's and for what is not there.
    Refused,
    /// In the same words for both, whatever they are.
    Alike,
    /// With what is the asker's own: none of the secrets.
    Own,
}
use Answer::{Alike, Own, Refused};

/// Every endpoint; `{thread}`, `{message}` and `{user}` are another's. Linus asks: he is in thread 1 and not in thread 2.
const REST: &[(&str, &str, &str, Answer)] = &[
    ("POST", "/api/chat/subscribe", "{}", Own),
    ("POST", "/api/chat/unsubscribe", "{}", Own),
    ("POST", "/api/chat/subscribe", "{}", Own),
    ("GET", "/api/chat/offline-messages?last_check_time=2000-01-01T00:00:00Z", "", Own),
    ("GET", "/api/chat/unread-count", "", Own),
    ("POST", "/api/chat/mark-read/{thread}", "", Refused),
    ("POST", "/api/chat/mark-read/{thread}", r#"{"up_to_message_id":"{message}"}"#, Refused),
    ("POST", "/api/chat/mark-read/1", r#"{"up_to_message_id":"{message}"}"#, Refused),
    ("GET", "/api/chat/threads", "", Own),
    ("GET", "/api/chat/threads/{thread}/messages", "", Refused),
    ("GET", "/api/chat/threads/{thread}/messages?before={message}", "", Refused),
    ("GET", "/api/chat/threads/1/messages?before={message}", "", Refused),
    ("GET", "/api/chat/threads/1/messages?after={message}", "", Refused),
    ("POST", "/api/chat/threads/{thread}/messages", r#"{"content":"Hi"}"#, Refused),
    ("GET", "/api/chat/rooms/", "", Own),
    ("GET", "/api/chat/rooms/{thread}/", "", Refused),
    ("POST", "/api/chat/rooms/{thread}/typing/", r#"{"is_typing":true}"#, Refused),
    ("POST", "/api/chat/rooms/{thread}/typing/", r#"{"is_typing":false}"#, Refused),
    ("GET", "/api/chat/messages/poll/?room_id={thread}", "", Refused),
    ("GET", "/api/chat/messages/poll/?room_id={thread}&since=2000-01-01T00:00:00Z", "", Refused),
    ("GET", "/api/chat/rooms/{thread}/messages/", "", Refused),
    ("GET", "/api/chat/rooms/1/messages/?before={message}", "", Refused),
    ("GET", "/api/chat/rooms/1/messages/?after={message}", "", Refused),
    ("GET", "/api/chat/messages/?room_id={thread}", "", Refused),
    ("GET", "/api/chat/messages/?room={thread}", "", Refused),
    ("POST", "/api/chat/rooms/{thread}/messages/", r#"{"content":"Hi"}"#, Refused),
    ("POST", "/api/chat/messages/", r#"{"content":"Hi","room":"{thread}"}"#, Refused),
    ("POST", "/api/chat/rooms/{thread}/read/", "", Refused),
    ("POST", "/api/chat/rooms/1/read/", r#"{"message_id":"{message}"}"#, Refused),
    ("POST", "/api/messages/read/{user}", "", Own),
    ("GET", "/api/messages/conversation/{user}", "", Own),
    ("GET", "/api/messages/conversation/{user}?before={message}", "", Alike),
    ("GET", "/api/messages/conversations", "", Own),
    ("GET", "/api/users/profile/{user}", "", Own),
    ("GET", "/api/conversations", "", Own),
    ("GET", "/api/conversations/{thread}/messages", "", Refused),
    ("GET", "/api/conversations/{thread}/messages?since=2000-01-01T00:00:00Z", "", Refused),
    ("GET", "/api/conversations/1/messages?before={message}", "", Alike),
    ("POST", "/api/conversations/{thread}/messages", r#"{"content":"Hi"}"#, Refused),
    ("POST", "/api/conversations/{thread}/read", "", Refused),
    ("POST", "/api/conversations/1/read", r#"{"messageId":"{message}"}"#, Refused),
    ("POST", "/api/messaging/poll/messages", r#"{"thread_id":"{thread}","timeout":0}"#, Refused),
    (
        "POST",
        "/api/messaging/poll/messages",
        r#"{"thread_id":1,"last_message_id":"{uuid}","timeout":0}"#,
        Alike,
    ),
    (
        "POST",
        "/api/messaging/poll/updates",
        r#"{"last_check":"2000-01-01T00:00:00Z","timeout":0}"#,
        Own,
    ),
    ("POST", "/api/messaging/notifications/count", "{}", Own),
    ("POST", "/api/messaging/notifications/mark_all_read", r#"{"thread_id":"{thread}"}"#, Refused),
    ("POST", "/api/messaging/typing/start", r#"{"thread_id":"{thread}"}"#, Refused),
    ("POST", "/api/messaging/typing/stop", r#"{"thread_id":"{thread}"}"#, Refused),
    ("POST", "/api/messaging/typing/status/{thread}", "{}", Refused),
    ("POST", "/api/messaging/presence/update", r#"{"status":"online"}"#, Own),
    ("POST", "/api/messaging/presence/status", r#"{"partner_ids":["4"]}"#, Own),
    ("POST", "/api/messaging/threads", "{}", Own),
    ("POST", "/api/messaging/send", r#"{"thread_id":"{thread}","body":"Hi"}"#, Refused),
];

/// Endpoints that have nothing of another's in them, and their own tests: what they write is the asker's.
const ELSEWHERE: &[&str] =
    &["/api/chat/events", "/api/messages/send", "/api/users/block/{}", "/api/auth/logout"];

const NATIVE: &[(&str, &str, Answer)] = &[
    ("ping", "{}", Own),
    ("subscribe_thread", r#"{"thread_id":"{thread}"}"#, Refused),
    ("unsubscribe_thread", r#"{"thread_id":"{thread}"}"#, Refused),
    ("typing", r#"{"thread_id":"{thread}","is_typing":true}"#, Refused),
    ("mark_read", r#"{"thread_id":"{thread}"}"#, Refused),
    ("mark_read", r#"{"thread_id":1,"up_to_message_id":"{message}"}"#, Refused),
    ("mark_delivered", r#"{"thread_id":"{thread}","message_id":"{message}"}"#, Refused),
    ("mark_delivered", r#"{"thread_id":1,"message_id":"{message}"}"#, Refused),
    ("authenticate", r#"{"token":"{token}"}"#, Refused),
    ("resume", r#"{"cursor":"nonsense"}"#, Refused),
    ("send_message", r#"{"thread_id":"{thread}","content":"Hi"}"#, Refused),
];

const CONVERSATIONS: &[(&str, &str, Answer)] = &[
    ("subscribe_conversation", r#"{"conversationId":"{thread}"}"#, Refused),
    ("unsubscribe_conversation", r#"{"conversationId":"{thread}"}"#, Refused),
    ("typing", r#"{"conversationId":"{thread}","isTyping":true}"#, Refused),
    ("message:send", r#"{"conversationId":"{thread}","content":"Hi"}"#, Refused),
    ("conversation:read", r#"{"conversationId":"{thread}"}"#, Refused),
    ("conversation:read", r#"{"conversationId":"1","messageId":"{message}"}"#, Refused),
    ("auth", r#"{"token":"{token}"}"#, Refused),
];

/// What is about a person opens or writes one's own conversation with them: that is no stranger's.
const DIRECT: &[(&str, &str, Answer)] = &[
    ("leave_conversation", r#"{"room_id":"{thread}"}"#, Refused),
    ("mark_delivered", r#"{"message_id":"{message}"}"#, Refused),
    ("mark_read_realtime", r#"{"other_user_id":"{user}"}"#, Own),
    ("join_conversation", r#"{"other_user_id":"{missing}"}"#, Refused),
    ("send_message_realtime", r#"{"receiver_id":"{missing}","content":"Hi"}"#, Refused),
    ("typing", r#"{"receiver_id":"{missing}"}"#, Refused),
    ("stop_typing", r#"{"receiver_id":"{missing}"}"#, Own),
];

/// Another's ids, and ids of nothing, in both forms: what each template becomes.
fn variants(template: &str) -> Vec<String> {
    let another = uuid_of_message();
    let ids =
        [(thread("pair"), another.as_str()), ("2", "2"), (MISSING, MISSING), ("4711", "4711")];
    ids.map(|(thread, message)| {
        template
            .replace("{thread}", thread)
            .replace("{message}", message)
            .replace("{uuid}", if message.len() > 4 { message } else { MISSING })
            .replace("{user}", &person("ada"))
            .replace("{missing}", MISSING)
            .replace("{token}", &token("grace"))
    })
    .to_vec()
}

fn uuid_of_message() -> String {
    "00000000-0000-4000-8000-0000000000b2".to_owned()
}

/// An answer without the ids that were asked for, so that answers can be compared.
fn plain(answer: &Value) -> String {
    let ids = Regex::new(r#"\b(4711|2|00000000-0000-4000-8000-0000000(0ffff|000a2|000b2))\b"#);
    let time = Regex::new(r#""(last_check|timestamp)":"[^"]*""#).expect("a pattern");
    let text = ids.expect("a pattern").replace_all(&answer.to_string(), "ID").into_owned();
    time.replace_all(&text, "TIME").into_owned()
}

fn judge(what: &str, expected: Answer, answers: &[(bool, Value)]) {
    for (refused, answer) in answers {
        let text = answer.to_string();
        assert!(!text.contains(SECRET), "{what} shows another's: {text}");
        assert!(!text.contains("internal"), "{what} is a fault of ours: {text}");
        if expected == Refused {
            assert!(*refused, "{what} was not refused: {text}");
        }
        if expected != Own {
            assert_eq!(plain(answer), plain(&answers[0].1), "{what}: {answers:?}");
        }
    }
}

async fn start() -> App {
    let app = App::start_with(FLAGS).await;
    app.sql(&format!(
        "insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'for all');
         insert into chat.messages (uuid, thread_id, sender_id, content) values ('{}', 2, 1, '{SECRET}');
         update chat.threads set name = '{SECRET}' where id = 2",
        uuid_of_message()
    ))
    .await;
    app
}

/// All that a stranger could have changed.
async fn state(app: &App) -> String {
    let sql = "select md5(string_agg(line, ',' order by line)) from (
        select m::text as line from chat.messages m union all select m::text from chat.members m
        union all select t::text from chat.threads t union all select b::text from chat.blocks b) lines";
    app.value(sql).await
}

#[tokio::test]
async fn every_endpoint_answers_for_anothers_ids_as_for_none_and_writes_nothing() {
    let app = start().await;
    let before = state(&app).await;
    for (method, path, body, expected) in REST {
        let rpc = path.starts_with("/api/messaging/");
        let body = match rpc {
            true => format!(r#"{{"jsonrpc":"2.0","id":null,"params":{body}}}"#),
            false => (*body).to_owned(),
        };
        let mut answers = Vec::new();
        for (path, body) in variants(path).into_iter().zip(variants(&body)) {
            let body = (*method != "GET").then_some(body.as_str());
            let (status, answer) = app.ask(method, &path, &token("linus"), body).await;
            let refused = status >= 400 || rpc && answer.get("error").is_some();
            answers.push((refused, json!([status, answer])));
        }
        judge(&format!("{method} {path} {body}"), *expected, &answers);
        assert_eq!(state(&app).await, before, "{method} {path} {body} wrote something");
    }
    for id in [thread("pair"), "2", MISSING, "4711", "-1", "%00"] {
        let path = format!("/ws/chat/{id}/");
        let Err(SocketError::Http(response)) = app.socket_at(&path, &token("linus")).await else {
            panic!("{path} opened");
        };
        let body = response.body().as_deref().unwrap_or_default();
        let answer = (response.status().as_u16(), String::from_utf8_lossy(body).into_owned());
        assert_eq!(answer, (403, r#"{"error":"Not a participant"}"#.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn every_request_of_a_socket_answers_for_anothers_ids_as_for_none_and_writes_nothing() {
    let app = start().await;
    let before = state(&app).await;
    let mut native = app.socket("linus", "").await;
    native.until("connection_established").await;
    for (kind, frame, expected) in NATIVE {
        let mut answers = Vec::new();
        for frame in variants(frame) {
            let mut frame: Value = serde_json::from_str(&frame).expect("JSON");
            frame["type"] = json!(kind);
            let answer = native.ask(frame).await;
            answers.push((answer["type"] == "error", answer));
        }
        judge(&format!("native {kind} {frame}"), *expected, &answers);
    }
    for (query, events) in [("&dialect=conversations", CONVERSATIONS), ("&dialect=direct", DIRECT)]
    {
        let mut socket = IoSocket::enter(&app, &token("linus"), query).await;
        for (event, data, expected) in events {
            let mut answers = Vec::new();
            for data in variants(data) {
                let answer = acked(&mut socket, event, &data).await;
                answers.push((answer.get("error").is_some(), answer));
            }
            judge(&format!("{query} {event} {data}"), *expected, &answers);
        }
    }
    assert_eq!(state(&app).await, before, "something was written");
}

/// The ack of an event; what else comes meanwhile may hold no secret.
async fn acked(socket: &mut IoSocket, event: &str, data: &str) -> Value {
    socket.send(&format!(r#"27["{event}",{data}]"#)).await;
    loop {
        let packet = socket.next().await;
        assert!(!packet.contains(SECRET), "{packet}");
        if let Some(answer) = packet.strip_prefix("37") {
            let answer: Value = serde_json::from_str(answer).expect("JSON");
            return answer[0].clone();
        }
    }
}

#[tokio::test]
async fn what_happens_in_anothers_thread_reaches_no_client_of_a_stranger() {
    let app = start().await;
    let mut native = app.socket("linus", "").await;
    native.until("connection_established").await;
    let mut room = app.socket_at("/ws/chat/1/", &token("linus")).await.expect("a socket");
    let mut conversations = IoSocket::enter(&app, &token("linus"), "&dialect=conversations").await;
    let mut direct = IoSocket::enter(&app, &token("linus"), "&dialect=direct").await;
    // The guesses that were refused must not have subscribed to anything.
    for id in [thread("pair"), "2"] {
        native.send(json!({ "type": "subscribe_thread", "thread_id": id }).to_string()).await;
        let data = json!({ "conversationId": id }).to_string();
        acked(&mut conversations, "subscribe_conversation", &data).await;
    }
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    let say = json!({ "type": "typing", "thread_id": 2, "is_typing": true });
    ada.send(say.to_string()).await;
    ada.send(r#"{"type":"ping"}"#).await;
    ada.until("pong").await;
    app.sql(&format!(
        "insert into chat.messages (thread_id, sender_id, content) values (2, 1, '{SECRET} again');
         update chat.messages set content = '{SECRET} edited' where thread_id = 2;
         update chat.members set last_read_seq = 2 where thread_id = 2;
         update chat.threads set name = '{SECRET} renamed' where id = 2;
         insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'the end');
         insert into chat.messages (thread_id, sender_id, content) values (chat.direct_thread(1, 3), 1, 'the end')",
    ))
    .await;
    for socket in [&mut native, &mut room] {
        let came = until_the_end(socket).await;
        assert!(!came.contains(SECRET) && !came.contains(thread("pair")), "{came}");
    }
    for socket in [&mut conversations, &mut direct] {
        loop {
            let packet = socket.next().await;
            assert!(!packet.contains(SECRET) && !packet.contains(thread("pair")), "{packet}");
            if packet.contains("new_message\"") || packet.contains("the end") {
                break;
            }
        }
    }
}

async fn until_the_end(socket: &mut Socket) -> String {
    let mut came = String::new();
    loop {
        let frame = socket.next().await.to_string();
        came.push_str(&frame);
        if frame.contains("the end") {
            return came;
        }
    }
}

#[tokio::test]
async fn the_walk_leaves_no_endpoint_and_no_request_out() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.expect("the README");
    let any = Regex::new(r"\{\w+\}|\?.*$").expect("a pattern");
    let shape = |path: &str| {
        let path = path.split('?').next().unwrap_or_default();
        any.replace_all(path.trim_end_matches('/'), "{}").into_owned()
    };
    let walked: BTreeSet<String> = REST.iter().map(|(_, path, ..)| shape(path)).collect();
    let path =
        Regex::new(r"`(?:GET|POST|DELETE)?`?,? ?`?(?:(?:GET|POST|DELETE) )?(/api/[\w/{}*-]+)");
    let mut count = 0;
    for found in path.expect("a pattern").captures_iter(&readme) {
        if found[1].ends_with('*') {
            continue;
        }
        count += 1;
        let known = shape(&found[1]);
        // `/api/messaging/*` and its like are a name for all of them.
        let there = walked.iter().any(|one| one.starts_with(&format!("{known}/")));
        let there = there || walked.contains(&known) || ELSEWHERE.contains(&known.as_str());
        assert!(there, "the walk does not have {known}");
    }
    assert!(count > 30, "{count} endpoints only");
    let table = readme.split("## The longpoll protocol").nth(1).expect("its part");
    let table = table.split("\n## ").next().unwrap_or_default();
    let method = Regex::new(r"`([a-z]+(?:/[a-z_{}]+)*)`(?:, `([a-z/_]+)`)? \|").expect("a pattern");
    let methods = method.captures_iter(table);
    let methods: Vec<&str> = methods
        .flat_map(|found| [found.get(1), found.get(2)])
        .flatten()
        .map(|one| one.as_str())
        .collect();
    assert!(methods.len() >= 11, "{methods:?}");
    for method in methods {
        let known = shape(&format!("/api/messaging/{method}"));
        assert!(walked.contains(&known), "the walk does not have {known}");
    }

    // What the sockets know they say themselves.
    let app = start().await;
    let mut native = app.socket("linus", "").await;
    native.until("connection_established").await;
    let said = native.ask(json!({ "type": "fly" })).await["message"].to_string();
    listed(&said, "known are ", NATIVE);
    for (query, events) in [("&dialect=conversations", CONVERSATIONS), ("&dialect=direct", DIRECT)]
    {
        let mut socket = IoSocket::enter(&app, &token("linus"), query).await;
        let said = acked(&mut socket, "fly", "{}").await["error"].to_string();
        listed(&said, "known are ", events);
    }
}

fn listed(said: &str, before: &str, walked: &[(&str, &str, Answer)]) {
    let known = said.split(before).nth(1).unwrap_or_else(|| panic!("no list in {said}"));
    let known: Vec<&str> = known.trim_end_matches('"').split(", ").collect();
    assert!(known.len() > 5, "{known:?}");
    for one in known {
        assert!(walked.iter().any(|(kind, ..)| *kind == one), "the walk does not have {one}");
    }
}
