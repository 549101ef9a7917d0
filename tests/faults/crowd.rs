//! A crowd that connects at the same moment, while somebody writes, and again by its cursors after the bridge was killed.

use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;

use super::report::Report;
use crate::{
    faults::{PAIR, messages, say, text, token},
    harness::app::Socket,
    history::{Totals, ground::Ground},
};

pub(super) async fn play(report: &mut Report, clients: usize) {
    let ground = Ground::start(PAIR, &["--rate-joins=100000/100000"]).await;
    let mut crowd = arrive(&ground, vec![None; clients]).await;
    ground.sql(&say("one")).await;
    let mut cursors = Vec::new();
    for socket in &mut crowd {
        let (contents, cursor) = messages(socket, 1).await;
        assert_eq!(contents, ["one"]);
        cursors.push(Some(cursor));
    }
    ground.bridge.kill().await;
    ground.sql(&say("two")).await;
    drop(crowd);
    ground.bridge.run().await;
    let mut crowd = arrive(&ground, cursors).await;
    ground.sql(&say("three")).await;
    for socket in &mut crowd {
        assert_eq!(messages(socket, 2).await.0, ["two", "three"]);
    }
    let totals = Totals { changes: 3, clients, deliveries: 3 * clients, ..Totals::default() };
    report.add("a crowd at once", totals, 2, &format!("{clients} connect at once 2, bridge 1"));
}

/// All come at once, each by its cursor if it has one.
async fn arrive(ground: &Ground, cursors: Vec<Option<String>>) -> Vec<Socket> {
    let mut arriving = JoinSet::new();
    for cursor in cursors {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let url = format!("ws://{}/ws?token={}{cursor}", ground.bridge.address, token(1));
        arriving.spawn(async move {
            let mut socket = Socket(connect_async(url).await.expect("a socket").0);
            let greeting = socket.until("connection_established").await;
            assert!(!text(&greeting["cursor"]).is_empty());
            socket
        });
    }
    arriving.join_all().await
}
