//! A bell that anybody may ring: forged and flooded, changes are delivered all the same, and what it costs is bounded.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::connect_async;

use crate::{
    harness::{
        Database,
        app::{PATIENCE, PEOPLE, Socket, token},
    },
    history::ground::{Bridge, until},
};

/// How long single rings are sent.
const FLOOD: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_bell_forged_and_flooded_by_a_stranger_loses_nothing_and_costs_little() {
    let database = Database::new().await;
    let owner = database.client().await;
    owner.batch_execute(PEOPLE).await.expect("people");
    let folder = tempfile::tempdir().expect("a folder");
    let url = database.url().parse().expect("a URL");
    let bridge = Bridge::start(folder.path(), &url, &[]).await;
    let root = database.superuser().await;
    let stranger = "do $$ begin create role flooder; exception when duplicate_object then end $$; set role flooder";
    root.batch_execute(stranger).await.expect("a stranger");
    let url = format!("ws://{}/ws?token={}", bridge.address, token("ada"));
    let mut ada = Socket(connect_async(url).await.expect("a socket").0);
    ada.until("connection_established").await;
    let before = bridge.metric("rowcast_feed_reads_total").await;
    let began = Instant::now();
    let flood = "do $$ begin for n in 1..5000 loop
            perform pg_notify('rowcast', format('{\"v\":1,\"xid\":\"%s\",\"at\":\"1970-01-01\"}', n));
            perform pg_notify('rowcast', format('nonsense %s \\ \" ', n) || chr(27));
            perform pg_notify('rowcast', '{\"v\":4294967295}');
            perform pg_notify('rowcast_echo', format('not yours %s', n));
            perform pg_notify('rowcast', repeat('x', 7000) || n);
        end loop; end $$";
    let mut said = 0_i32;
    for _ in 0..4 {
        let writing = async {
            for _ in 0..10 {
                said += 1;
                let insert =
                    "insert into chat.messages (thread_id, sender_id, content) values (1, 2, $1)";
                owner.execute(insert, &[&said.to_string()]).await.expect("a message");
            }
        };
        let (flooded, ()) = tokio::join!(root.batch_execute(flood), writing);
        flooded.expect("NOTIFY has no permissions");
    }
    for number in 1..=said {
        let message =
            timeout(PATIENCE, ada.until("new_message")).await.expect("what was committed");
        assert_eq!(message["data"]["content"], number.to_string(), "in order, and once");
    }
    ada.send(r#"{"type":"ping"}"#).await;
    assert_ne!(ada.next().await["type"], "new_message");
    // Rings of one transaction are one; what is left are those of the writer, what looks again after them, and what looks anyway.
    let cost = bridge.metric("rowcast_feed_reads_total").await - before;
    let most = most_reads(began.elapsed()) + 8.0 * f64::from(said);
    assert!((1.0..most).contains(&cost), "{cost} reads for 100,000 forged notifications");
    until("ready", PATIENCE, || async { bridge.ready().await == Some(200) }).await;
}

/// What a flood may cost: 32 rings that are believed, then a hundred reads a second, and as many that look by themselves
/// as without it (four a second, and a few after each change).
fn most_reads(time: Duration) -> f64 {
    64.0 + 110.0 * time.as_secs_f64()
}

/// Each ring is a transaction of its own, from several connections at once, as fast as they go.
#[tokio::test]
async fn a_flood_of_single_rings_is_a_hundred_reads_a_second_and_holds_up_no_change() {
    let database = Database::new().await;
    let owner = database.client().await;
    owner.batch_execute(PEOPLE).await.expect("people");
    let folder = tempfile::tempdir().expect("a folder");
    let url = database.url().parse().expect("a URL");
    let bridge = Bridge::start(folder.path(), &url, &[]).await;
    let url = format!("ws://{}/ws?token={}", bridge.address, token("ada"));
    let mut ada = Socket(connect_async(url).await.expect("a socket").0);
    ada.until("connection_established").await;
    let (one, two) = (database.client().await, database.client().await);
    let before = bridge.metric("rowcast_feed_reads_total").await;
    let began = Instant::now();
    let ring = r#"notify rowcast, '{"v":1,"xid":"7","at":"1970-01-01"}'"#;
    let mut said = 0_i32;
    let mut rings = 0;
    // For long enough that what is believed at first is the smaller part.
    while began.elapsed() < FLOOD || said < 20 {
        let flood =
            [&one, &two].map(|client| try_join_all((0..2_000).map(|_| client.batch_execute(ring))));
        let writing = async {
            said += 1;
            let insert =
                "insert into chat.messages (thread_id, sender_id, content) values (1, 2, $1)";
            owner.execute(insert, &[&said.to_string()]).await.expect("a message");
        };
        let [first, second] = flood;
        let (first, second, ()) = tokio::join!(first, second, writing);
        first.and(second).expect("NOTIFY has no permissions");
        rings += 4_000;
    }
    for number in 1..=said {
        let message =
            timeout(PATIENCE, ada.until("new_message")).await.expect("what was committed");
        assert_eq!(message["data"]["content"], number.to_string(), "in order, and once");
    }
    let cost = bridge.metric("rowcast_feed_reads_total").await - before;
    let most = most_reads(began.elapsed()) + 8.0 * f64::from(said);
    assert!((1.0..most).contains(&cost), "{cost} reads for {rings} rings in {:?}", began.elapsed());
    assert!(cost < f64::from(rings) / 20.0, "{cost} reads for {rings} rings");
    until("ready", PATIENCE, || async { bridge.ready().await == Some(200) }).await;
}
