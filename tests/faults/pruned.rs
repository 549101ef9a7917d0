//! The log pruned under readers, and under a bridge that was away for longer than the log is kept.

use std::time::Duration;

use tokio_postgres::Client;

use super::report::Report;
use crate::{
    faults::{PAIR, messages, open, say},
    history::{
        Totals,
        ground::{Ground, until},
    },
};

pub(super) async fn play(report: &mut Report) {
    // What a node remembers it tells, however long the log is kept.
    let ground = Ground::start(PAIR, &["--remember=0"]).await;
    let client = ground.client().await;
    let (mut live, _) = open(&ground, 1, None).await;
    let (_, old) = open(&ground, 2, None).await;
    client.batch_execute(&say("one")).await.expect("written");
    messages(&mut live, 1).await;
    client.batch_execute("select rowcast.checkpoint()").await.expect("a checkpoint");
    let young = young(&ground).await;
    // A transaction that was open then is not cut off.
    let mut slow = ground.client().await;
    let open_one = slow.transaction().await.expect("open");
    open_one.batch_execute(&say("slow")).await.expect("written");
    prune(&client).await;
    let (mut back, _) = open(&ground, 2, Some(&old)).await;
    back.until("resync_required").await;
    let (mut kept, _) = open(&ground, 1, Some(&young)).await;
    kept.until("resumed").await;
    open_one.commit().await.expect("committed");
    client.batch_execute(&say("two")).await.expect("written");
    for socket in [&mut live, &mut back, &mut kept] {
        assert_eq!(messages(socket, 2).await.0, ["slow", "two"]);
    }

    // The bridge is cut off, and meanwhile the log forgets what it has not read.
    ground.proxy.refuse();
    client.batch_execute(&say("never read")).await.expect("written");
    client.batch_execute("select rowcast.checkpoint()").await.expect("a checkpoint");
    prune(&client).await;
    client.batch_execute(&say("still there")).await.expect("written");
    ground.proxy.open();
    for socket in [&mut live, &mut back, &mut kept] {
        socket.until("resync_required").await;
    }
    client.batch_execute(&say("three")).await.expect("written");
    for socket in [&mut live, &mut back, &mut kept] {
        let (contents, _) = messages(socket, 1).await;
        // A bridge may have come back before the last of the two, or after it.
        if contents != ["three"] {
            assert_eq!(contents, ["still there"]);
            assert_eq!(messages(socket, 1).await.0, ["three"]);
        }
    }
    let totals = Totals { changes: 6, clients: 4, deliveries: 12, ..Totals::default() };
    report.add(
        "the log pruned",
        totals,
        2,
        "pruned under a reader 1, under a bridge that was away 1",
    );
}

/// A cursor that is younger than this moment: the second that follows on the one there is.
async fn young(ground: &Ground) -> String {
    let (_, mut cursor) = open(ground, 1, None).await;
    for _ in 0..2 {
        let before = cursor.clone();
        until("a feed that reads on", Duration::from_secs(30), || async {
            open(ground, 1, None).await.1 != before
        })
        .await;
        cursor = open(ground, 1, None).await.1;
    }
    cursor
}

/// Takes out of the log all that the newest checkpoint lets go.
async fn prune(client: &Client) {
    let sql = "select rowcast.prune(interval '0 seconds', 1000)";
    while client.query_one(sql, &[]).await.expect("pruned").get::<_, i64>(0) > 0 {}
}
