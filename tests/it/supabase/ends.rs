//! How sockets and rights end: without channels, when the bridge goes away, when a policy is another one.

use serde_json::json;
use tokio::time::{Duration, Instant};

use super::client::{Phoenix, TODOS, refused, token_of};
use crate::harness::app::{App, PATIENCE};

#[tokio::test]
async fn a_socket_without_channels_is_closed_after_its_time() {
    let app = App::start_with(&["--channel-idle=600ms"]).await;
    let key = token_of("anon");
    let began = Instant::now();
    let mut busy = Phoenix::joined(&app, &key, "a", json!({})).await;
    let mut idle = Phoenix::connect(&app, &key).await;
    // A frame is no channel.
    idle.nothing_more().await;
    assert_eq!(idle.0.closed().await, 1000);
    assert!(began.elapsed() >= Duration::from_millis(600));
    busy.nothing_more().await;
    let left = Instant::now();
    assert_eq!(busy.ask("a", "phx_leave", json!({})).await["status"], "ok");
    assert_eq!(busy.next().await[3], "phx_close");
    assert_eq!(busy.0.closed().await, 1000);
    assert!(left.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn a_bridge_that_goes_away_closes_with_1012_and_no_channel_before_it() {
    let mut app = App::start().await;
    let key = token_of("anon");
    let mut joined = Phoenix::joined(&app, &key, "a", json!({})).await;
    let mut without = Phoenix::connect(&app, &key).await;
    without.nothing_more().await;
    app.stop().await;
    // After `phx_close` a client would stay away: whatever came before the end would make `next` return it.
    let mut frames = Vec::new();
    let code = loop {
        use futures_util::StreamExt;
        match joined.0.0.next().await.expect("a close frame").expect("a frame") {
            tokio_tungstenite::tungstenite::Message::Close(frame) => {
                break u16::from(frame.expect("a code").code);
            }
            frame => frames.push(frame),
        }
    };
    assert!(frames.iter().all(|frame| !frame.is_text() && !frame.is_binary()), "{frames:?}");
    assert_eq!((code, without.0.closed().await), (1012, 1012));
}

#[tokio::test]
async fn rights_that_a_policy_no_longer_gives_end_at_the_next_check() {
    let app = App::start_with(&["--rights-recheck=1s"]).await;
    app.sql(
        "create policy hear on realtime.messages for select to authenticated using (true);
         create policy speak on realtime.messages for insert to authenticated with check (true);",
    )
    .await;
    let key = token_of("authenticated");
    let config = json!({ "private": true, "broadcast": { "ack": true } });
    let mut client = Phoenix::joined(&app, &key, "room", config).await;
    assert_eq!(client.ask("room", "broadcast", json!({})).await["status"], "ok");
    app.sql("drop policy speak on realtime.messages").await;
    let dropped = Instant::now();
    while client.ask("room", "broadcast", json!({})).await["status"] == "ok" {
        assert!(dropped.elapsed() < PATIENCE, "still allowed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.sql("drop policy hear on realtime.messages").await;
    let system = client.next().await;
    let message = "You no longer have permission to read from this Channel topic: room";
    assert_eq!((&system[3], &system[4]["message"]), (&json!("system"), &json!(message)));
    assert_eq!(client.next().await[3], "phx_close");
}

#[tokio::test]
async fn a_fault_that_passes_ends_a_channel_so_that_its_client_comes_back() {
    let app = App::start().await;
    app.sql(TODOS).await;
    let mut client = Phoenix::connect(&app, &token_of("anon")).await;
    let wishes = json!([{ "event": "*", "schema": "public", "table": "todos" }]);
    let config = json!({ "postgres_changes": wishes });
    assert_eq!(client.join("db", config.clone()).await["status"], "ok");
    assert_eq!(client.next().await[4]["message"], "Subscribed to PostgreSQL");
    // What is asked of the database fails for as long as that takes to be given up.
    app.sql("alter function rowcast.tables_of(text, text, text, text) rename to tables_gone").await;
    app.sql("insert into public.todos values (1)").await;
    let ended = client.next().await;
    assert_eq!((&ended[0], &ended[1], &ended[3]), (&json!("1"), &json!("1"), &json!("phx_error")));
    let reply = client.join("db", config.clone()).await;
    let reason = reply["response"]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("UnableToConnectToProject: "), "{reason}");
    app.sql("alter function rowcast.tables_gone(text, text, text, text) rename to tables_of").await;
    assert_eq!(client.join("db", config).await["status"], "ok");
    assert_eq!(client.next().await[4]["message"], "Subscribed to PostgreSQL");
    app.sql("insert into public.todos values (2)").await;
    assert_eq!(client.next().await[4]["data"]["record"]["id"], 2);
}

#[tokio::test]
async fn what_is_refused_is_refused_at_once_and_holds_nobody_up() {
    let app = App::start().await;
    let began = Instant::now();
    assert_eq!(refused(&app, "apikey=nonsense").await.0, 401);
    let mut client = Phoenix::connect(&app, &token_of("anon")).await;
    // Three joins that are refused and one that is not, one after the other: the reference waits 5 s after each.
    for name in ["one", "two", "three"] {
        client.push(name, "phx_join", json!({ "config": { "private": true } })).await;
    }
    client.push("four", "phx_join", json!({ "config": {} })).await;
    let mut answers = Vec::new();
    while answers.len() < 4 {
        let frame = client.next().await;
        if frame[3] == "phx_reply" {
            answers.push(json!([frame[2], frame[4]["status"]]));
        }
    }
    for name in ["one", "two", "three"] {
        assert!(answers.contains(&json!([format!("realtime:{name}"), "error"])), "{answers:?}");
    }
    assert!(answers.contains(&json!(["realtime:four", "ok"])), "{answers:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone() {
    let app = App::start_with(&["--ping-interval=300ms"]).await;
    let key = token_of("anon");
    let presence = |key: &str| json!({ "presence": { "key": key, "enabled": true } });
    let mut watcher = Phoenix::joined(&app, &key, "a", presence("watcher")).await;
    assert_eq!(watcher.next().await[3], "presence_state");
    let mut silent = Phoenix::joined(&app, &key, "a", presence("silent")).await;
    silent.push("a", "presence", json!({ "event": "track", "payload": {} })).await;
    assert!(watcher.next().await[4]["joins"]["silent"].is_object());
    // It reads no more, and so answers nothing; who reads is there however long it says nothing.
    assert!(watcher.next().await[4]["leaves"]["silent"].is_object());
    watcher.nothing_more().await;
}
