//! A stranger's good token walks every endpoint with other people's ids, as `walk` does over sockets.
//!
//! The walk is held against the description of the routes and against the README: an endpoint that it does not visit fails.

use std::{collections::BTreeSet, fs};

use regex::Regex;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error as SocketError;

use super::walk::{Alike, Answer, MISSING, Own, Refused, SECRET, judge, start, state, variants};
use crate::{
    harness::app::{App, thread, token},
    native::client::EventStream,
};

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
    ("POST", "/api/messages/send", r#"{"receiver_id":"{missing}","content":"Hi"}"#, Refused),
    ("POST", "/api/users/block/{missing}", "", Refused),
    ("DELETE", "/api/users/block/{missing}", "", Refused),
    ("DELETE", "/api/users/block/{user}", "", Own),
];

/// Requests that write what is the asker's own, whoever is named, and nothing else. The last one ends the asker's token.
const OWN: &[(&str, &str, &str)] = &[
    (
        "POST",
        "/api/messages/send",
        r#"{"receiver_id":"{user}","content":"Hi","thread_id":"{thread}","sender_id":"{user}"}"#,
    ),
    ("POST", "/api/users/block/{user}", r#"{"user_id":"{user}","blocker_id":"{user}"}"#),
    ("DELETE", "/api/users/block/{user}", r#"{"user_id":"{user}","blocker_id":"{user}"}"#),
    ("POST", "/api/auth/logout", r#"{"everywhere":true,"user_id":"{user}","token":"{token}"}"#),
];

/// Paths of the description that this walk does not take: sockets, which have walks of their own, channels, which have
/// no threads, and what is the same for everybody.
const ELSEWHERE: &[&str] = &[
    "GET {}",
    "GET /ws",
    "GET /ws/chat/{}",
    "GET /realtime/v1/websocket",
    "GET /socket/websocket",
    "POST /realtime/v1/api/broadcast",
    "POST /realtime/v1/api/broadcast/{}/events/{}",
    "POST /api/broadcast",
    "POST /api/broadcast/{}/events/{}",
    "GET /openapi.json",
    "GET /asyncapi.json",
    "GET /client/{}",
    "GET /messaging.js",
    "GET /demo",
    "GET /demo/users",
];

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

/// What no request of linus may change: all that is not his.
async fn of_others(app: &App) -> String {
    let sql = "select md5(string_agg(line, ',' order by line)) from (
        select t::text as line from chat.threads t where not exists (select from chat.members m where m.thread_id = t.id and m.user_id = 3)
        union all select m::text from chat.members m
            where not exists (select from chat.members h where h.thread_id = m.thread_id and h.user_id = 3)
        union all select m::text from chat.messages m
            where not exists (select from chat.members h where h.thread_id = m.thread_id and h.user_id = 3)
        union all select b::text from chat.blocks b where b.blocker_id <> 3
        union all select concat(u.id, u.uuid, u.username, u.role, u.active, u.credits, u.tokens_valid_after) from chat.users u where u.id <> 3
        union all select l::text from chat.login_sessions l where l.user_id <> 3
        union all select r::text from chat.revoked_tokens r) lines";
    app.value(sql).await
}

#[tokio::test]
async fn what_is_written_by_a_persons_name_is_the_askers_own_and_nobody_elses() {
    let app = start().await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('of ada', 1), ('of linus', 3)").await;
    let before = of_others(&app).await;
    for (method, path, body) in OWN {
        let (path, body) = (&variants(path)[0], &variants(body)[0]);
        let (status, answer) = app.ask(method, path, &token("linus"), Some(body)).await;
        assert!(status < 300, "{method} {path} {body}: {status} {answer}");
        assert!(!answer.to_string().contains(SECRET), "{method} {path}: {answer}");
        assert_eq!(of_others(&app).await, before, "{method} {path} {body} wrote what is another's");
    }
    // The message went into a thread of the two, from him who sent it, and the one who logged out is out.
    let sent = "select count(*) from chat.messages m where m.content = 'Hi' and m.sender_id = 3 and m.thread_id = chat.direct_thread(1, 3)";
    assert_eq!(app.value::<i64>(sent).await, 1);
    assert_eq!(
        app.value::<i64>("select count(*) from chat.messages where content = 'Hi'").await,
        1
    );
    for (name, status) in [("linus", 401), ("ada", 200), ("grace", 200)] {
        let answer = app.ask("GET", "/api/chat/unread-count", &token_before(name), None).await;
        assert_eq!(answer.0, status, "{name}: {}", answer.1);
    }
}

/// A token that was issued before this test logged anybody out.
fn token_before(name: &str) -> String {
    let now = crate::harness::app::now();
    let sub = crate::harness::app::person(name);
    crate::harness::app::token_with(&json!({ "sub": sub, "exp": now + 3_600, "iat": now - 60 }))
}

#[tokio::test]
async fn an_event_stream_for_anothers_thread_says_as_for_none_and_brings_nothing_of_it() {
    let app = start().await;
    let before = state(&app).await;
    let bearer = format!("Bearer {}", token("linus"));
    let (mut answers, mut streams) = (Vec::new(), Vec::new());
    for query in variants("?subscribe={thread}") {
        let mut stream = EventStream::open_with(&app, &query, &[("authorization", &bearer)]).await;
        stream.until("connection_established").await;
        let (_, answer) = stream.next().await;
        answers.push((answer["type"] == "error", answer));
        streams.push(stream);
    }
    judge("GET /api/chat/events?subscribe=", Refused, &answers);
    assert_eq!(state(&app).await, before, "an event stream wrote something");
    app.sql(&format!(
        "insert into chat.messages (thread_id, sender_id, content) values (2, 1, '{SECRET} again');
         update chat.members set last_read_seq = 2 where thread_id = 2;
         update chat.threads set name = '{SECRET} renamed' where id = 2;
         insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'the end')"
    ))
    .await;
    for mut stream in streams {
        loop {
            let (_, event) = stream.next().await;
            let text = event.to_string();
            assert!(!text.contains(SECRET) && !text.contains(thread("pair")), "{text}");
            if text.contains("the end") {
                break;
            }
        }
    }
}

/// A method and a path without its parameters.
fn shape(method: &str, path: &str) -> String {
    let any = Regex::new(r"^(\{\w+\}|\d+)$").expect("a pattern");
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let parts: Vec<_> = path.split('/').map(|part| any.replace(part, "{}").into_owned()).collect();
    let path = parts.join("/");
    format!("{method} {}", if path.is_empty() { "{}" } else { &path })
}

fn walked() -> BTreeSet<String> {
    let rest = REST.iter().map(|(method, path, ..)| shape(method, path));
    let own = OWN.iter().map(|(method, path, _)| shape(method, path));
    rest.chain(own).chain([shape("GET", "/api/chat/events")]).collect()
}

#[test]
fn the_walk_visits_every_endpoint_of_the_description_and_no_other() {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/docs/api/openapi.json")).expect("a description");
    let page: Value = serde_json::from_str(&page).expect("JSON");
    let paths = page["paths"].as_object().expect("paths");
    let described: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().into_iter().flatten().map(move |(method, _)| (path, method))
        })
        .filter(|(_, method)| {
            ["get", "post", "put", "patch", "delete", "head"].contains(&method.as_str())
        })
        .map(|(path, method)| shape(&method.to_uppercase(), path))
        .collect();
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|one| (*one).to_owned()).collect();
    let known: BTreeSet<String> = walked().union(&elsewhere).cloned().collect();
    assert_eq!(known, described, "the walk, and the description of the routes");
    assert!(walked().is_disjoint(&elsewhere) && walked().len() > 40, "{:?}", walked());
}

#[test]
fn the_walk_leaves_no_endpoint_of_the_readme_out() {
    let root = env!("CARGO_MANIFEST_DIR");
    let readme = fs::read_to_string(format!("{root}/README.md")).expect("the README");
    let walked = walked();
    let path = Regex::new(r"`(GET|POST|DELETE)?`?,? ?`?(?:(GET|POST|DELETE) )?(/api/[\w/{}*-]+)")
        .expect("a pattern");
    let mut count = 0;
    for found in path.captures_iter(&readme) {
        if found[3].ends_with('*') || found[3].starts_with("/api/broadcast") {
            continue;
        }
        count += 1;
        let known = shape("", &found[3]);
        // `/api/messaging` and its like are a name for all of them.
        let there = walked.iter().any(|one| {
            let one = one.split_once(' ').map_or("", |(_, path)| path);
            one == known.trim() || one.starts_with(&format!("{}/", known.trim()))
        });
        assert!(there, "the walk does not have {known}");
    }
    assert!(count > 30, "{count} endpoints only");
}
