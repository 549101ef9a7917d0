//! Confused doors: what opens one dialect and is nothing in another, and pages of other origins that use a cookie.

use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error as SocketError, client::IntoClientRequest},
};

use crate::{
    harness::{
        app::{App, now, person, token, token_with},
        io::IoSocket,
    },
    native::client::request,
    supabase::client::{Phoenix, refused, token_of},
};

const EVIL: &str = "https://evil.example";
/// One endpoint of each chat dialect.
const CHAT: &[(&str, &str)] = &[
    ("GET", "/api/chat/unread-count"),
    ("GET", "/api/chat/threads/1/messages"),
    ("GET", "/api/chat/events"),
    ("GET", "/api/chat/rooms/"),
    ("GET", "/api/chat/messages/poll/?room_id=1"),
    ("POST", "/api/messaging/threads"),
    ("GET", "/api/conversations"),
    ("GET", "/api/messages/conversations"),
    ("POST", "/api/auth/logout"),
];
const SOCKETS: &[&str] = &["/ws", "/", "/ws/chat/1/"];

/// The status with which a socket is refused; 101 where it opens.
async fn knock(app: &App, path: &str, headers: &[(&str, &str)]) -> u16 {
    let url = format!("ws://{}{path}", app.address());
    let mut request = url.into_client_request().expect("a request");
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a name");
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    match connect_async(request).await {
        Ok(_) => 101,
        Err(SocketError::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("no answer but {error}"),
    }
}

async fn no_chat_door_opens(app: &App, what: &str, token: &str) {
    let bearer = format!("Bearer {token}");
    let cookie = format!("session_id={token}");
    for (method, path) in CHAT {
        let join = if path.contains('?') { '&' } else { '?' };
        for (path, headers) in [
            ((*path).to_owned(), vec![("authorization", &*bearer)]),
            ((*path).to_owned(), vec![("cookie", &*cookie)]),
            ((*path).to_owned(), vec![("apikey", token)]),
            ((*path).to_owned(), vec![("x-api-key", token)]),
            (format!("{path}{join}token={token}"), vec![]),
            (format!("{path}{join}apikey={token}"), vec![]),
        ] {
            let status = request(app, method, &path, &headers, "{}").await.status();
            assert_eq!(status, 401, "{what} at {method} {path} {headers:?}");
        }
    }
    for path in SOCKETS {
        for path in [format!("{path}?token={token}"), format!("{path}?apikey={token}")] {
            assert_eq!(knock(app, &path, &[]).await, 401, "{what} at {path}");
        }
    }
    for query in ["", "&dialect=conversations"] {
        let mut socket = IoSocket::open(app, query).await;
        socket.send(&format!("0{}", json!({ "token": token }))).await;
        let answer = socket.next().await;
        assert!(answer.starts_with("4{") && answer.contains("401"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn keys_and_tokens_of_a_project_open_no_chat_door() {
    let flags = ["--publishable-key=sb_publishable_x", "--secret-key=sb_secret_y"];
    let app = App::start_with(&flags).await;
    no_chat_door_opens(&app, "the publishable key", "sb_publishable_x").await;
    no_chat_door_opens(&app, "the secret key", "sb_secret_y").await;
    no_chat_door_opens(&app, "anon", &token_of("anon")).await;
    no_chat_door_opens(&app, "service_role", &token_of("service_role")).await;
    let nobody = json!({ "role": "service_role", "sub": "00000000-0000-4000-8000-0000000000ff", "exp": now() + 60 });
    no_chat_door_opens(&app, "service_role of nobody", &token_with(&nobody)).await;
}

#[tokio::test]
async fn a_role_in_a_persons_token_gives_no_more_in_chat_than_the_person_has() {
    let app = App::start().await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (2, 1, 'secret')")
        .await;
    for role in ["service_role", "postgres", "rowcast_dev", "teacher"] {
        let token = token_with(&json!({ "sub": person("linus"), "role": role, "exp": now() + 60 }));
        let (status, _) = app.ask("GET", "/api/chat/threads/2/messages", &token, None).await;
        assert_eq!(status, 403, "{role}");
        let (status, body) = app.ask("GET", "/api/chat/threads", &token, None).await;
        assert!(status == 200 && !body.to_string().contains("secret"), "{role}: {status} {body}");
    }
}

#[tokio::test]
async fn a_persons_token_and_cookie_open_no_channel_without_a_role() {
    let app = App::start().await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('opaque-ada', 1)").await;
    for key in [token("ada"), "opaque-ada".to_owned()] {
        let (status, _) = refused(&app, &format!("apikey={key}")).await;
        assert_eq!(status, 401, "{key}");
        for path in ["/api/broadcast", "/realtime/v1/api/broadcast"] {
            let body = json!({ "messages": [] }).to_string();
            assert_eq!(app.ask("POST", path, &key, Some(&body)).await.0, 401, "{key} at {path}");
        }
    }
    // A cookie is nothing there at all, with a role or without.
    let cookie = format!("session_id={}", token_of("authenticated"));
    for path in ["/realtime/v1/websocket?vsn=2.0.0", "/socket/websocket"] {
        assert_eq!(knock(&app, path, &[("cookie", &cookie)]).await, 401, "{path}");
    }
}

#[tokio::test]
async fn a_channel_named_after_a_thread_or_a_user_hears_nothing_of_chat() {
    let app = App::start().await;
    let mut client = Phoenix::connect(&app, &token_of("authenticated")).await;
    for name in ["thread:2", "user:1", "table:chat.messages", "presence", "login:opaque-ada"] {
        assert_eq!(client.join(name, json!({})).await["status"], "ok", "{name}");
    }
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (2, 1, 'secret')")
        .await;
    ada.until("new_message").await;
    client.nothing_more().await;
    // What is said in such a channel is nothing to the thread either.
    client.push("thread:2", "broadcast", json!({ "type": "new_message", "payload": {} })).await;
    client.nothing_more().await;
    ada.send(r#"{"type":"ping"}"#).await;
    assert_eq!(ada.next().await["type"], "pong");
    let watch =
        json!({ "postgres_changes": [{ "event": "*", "schema": "chat", "table": "messages" }] });
    client.push("w", "phx_join", json!({ "config": watch })).await;
    loop {
        let frame = client.next().await;
        if frame[4]["status"] == "error" {
            break;
        }
        assert_eq!(frame[4]["status"], "ok", "{frame}");
    }
}

#[tokio::test]
async fn no_socket_opens_for_another_origins_page_by_a_cookie() {
    let app = App::start().await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('opaque-ada', 1)").await;
    let own = format!("http://{}", app.address());
    for cookie in [format!("session_id={}", token("ada")), "session_id=opaque-ada".to_owned()] {
        for path in SOCKETS {
            for origin in [EVIL, "null", "http://127.0.0.1"] {
                let headers = [("cookie", &*cookie), ("origin", origin)];
                assert_eq!(knock(&app, path, &headers).await, 403, "{path} from {origin}");
            }
            let headers = [("cookie", &*cookie), ("origin", &*own)];
            assert_eq!(knock(&app, path, &headers).await, 101, "{path} from its own page");
        }
    }
}

#[tokio::test]
async fn no_write_and_no_readable_answer_for_another_origins_page_by_a_cookie() {
    let app = App::start().await;
    let cookie = format!("session_id={}", token("ada"));
    let headers = [("cookie", &*cookie), ("origin", EVIL), ("content-type", "text/plain")];
    for (method, path, body) in [
        ("POST", "/api/chat/threads/1/messages", r#"{"content":"forged"}"#),
        ("POST", "/api/chat/mark-read/1", ""),
        ("POST", "/api/chat/subscribe", ""),
        ("POST", "/api/chat/rooms/1/messages/", r#"{"content":"forged"}"#),
        ("POST", "/api/chat/rooms/1/typing/", ""),
        ("POST", "/api/conversations/1/messages", r#"{"content":"forged"}"#),
        ("POST", "/api/conversations/1/read", ""),
        ("POST", "/api/messages/send", r#"{"receiver_id":"2","content":"forged"}"#),
        ("POST", "/api/users/block/2", ""),
        ("DELETE", "/api/users/block/2", ""),
        ("POST", "/api/auth/logout", ""),
        ("POST", "/api/messaging/send", r#"{"params":{"thread_id":1,"body":"forged"}}"#),
        ("POST", "/api/messaging/threads", "{}"),
    ] {
        let response = request(&app, method, path, &headers, body).await;
        // longpoll has one word for all that is no session: 401.
        assert!(
            matches!(response.status().as_u16(), 401 | 403),
            "{method} {path}: {}",
            response.status()
        );
    }
    for path in ["/api/chat/threads", "/api/chat/events", "/api/chat/rooms/", "/api/conversations"]
    {
        let response =
            request(&app, "GET", path, &[("cookie", &cookie), ("origin", EVIL)], "").await;
        let allowed = response.headers().get("access-control-allow-origin");
        let may_read = allowed.is_some_and(|origin| origin == EVIL || origin == "*")
            && response.headers().contains_key("access-control-allow-credentials");
        assert!(!may_read, "{path}: {:?}", response.headers());
    }
    let written: i64 = app
        .value("select (select count(*) from chat.messages) + (select count(*) from chat.blocks)")
        .await;
    assert_eq!(written, 0);
}
