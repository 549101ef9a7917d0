//! The tail of changes: all that is pushed, filtered, and counted where it comes too fast.

use serde_json::json;

use super::{Events, FLAG, TOKEN, request};
use crate::harness::app::App;

const SAY: &str =
    "insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'Hello')";

#[tokio::test]
async fn changes_appear_as_they_are_pushed_and_a_search_narrows_them() {
    let app = App::start_with(&[FLAG]).await;
    let mut all = Events::tail(&app, "").await;
    let mut some = Events::tail(&app, "?search=Thread:2").await;
    app.sql(SAY).await;
    let (name, change) = all.next().await;
    assert_eq!(name, "change");
    assert_eq!(
        (&change["op"], &change["topic"], &change["relation"]),
        (&json!("INSERT"), &json!("thread:1"), &json!("chat.messages"))
    );
    assert_eq!(change["record"]["content"], "Hello");
    app.sql(
        "insert into chat.messages (thread_id, sender_id, content) values (2, 1, 'To the pair')",
    )
    .await;
    assert_eq!(
        some.next().await.1["record"]["content"],
        "To the pair",
        "the other thread's was passed over"
    );
}

#[tokio::test]
async fn what_comes_too_fast_is_counted_and_none_is_lost_count_of() {
    let app = App::start_with(&[FLAG]).await;
    let mut tail = Events::tail(&app, "?search=chat.messages").await;
    app.sql(
        "insert into chat.messages (thread_id, sender_id, content) \
         select 1, 1, 'Row ' || n from generate_series(1, 2000) n",
    )
    .await;
    let (mut shown, mut missed) = (0, 0);
    while shown + missed < 2_000 {
        match tail.next().await {
            (name, _) if name == "change" => shown += 1,
            (name, body) if name == "missed" => missed += body["count"].as_u64().expect("a count"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(shown + missed, 2_000);
    assert!(shown >= 50 && missed > 0, "{shown} shown, {missed} missed");
}

#[tokio::test]
async fn large_rows_are_told_by_their_size() {
    let app = App::start_with(&[FLAG]).await;
    let mut tail = Events::tail(&app, "?search=chat.messages").await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (1, 1, repeat('x', 100000))").await;
    let (_, change) = tail.next().await;
    assert!(change["record"]["…"].as_str().expect("a size").ends_with(" bytes"), "{change}");
}

#[tokio::test]
async fn streams_are_bounded_in_number_and_end_when_the_server_goes_away() {
    let mut app = App::start_with(&[FLAG]).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Events::tail(&app, "").await);
    }
    let one_more = || request(&app, "GET", "/admin/api/tail").bearer_auth(TOKEN).send();
    assert_eq!(one_more().await.expect("an answer").status(), 429);
    drop(open.pop());
    while one_more().await.expect("an answer").status() == 429 {}
    app.stop().await;
    assert!(open[0].ends().await);
}
