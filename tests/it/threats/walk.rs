//! A stranger's good token walks every request of every socket with other people's ids; `endpoints` does so over HTTP.
//!
//! An id that exists and is another's is answered as one that does not exist, nothing of its content is shown, nothing is written.
//! The walk is held against what sockets say they know, so that a new request cannot be left out.

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::{
    app::{App, Socket, person, thread, token},
    io::IoSocket,
};

/// What ada and grace have between them.
pub(super) const SECRET: &str = "between-us-two";
pub(super) const MISSING: &str = "00000000-0000-4000-8000-00000000ffff";
const FLAGS: &[&str] = &[
    "--rate-rest=100000/100000",
    "--rate-joins=100000/100000",
    "--rate-messages=100000/100000",
    "--rate-typing=100000/100000",
];

/// How a request has to be answered.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer {
    /// Refused, in the same words for what is another's and for what is not there.
    Refused,
    /// In the same words for both, whatever they are.
    Alike,
    /// With what is the asker's own: none of the secrets.
    Own,
}
pub(super) use Answer::{Alike, Own, Refused};

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
pub(super) fn variants(template: &str) -> Vec<String> {
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

pub(super) fn judge(what: &str, expected: Answer, answers: &[(bool, Value)]) {
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

pub(super) async fn start() -> App {
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
pub(super) async fn state(app: &App) -> String {
    let sql = "select md5(string_agg(line, ',' order by line)) from (
        select m::text as line from chat.messages m union all select m::text from chat.members m
        union all select t::text from chat.threads t union all select b::text from chat.blocks b) lines";
    app.value(sql).await
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
async fn the_walk_leaves_no_request_of_a_socket_out() {
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
