//! A bell that anybody may ring: forged and flooded, changes are delivered all the same, and what it costs is bounded.

use tokio::time::timeout;
use tokio_tungstenite::connect_async;

use crate::{
    harness::{
        Database,
        app::{PATIENCE, PEOPLE, Socket, token},
    },
    history::ground::{Bridge, until},
};

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
    // What is read as a ring at all is one ring while a read goes on.
    let cost = bridge.metric("rowcast_feed_reads_total").await - before;
    assert!((1.0..20_000.0).contains(&cost), "{cost} reads for 100,000 forged notifications");
    until("ready", PATIENCE, || async { bridge.ready().await == Some(200) }).await;
}
