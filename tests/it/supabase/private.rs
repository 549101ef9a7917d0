//! Private channels: who hears, says and is seen there; broadcasts of the database, live and again.

use serde_json::{Value, json};

use super::client::{Came, Phoenix, token_of, user_broadcast, user_push};
use crate::harness::app::{App, now, token_with};

const POLICIES: &str = "
    create policy hear on realtime.messages for select to authenticated
        using (realtime.topic() like 'room:%' and extension in ('broadcast', 'presence'));
    create policy glance on realtime.messages for select to authenticated
        using (realtime.topic() = 'lobby' and extension = 'presence');
    create policy speak on realtime.messages for insert to authenticated
        with check (realtime.topic() = 'room:' || (auth.jwt() ->> 'room'));";

fn member(room: &str) -> String {
    token_with(
        &json!({ "role": "authenticated", "sub": "ada", "room": room, "exp": now() + 3_600 }),
    )
}

fn private(config: Value) -> Value {
    let mut config = config;
    config["private"] = json!(true);
    config
}

/// What a broadcast of kind 4 holds: its metadata and its payload.
fn opened(came: &Came) -> (Value, String) {
    let Came::Binary(frame) = came else { panic!("{came:?}") };
    let sizes: Vec<usize> = frame[1..4].iter().map(|size| usize::from(*size)).collect();
    let rest = &frame[5 + sizes[0] + sizes[1]..];
    let (meta, payload) = rest.split_at(sizes[2]);
    let meta = serde_json::from_slice(meta).expect("JSON");
    (meta, String::from_utf8(payload.to_vec()).expect("text"))
}

#[tokio::test]
async fn policies_decide_who_hears_says_and_is_seen() {
    let app = App::start().await;
    app.sql(POLICIES).await;
    let acked = json!({ "broadcast": { "ack": true } });
    let mut stranger = Phoenix::connect(&app, &token_of("anon")).await;
    let reply = stranger.join("room:1", private(json!({}))).await;
    let reason =
        "Unauthorized: You do not have permissions to read from this Channel topic: room:1";
    assert_eq!(reply, json!({ "status": "error", "response": { "reason": reason } }));

    let mut one = Phoenix::joined(&app, &member("1"), "room:1", private(acked.clone())).await;
    let mut two = Phoenix::joined(&app, &member("2"), "room:1", private(acked.clone())).await;
    let mut public = Phoenix::joined(&app, &member("1"), "room:1", acked).await;
    assert_eq!(two.ask("room:1", "broadcast", json!({ "no": 1 })).await["status"], "error");
    assert_eq!(one.ask("room:1", "broadcast", json!({ "yes": 1 })).await["status"], "ok");
    let wanted = json!([null, null, "realtime:room:1", "broadcast", { "yes": 1 }]);
    assert_eq!(two.next().await, wanted);
    let track = json!({ "event": "track", "payload": {} });
    assert_eq!(two.ask("room:1", "presence", track.clone()).await["status"], "error");
    // Rights are those of the token of the moment.
    two.push("room:1", "access_token", json!({ "access_token": member("1") })).await;
    assert_eq!(two.ask("room:1", "broadcast", json!({ "now": 1 })).await["status"], "ok");
    assert_eq!(one.next().await[4], json!({ "now": 1 }));
    assert_eq!(two.ask("room:1", "presence", track).await["status"], "ok");
    // Only now is it asked whether presences may be seen; what is told then holds the own one, too.
    let state = two.next().await;
    assert_eq!(state[3], "presence_state");
    assert_eq!(state[4].as_object().expect("keys").len(), 1, "{state}");
    two.nothing_more().await;
    // Whoever did not ask for presences has not been allowed any; a public channel of that name is another place.
    one.nothing_more().await;
    public.nothing_more().await;

    // A token that may no longer hear ends the channel.
    one.push("room:1", "access_token", json!({ "access_token": token_of("anon") })).await;
    let system = one.next().await;
    let message = "You no longer have permission to read from this Channel topic: room:1";
    assert_eq!(system[4]["message"], message);
    assert_eq!(one.next().await[3], "phx_close");

    // One who may only see is told of presences, and of nothing said.
    let config = private(json!({ "presence": { "key": "k", "enabled": true } }));
    let mut watcher = Phoenix::joined(&app, &member("1"), "lobby", config).await;
    assert_eq!(watcher.next().await[3], "presence_state");
    app.sql("select realtime.send('{}', 'e', 'lobby')").await;
    watcher.nothing_more().await;
}

#[tokio::test]
async fn broadcasts_of_the_database_come_live_and_again_in_their_order() {
    let app = App::start().await;
    app.sql(POLICIES).await;
    let key = member("1");
    let mut live = Phoenix::joined(&app, &key, "room:1", private(json!({}))).await;
    let mut public = Phoenix::joined(&app, &key, "room:1", json!({})).await;
    app.sql(
        "select realtime.send(jsonb_build_object('n', n), 'e', 'room:1') from generate_series(1, 4) as n;
         select realtime.send_binary('\\x0aff', 'raw', 'room:1');
         select realtime.send('{\"n\": 0}', 'e', 'room:1', false);",
    )
    .await;
    let mut ids = Vec::new();
    for n in 1..=4 {
        let (meta, payload) = opened(&live.any().await);
        let payload: Value = serde_json::from_str(&payload).expect("JSON");
        assert_eq!((&payload["n"], &payload["id"]), (&json!(n), &meta["id"]));
        ids.push(meta["id"].clone());
    }
    let Came::Binary(raw) = live.any().await else { panic!("text") };
    assert!(
        raw.ends_with(&[0x0a, 0xff])
            && raw.len() > user_broadcast("room:1", "raw", "", false, &[0, 0]).len()
    );
    live.nothing_more().await;
    let (_, payload) = opened(&public.any().await);
    assert_eq!(serde_json::from_str::<Value>(&payload).expect("JSON")["n"], 0);
    public.nothing_more().await;

    // Again: the last three that are JSON or bytes, oldest first, the join's answer before them.
    let replay = json!({ "broadcast": { "replay": { "since": 0, "limit": 3 } } });
    let mut again = Phoenix::joined(&app, &key, "room:1", private(replay)).await;
    for n in [3, 4] {
        let frame = again.next().await;
        let meta = json!({ "replayed": true, "id": ids[n - 1] });
        assert_eq!((&frame[0], &frame[3]), (&json!("1"), &json!("broadcast")));
        assert_eq!((&frame[4]["meta"], &frame[4]["payload"]["n"]), (&meta, &json!(n)));
    }
    let Came::Binary(raw) = again.any().await else { panic!("text") };
    assert!(raw.ends_with(&[0x0a, 0xff]));
    app.sql("select realtime.send('{\"n\": 5}', 'e', 'room:1')").await;
    let (_, payload) = opened(&again.any().await);
    assert_eq!(serde_json::from_str::<Value>(&payload).expect("JSON")["n"], 5);
    again.nothing_more().await;
}

#[tokio::test]
async fn a_private_broadcast_over_http_asks_the_same_policies() {
    let app = App::start().await;
    app.sql(POLICIES).await;
    let mut client = Phoenix::joined(&app, &member("1"), "room:1", private(json!({}))).await;
    let path = "/api/broadcast/room%3A1/events/e?private=true";
    let (status, body) = app.ask("POST", path, &member("2"), Some("{}")).await;
    assert_eq!((status, body), (403, json!({ "message": "Unauthorized" })));
    assert_eq!(app.ask("POST", path, &member("1"), Some("[1]")).await.0, 202);
    assert_eq!(client.any().await, Came::Binary(user_broadcast("room:1", "e", "", true, b"[1]")));
    let message =
        |n: u8| json!({ "topic": "room:1", "event": "e", "payload": { "n": n }, "private": true });
    let batch = json!({ "messages": [message(1)] }).to_string();
    assert_eq!(app.ask("POST", "/api/broadcast", &member("2"), Some(&batch)).await.0, 403);
    assert_eq!(app.ask("POST", "/api/broadcast", &member("1"), Some(&batch)).await.0, 202);
    assert_eq!(client.next().await[4]["payload"], json!({ "n": 1 }));
}

#[tokio::test]
async fn a_persisted_broadcast_is_told_once_and_given_again() {
    let app = App::start().await;
    app.sql(POLICIES).await;
    app.sql(
        "create policy keep on realtime.messages for insert to authenticated
         with check (extension = 'persistence' and auth.jwt() ->> 'room' = '1');
         create policy guest on realtime.messages for insert to authenticated
         with check (extension = 'broadcast' and auth.jwt() ->> 'room' = '2')",
    )
    .await;
    let acked = json!({ "broadcast": { "ack": true } });
    let mut from = Phoenix::joined(&app, &member("1"), "room:1", private(acked.clone())).await;
    let mut to = Phoenix::joined(&app, &member("1"), "room:1", private(json!({}))).await;
    let echoing = private(json!({ "broadcast": { "self": true } }));
    let mut own = Phoenix::joined(&app, &member("1"), "room:1", echoing).await;
    let reply = |frame: Value| frame[4].clone();

    from.send(user_push("room:1", "said", r#"{"persist":true}"#, true, br#"{"n":1}"#)).await;
    let acked_with = reply(from.next().await);
    let id = acked_with["response"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(acked_with["status"], "ok");
    for client in [&mut to, &mut own] {
        let (meta, payload) = opened(&client.any().await);
        assert_eq!((meta, payload.as_str()), (json!({ "id": id }), r#"{"n": 1}"#));
    }
    own.send(user_push("room:1", "raw", r#"{"persist":{"ttl":3600}}"#, false, &[0, 255])).await;
    for client in [&mut own, &mut to, &mut from] {
        let Came::Binary(raw) = client.any().await else { panic!("text") };
        assert!(raw.ends_with(&[0, 255]));
    }
    let path = "/api/broadcast/room%3A1/events/over";
    let http = async |token: &str, query: &str, body: &str| {
        app.ask("POST", &format!("{path}?private=true&{query}"), token, Some(body)).await
    };
    assert_eq!(http(&member("1"), "persist%5Bttl%5D=60", "[3]").await.0, 202);
    for client in [&mut from, &mut to, &mut own] {
        assert_eq!(opened(&client.any().await).1, "[3]");
    }
    // Its time is over, and a replay does not have it; nor is it told when it was not stored.
    app.sql("update rowcast.message_ends set ends_at = now() where ends_at < now() + interval '2 minutes'").await;
    assert_eq!(http(&member("2"), "persist=true", "[4]").await.0, 403);
    assert_eq!(http(&member("1"), "persist=maybe", "[4]").await.0, 422);
    let public = "/api/broadcast/room%3A1/events/e?persist=true";
    let (status, body) = app.ask("POST", public, &member("1"), Some("[4]")).await;
    assert_eq!(
        (status, body),
        (422, json!({ "errors": { "persist": ["is for private channels"] } }))
    );
    for client in [&mut from, &mut to, &mut own] {
        client.nothing_more().await;
    }
    let replay = private(json!({ "broadcast": { "replay": { "since": 0 } } }));
    let mut late = Phoenix::joined(&app, &member("1"), "room:1", replay).await;
    let first = late.next().await;
    assert_eq!(first[4]["meta"], json!({ "replayed": true, "id": id }));
    assert_eq!((&first[4]["event"], &first[4]["payload"]), (&json!("said"), &json!({ "n": 1 })));
    let Came::Binary(raw) = late.any().await else { panic!("text") };
    assert!(raw.ends_with(&[0, 255]));
    late.nothing_more().await;

    // Whoever may say it may not always have it stored; in public channels nobody may.
    let mut guest = Phoenix::joined(&app, &member("2"), "room:1", private(acked.clone())).await;
    guest.send(user_push("room:1", "e", r#"{"persist":true}"#, true, b"{}")).await;
    assert_eq!(reply(guest.next().await)["status"], "error");
    guest.send(user_push("room:1", "e", r#"{"persist":{"ttl":-1}}"#, true, b"{}")).await;
    let error = reply(guest.next().await)["response"]["error"].clone();
    assert_eq!(error, "`persist` is true or {ttl: seconds}");
    guest.send(user_push("room:1", "e", r#"{"persist":true}"#, true, br#"["\u0000"]"#)).await;
    let error = reply(guest.next().await)["response"]["error"].clone();
    assert_eq!(error, "The message could not be stored");
    let mut public = Phoenix::joined(&app, &member("1"), "room:1", acked).await;
    public.send(user_push("room:1", "e", r#"{"persist":true}"#, true, b"{}")).await;
    let error = reply(public.next().await)["response"]["error"].clone();
    assert_eq!(error, "Only messages of private channels are stored");
    let stored: i64 = app.value("select count(*) from realtime.messages").await;
    assert_eq!(stored, 3);
}
