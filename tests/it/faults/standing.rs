//! What a client may have is asked of the database once and kept true by the feed: rows end live sockets at once.

use futures_util::StreamExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::app::{App, now, person, thread, token_with};

#[tokio::test]
async fn a_revoked_token_ends_its_own_sockets_and_no_others() {
    let app = App::start().await;
    let claims = |jti: &str| json!({ "sub": person("ada"), "jti": jti, "exp": now() + 600 });
    let first = token_with(&claims("one"));
    let mut revoked = app.socket_with(&first, "").await.expect("done");
    let mut other = app.socket_with(&token_with(&claims("two")), "").await.expect("done");
    other.until("connection_established").await;
    app.sql("insert into chat.revoked_tokens (jti) values ('one')").await;
    assert_eq!(revoked.closed().await, 4401);
    assert!(app.socket_with(&first, "").await.is_err());
    app.sql("insert into chat.messages (thread_id, content) values (1, 'still here')").await;
    assert_eq!(other.until("new_message").await["data"]["content"], "still here");
}

#[tokio::test]
async fn a_deactivated_user_is_out_on_every_socket() {
    let app = App::start().await;
    let mut sockets = [app.socket("linus", "").await, app.socket("linus", "").await];
    app.sql("update chat.users set active = false where username = 'linus'").await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, 4403);
    }
}

#[tokio::test]
async fn emptying_the_members_puts_everybody_out() {
    let app = App::start().await;
    let mut socket = app.socket("linus", "").await;
    socket.until("connection_established").await;
    app.sql("truncate chat.members").await;
    assert_eq!(socket.until("thread_left").await["thread_id"], thread("maths"));
    app.sql("insert into chat.messages (thread_id, content) values (1, 'without linus')").await;
    app.sql("truncate chat.users cascade").await;
    let mut seen = Vec::new();
    let code = loop {
        match socket.0.next().await.expect("a close").expect("a frame") {
            Message::Close(frame) => break frame.map(|frame| u16::from(frame.code)),
            frame => seen.push(frame.to_string()),
        }
    };
    assert_eq!(code, Some(4401), "{seen:?}");
    assert!(!seen.iter().any(|frame| frame.contains("without linus")), "{seen:?}");
}

#[tokio::test]
async fn who_is_removed_from_a_thread_hears_no_more_of_it_and_who_is_back_does() {
    let app = App::start().await;
    let mut socket = app.socket("linus", "").await;
    socket.until("connection_established").await;
    app.sql("insert into chat.messages (thread_id, content) values (1, 'for linus')").await;
    assert_eq!(socket.next().await["data"]["content"], "for linus");
    app.sql("delete from chat.members where thread_id = 1 and user_id = 3").await;
    let left = socket.next().await;
    assert_eq!(
        (&left["type"], &left["thread_id"]),
        (&json!("thread_left"), &json!(thread("maths")))
    );
    app.sql(
        "insert into chat.messages (thread_id, content) values (1, 'without linus');
         update chat.messages set content = 'changed behind' where content = 'for linus'",
    )
    .await;
    let refused = socket.ask(json!({ "type": "subscribe_thread", "thread_id": thread("maths") }));
    assert_eq!(refused.await["code"], "forbidden");
    app.sql("insert into chat.members (thread_id, user_id) values (1, 3)").await;
    assert_eq!(socket.next().await["type"], "thread_joined");
    app.sql("insert into chat.messages (thread_id, content) values (1, 'welcome')").await;
    assert_eq!(socket.next().await["data"]["content"], "welcome");
}

#[tokio::test]
async fn leaving_and_coming_back_in_a_hurry_loses_nothing() {
    let app = App::start().await;
    let mut socket = app.socket("linus", "").await;
    socket.until("connection_established").await;
    let client = app.database.client().await;
    for nth in 0..200 {
        let there = format!(
            "delete from chat.members where thread_id = 1 and user_id = 3;
             insert into chat.members (thread_id, user_id) values (1, 3);
             insert into chat.messages (thread_id, content) values (1, 'there {nth}')"
        );
        // A transaction each, one upon the other.
        for statement in there.split(';') {
            client.batch_execute(statement).await.expect("done");
        }
    }
    for nth in 0..200 {
        assert_eq!(socket.until("new_message").await["data"]["content"], format!("there {nth}"));
    }
}

#[tokio::test]
async fn a_token_that_runs_out_ends_its_socket_within_two_seconds() {
    let app = App::start().await;
    let exp = now() + 3;
    let token = token_with(&json!({ "sub": person("ada"), "exp": exp }));
    let mut socket = app.socket_with(&token, "").await.expect("done");
    assert_eq!(socket.closed().await, 4401);
    let late = now() - exp;
    assert!(late <= 2, "closed {late} s after the end");
}

#[tokio::test]
async fn another_users_cursor_shows_ones_own_threads_only() {
    let app = App::start().await;
    let mut ada = app.socket("ada", "").await;
    let start =
        ada.until("connection_established").await["cursor"].as_str().expect("done").to_owned();
    app.sql(
        "insert into chat.messages (thread_id, content) values (2, 'not for linus');
         insert into chat.messages (thread_id, content) values (1, 'for linus')",
    )
    .await;
    assert_eq!(ada.next().await["data"]["content"], "not for linus");
    let mut linus = app.socket("linus", &format!("&cursor={start}")).await;
    linus.until("connection_established").await;
    assert_eq!(linus.next().await["data"]["content"], "for linus");
    assert_eq!(linus.next().await["type"], "resumed");
    // Who is in no thread gets nothing at all.
    let mut eve = app.socket("eve", &format!("&cursor={start}")).await;
    eve.until("connection_established").await;
    assert_eq!(eve.next().await["type"], "resumed");
}
