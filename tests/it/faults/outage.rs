//! A long time without the database: what was written meanwhile is more than the feed reads in one go.

use std::time::Duration;

use super::{PAIR, messages, open, say};
use crate::history::ground::{Ground, until};

const ROWS: usize = 40_000;

#[tokio::test]
async fn after_an_outage_with_more_than_one_read_of_changes_every_client_reads_for_itself() {
    let ground = Ground::start(PAIR, &[]).await;
    ground.sql("insert into chat.threads (kind) values ('group')").await;
    let (mut socket, start) = open(&ground, 1, None).await;
    ground.proxy.refuse();
    until("cut off", Duration::from_secs(20), || async {
        ground.bridge.ready().await == Some(503)
    })
    .await;
    let elsewhere = format!(
        "insert into chat.messages (thread_id, content) select 2, 'n' from generate_series(1, {ROWS})"
    );
    ground.sql(&elsewhere).await;
    ground.sql(&say("meanwhile")).await;
    ground.proxy.open();
    assert_eq!(messages(&mut socket, 1).await.0, ["meanwhile"]);
    assert!(ground.bridge.metric("rowcast_lagged_total").await >= 1.0, "the feed read it all");
    assert!(ground.bridge.metric("rowcast_resync_total").await < 1.0);
    ground.sql(&say("live")).await;
    assert_eq!(messages(&mut socket, 1).await.0, ["live"]);
    let (mut back, _) = open(&ground, 1, Some(&start)).await;
    assert_eq!(messages(&mut back, 2).await.0, ["meanwhile", "live"]);
}
