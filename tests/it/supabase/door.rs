//! Who is let in: keys, tokens, and the exact words in which they are refused.

use serde_json::json;

use super::client::{Came, Phoenix, refused, token_of, user_broadcast, user_push};
use crate::harness::app::{App, now, token_with};

#[tokio::test]
async fn a_handshake_is_refused_in_the_exact_words() {
    let app = App::start().await;
    let error = |text: &str| json!({ "error": text }).to_string();
    let cases = [
        (String::new(), "API key is missing"),
        ("apikey=nonsense".to_owned(), "The token provided is not a valid JWT"),
        (
            format!("apikey={}", token_with(&json!({ "role": "anon", "exp": now() - 60 }))),
            "Token has expired",
        ),
        (
            format!("apikey={}", token_with(&json!({ "exp": now() + 60 }))),
            "Fields `role` and `exp` are required in JWT",
        ),
        (
            format!("apikey={}", token_with(&json!({ "role": "anon" }))),
            "Fields `role` and `exp` are required in JWT",
        ),
        (format!("apikey={}x", token_of("anon")), "Failed to validate JWT signature"),
    ];
    for (query, text) in cases {
        assert_eq!(refused(&app, &query).await, (401, error(text)), "{query}");
    }
    let strange = format!("vsn=3.0.0&apikey={}", token_of("anon"));
    assert_eq!(refused(&app, &strange).await, (403, String::new()));
}

#[tokio::test]
async fn opaque_keys_stand_for_their_roles() {
    let app =
        App::start_with(&["--publishable-key=sb_publishable_x", "--secret-key=sb_secret_y"]).await;
    for key in ["sb_publishable_x", "sb_secret_y"] {
        let mut client = Phoenix::joined(&app, key, "a", json!({})).await;
        client.nothing_more().await;
    }
    assert_eq!(refused(&app, "apikey=sb_publishable_z").await.0, 401);
}

#[tokio::test]
async fn a_channel_ends_with_its_token_and_not_before() {
    let app = App::start().await;
    let ends = token_with(&json!({ "role": "anon", "exp": now() + 2 }));
    let mut client = Phoenix::connect(&app, &token_of("anon")).await;
    let reply = client.ask("a", "phx_join", json!({ "config": {}, "access_token": ends })).await;
    assert_eq!(reply["status"], "ok");
    let system = client.next().await;
    assert_eq!(system[3], "system");
    let message = system[4]["message"].as_str().expect("text");
    assert!(message.starts_with("Token has expired "), "{message}");
    assert_eq!(client.next().await, json!(["1", "1", "realtime:a", "phx_close", {}]));
    let reply = client
        .ask("b", "phx_join", json!({ "config": {}, "access_token": token_of("anon") }))
        .await;
    assert_eq!(reply["status"], "ok");

    // A fresh one in time keeps it.
    let ends = token_with(&json!({ "role": "anon", "exp": now() + 2 }));
    client.push("b", "access_token", json!({ "access_token": ends })).await;
    client.push("b", "access_token", json!({ "access_token": token_of("anon") })).await;
    let reply = client.ask("c", "phx_join", json!({ "config": {}, "access_token": ends })).await;
    assert_eq!(reply["status"], "ok");
    client.next().await;
    assert_eq!(client.next().await[2], "realtime:c");
    let reply = client.ask("b", "presence", json!({ "event": "untrack" })).await;
    assert_eq!(reply["status"], "ok");
}

#[tokio::test]
async fn limits_are_told_and_the_socket_stays() {
    let app = App::start_with(&[
        "--channels-per-socket=2",
        "--rate-channel-joins=1/4",
        "--rate-broadcasts=1/2",
        "--rate-presence=1/1",
        "--broadcast-limit=100",
        "--private-only=false",
    ])
    .await;
    let mut client =
        Phoenix::joined(&app, &token_of("anon"), "a", json!({ "broadcast": { "ack": true } }))
            .await;
    assert_eq!(client.join("b", json!({})).await["status"], "ok");
    let reply = client.join("c", json!({})).await;
    assert_eq!(reply["response"]["reason"], "ChannelRateLimitReached: Too many channels");
    client.join("c", json!({})).await;
    let reply = client.join("c", json!({})).await;
    assert_eq!(
        reply["response"]["reason"],
        "ClientJoinRateLimitReached: Too many joins per second"
    );

    let large = json!({ "event": "e", "payload": "x".repeat(100) });
    let reply = client.ask("a", "broadcast", large).await;
    assert_eq!(reply["response"]["error"], "payload_size_exceeded");
    assert_eq!(client.ask("a", "broadcast", json!({})).await["status"], "ok");
    let reply = client.ask("a", "broadcast", json!({})).await;
    assert_eq!(reply["response"]["error"], "Too many messages per second");

    let untrack = json!({ "event": "untrack" });
    assert_eq!(client.ask("a", "presence", untrack.clone()).await["status"], "ok");
    let reply = client.ask("a", "presence", untrack).await;
    assert_eq!(reply["response"]["reason"], "Client presence rate limit exceeded");
    client.nothing_more().await;
}

#[tokio::test]
async fn binary_broadcasts_go_to_those_who_can_read_them() {
    let app = App::start().await;
    let key = token_of("anon");
    let mut from = Phoenix::joined(&app, &key, "a", json!({ "broadcast": { "ack": true } })).await;
    let mut to = Phoenix::joined(&app, &key, "a", json!({})).await;
    let path = format!("/socket/websocket?apikey={key}");
    let mut old = app.socket_at(&path, "unused").await.expect("a socket");
    let joined = old.ask(json!({ "topic": "realtime:a", "event": "phx_join", "payload": {"config": {}}, "ref": 1 })).await;
    assert_eq!(joined["payload"]["status"], "ok");

    from.send(user_push("a", "bytes", "", false, &[0, 255])).await;
    let acked = json!(["1", "r", "realtime:a", "phx_reply", {"status": "ok", "response": {}}]);
    assert_eq!(from.next().await, acked);
    from.send(user_push("a", "json", r#"{"x":1}"#, true, r#"{"é":[1]}"#.as_bytes())).await;
    assert_eq!(from.next().await, acked);
    assert_eq!(to.any().await, Came::Binary(user_broadcast("a", "bytes", "", false, &[0, 255])));
    let json = user_broadcast("a", "json", "", true, r#"{"é":[1]}"#.as_bytes());
    assert_eq!(to.any().await, Came::Binary(json));
    // An old client gets the JSON only.
    let payload = json!({ "event": "json", "payload": {"é": [1]}, "type": "broadcast" });
    let wanted =
        json!({ "topic": "realtime:a", "event": "broadcast", "payload": payload, "ref": null });
    assert_eq!(old.next().await, wanted);
    from.nothing_more().await;
}
