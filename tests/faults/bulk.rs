//! One transaction of a great many rows: live clients, one that comes back into the middle of it, and one that reads slowly.

use std::time::Duration;

use super::report::Report;
use crate::{
    faults::{PAIR, messages, open, say},
    history::{Totals, ground::Ground},
};

pub(super) async fn play(report: &mut Report, rows: usize) {
    let ground = Ground::start(PAIR, &["--mailbox=64", "--send-deadline=60s"]).await;
    let (mut live, start) = open(&ground, 1, None).await;
    let (mut slow, _) = open(&ground, 2, None).await;
    let bulk = format!(
        "insert into chat.messages (thread_id, content) select 1, n from generate_series(1, {rows}) n"
    );
    ground.sql(&bulk).await;
    ground.sql(&say("after it")).await;
    let expected: Vec<String> =
        (1..=rows).map(|n| n.to_string()).chain(["after it".to_owned()]).collect();
    // Half of it, and then the connection is gone.
    let (mut had, cursor) = messages(&mut live, rows / 2).await;
    drop(live);
    let (mut back, _) = open(&ground, 1, Some(&cursor)).await;
    had.extend(messages(&mut back, rows + 1 - rows / 2).await.0);
    assert!(had == expected, "who came back in the middle");
    let (mut late, _) = open(&ground, 1, Some(&start)).await;
    assert!(messages(&mut late, rows + 1).await.0 == expected, "who came back to all of it");
    let mut got = Vec::new();
    while got.len() < rows + 1 {
        // A reader that stops now and then.
        got.extend(messages(&mut slow, 1_000.min(rows + 1 - got.len())).await.0);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(got == expected, "who reads slowly");
    let totals =
        Totals { changes: rows + 1, clients: 3, deliveries: 3 * (rows + 1), ..Totals::default() };
    report.add("one large transaction", totals, 1, &format!("{rows} rows in a transaction 1"));
}
