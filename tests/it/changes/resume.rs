//! Coming back: cursors, times, overflowing mailboxes, other rights.

use serde_json::{Value, json};

use super::{Ground, Said, server, who};

const TODOS: &str = "
    create table public.todos (id int primary key, room int);
    grant usage on schema public to authenticated;
    grant select on public.todos to authenticated;
    select rowcast.watch('public.todos')";

fn asked() -> Value {
    json!([{ "event": "*", "schema": "public", "table": "todos", "filter": "room=eq.1" }])
}

fn record(id: i32) -> Value {
    json!([[0], "INSERT", { "id": id, "room": 1 }, null])
}

#[tokio::test]
async fn a_cursor_brings_back_all_that_was_missed_and_nothing_twice() {
    let ground = Ground::new(TODOS).await;
    let mut channel = ground.join(server(), asked(), json!({ "cursor": null })).await;
    ground.sql("insert into public.todos values (1, 1), (2, 2)").await;
    assert_eq!(channel.brief().await, record(1));
    let cursor = channel.cursor().await;
    drop(channel);
    ground.sql("insert into public.todos values (3, 2), (4, 1); insert into public.todos values (5, 1)").await;
    let mut channel = ground.join(server(), asked(), json!({ "cursor": cursor })).await;
    ground.sql("insert into public.todos values (6, 1)").await;
    for id in [4, 5, 6] {
        assert_eq!(channel.brief().await, record(id));
    }
}

#[tokio::test]
async fn a_time_brings_back_what_was_committed_after_it() {
    let ground = Ground::new(TODOS).await;
    ground.sql("insert into public.todos values (1, 1)").await;
    ground.sql("select rowcast.checkpoint()").await;
    let client = ground.database.client().await;
    let since: String = client
        .query_one("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')", &[])
        .await
        .expect("a time")
        .get(0);
    ground.sql("insert into public.todos values (2, 1)").await;
    let mut channel = ground.join(server(), asked(), json!({ "since": since })).await;
    let first = channel.brief().await;
    // A checkpoint of the same millisecond may be the one before: then the first comes too.
    if first != record(2) {
        assert_eq!((first, channel.brief().await), (record(1), record(2)));
    }
    let (_, outcome) = ground.try_join(server(), asked(), json!({ "since": 5 })).await;
    assert!(outcome.expect_err("too old").contains("no longer known"));
}

#[tokio::test]
async fn a_cursor_that_is_too_old_or_none_of_ours_says_so_and_goes_on() {
    let ground = Ground::new(TODOS).await;
    let mut channel = ground.join(server(), asked(), json!({ "cursor": null })).await;
    ground.sql("insert into public.todos values (1, 1)").await;
    let cursor = channel.cursor().await;
    drop(channel);
    ground.sql("insert into public.todos values (2, 1)").await;
    ground.sql("update rowcast.state set pruned_below = pg_current_xact_id()").await;
    let mut channel = ground.join(server(), asked(), json!({ "cursor": cursor })).await;
    assert!(channel.wrong().await.contains("no longer known"));
    let fresh = channel.cursor().await;
    assert_ne!(fresh, cursor);
    ground.sql("insert into public.todos values (3, 1)").await;
    assert_eq!(channel.brief().await, record(3));

    let (channel, outcome) = ground.try_join(server(), asked(), json!({ "cursor": "?" })).await;
    assert!(outcome.expect_err("not ours").contains("not one of ours"));
    ground.sql("insert into public.todos values (4, 1)").await;
    assert_eq!(channel.expect("live").brief().await, record(4));
}

#[tokio::test]
async fn a_mailbox_that_overflows_reads_the_log_however_long_it_was_idle() {
    let mut ground = Ground::new(TODOS).await;
    ground.source.mailbox = 10;
    let mut channel = ground.join(server(), asked(), json!({})).await;
    // Nothing for this channel, and then the log is cut: it stands where it came in.
    ground.sql("insert into public.todos select n, 2 from generate_series(1001, 1100) n").await;
    let stands = || ground.source.hub.position().expect("a position").0.base.snapshot;
    let came_in = stands();
    ground.until(|| stands().xmin() > came_in.xmax()).await;
    let cut = format!("update rowcast.state set pruned_below = '{}'", stands().xmin());
    ground.sql(&cut).await;
    ground.sql("insert into public.todos select n, 1 from generate_series(1, 100) n").await;
    ground.until(|| ground.source.hub.published() >= 200).await;
    for id in 1..=100 {
        assert_eq!(channel.brief().await, record(id));
    }
    ground.sql("insert into public.todos values (101, 1)").await;
    assert_eq!(channel.brief().await, record(101));
}

#[tokio::test]
async fn what_was_not_taken_is_still_there_after_cancelling() {
    let ground = Ground::new(TODOS).await;
    let mut channel = ground.join(server(), asked(), json!({})).await;
    let insert = async {
        for id in 1..=50 {
            ground.sql(&format!("insert into public.todos values ({id}, 1)")).await;
        }
    };
    let listen = async {
        let mut said = Vec::new();
        let mut moment = 0;
        while said.len() < 50 {
            // Longer each time it came to nothing, so that a slow machine gets on too.
            moment = (moment + 1) % 100;
            let came = said.len();
            tokio::select! {
                biased;
                done = channel.changes.next(&mut said) => done.expect("the database is there"),
                () = tokio::time::sleep(std::time::Duration::from_micros(50 << (moment % 20))) => {}
            }
            if said.len() > came {
                moment = 0;
            }
        }
        said
    };
    let ((), said) = tokio::join!(insert, listen);
    let ids: Vec<i64> = said
        .iter()
        .filter_map(|said| match said {
            Said::Change(payload) => serde_json::from_str::<Value>(payload.data()).ok(),
            _ => None,
        })
        .filter_map(|data| data["record"]["id"].as_i64())
        .collect();
    assert_eq!(ids, (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_fresh_token_changes_what_is_seen() {
    let ground = Ground::new(TODOS).await;
    let mut channel = ground.join(server(), asked(), json!({})).await;
    ground.sql("revoke select (room) on public.todos from authenticated; revoke select on public.todos from authenticated; grant select (id) on public.todos to authenticated").await;
    let outcome = channel.changes.renew(who("authenticated", "a")).await.expect("asked");
    assert!(outcome.expect_err("no right").ends_with("invalid column for filter room"));
    ground
        .sql(
            "insert into public.todos values (1, 1); grant select on public.todos to authenticated",
        )
        .await;
    ground.until(|| ground.source.hub.published() >= 1).await;
    let outcome = channel.changes.renew(who("authenticated", "b")).await.expect("asked");
    assert_eq!(outcome, Ok(()));
    ground.sql("insert into public.todos values (2, 1)").await;
    assert_eq!(channel.brief().await, record(2));
}
