//! Failover to a streaming replica that lacks the last commits: another history, and every client is told.

use std::time::Duration;

use super::report::Report;
use crate::{
    faults::{PAIR, messages, open, say, text},
    history::{
        Totals,
        ground::{Ground, Replica, until},
    },
};

const CLIENTS: usize = 8;
const KEPT: usize = 40;
const LOST: usize = 25;
const AFTER: usize = 30;

pub(super) async fn play(report: &mut Report) {
    let ground = Ground::start(PAIR, &[]).await;
    let Some(replica) = Replica::start(&ground).await else {
        return report.skip("failover", "pg_basebackup is not installed");
    };
    let mut live = Vec::new();
    for _ in 0..CLIENTS {
        live.push(open(&ground, 1, None).await.0);
    }
    let (_, away) = open(&ground, 2, None).await;
    let began = jiff::Timestamp::now();
    let kept = write(&ground, "kept", KEPT).await;
    replica.catch_up(&ground).await;
    // The replica falls behind, as an asynchronous one may: what is acknowledged and told now will never have been.
    replica.line.stall();
    let gone = write(&ground, "gone", LOST).await;
    let told: Vec<String> = kept.iter().chain(&gone).cloned().collect();
    for socket in &mut live {
        assert_eq!(messages(socket, told.len()).await.0, told);
    }
    ground.postgres.kill();
    replica.promote().await;
    ground.proxy.lead_to(replica.port);

    // Each is told once, and goes on.
    for socket in &mut live {
        socket.until("resync_required").await;
    }
    until("ready", Duration::from_secs(60), || async { ground.bridge.ready().await == Some(200) })
        .await;
    let after = write_through(&ground, "after", AFTER).await;
    for socket in &mut live {
        assert_eq!(messages(socket, AFTER).await.0, after);
    }
    // Who was away is told when it comes back with its cursor, over the socket and over HTTP.
    let (mut back, _) = open(&ground, 2, Some(&away)).await;
    back.until("resync_required").await;
    let answer = ask(&ground, &format!("cursor={away}")).await;
    assert_eq!(answer.0, 409, "{}", answer.1);
    // Who asks by time gets all there is now, and nothing that is not.
    let (status, body) = ask(&ground, &format!("last_check_time={began:.6}&limit=1000")).await;
    assert_eq!(status, 200, "{body}");
    let there: Vec<String> = kept.into_iter().chain(after).collect();
    let data = &body["data"]["messages"];
    let contents: Vec<String> = data
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| text(&message["content"]))
        .collect();
    for content in &there {
        assert!(contents.contains(content), "{content} is missing: {contents:?}");
    }
    assert!(!contents.iter().any(|content| gone.contains(content)), "{contents:?}");
    let totals = Totals {
        changes: told.len() + AFTER,
        clients: CLIENTS + 3,
        deliveries: CLIENTS * (told.len() + AFTER) + contents.len(),
        ..Totals::default()
    };
    report.add(
        "failover with a lost tail",
        totals,
        1,
        &format!("failover 1 ({LOST} commits lost)"),
    );
}

async fn write(ground: &Ground, word: &str, count: usize) -> Vec<String> {
    let said: Vec<String> = (0..count).map(|nth| format!("{word} {nth}")).collect();
    let client = ground.client().await;
    for content in &said {
        client.batch_execute(&say(content)).await.expect("written");
    }
    said
}

/// Writes to whatever the bridge's own way leads to.
async fn write_through(ground: &Ground, word: &str, count: usize) -> Vec<String> {
    let said: Vec<String> = (0..count).map(|nth| format!("{word} {nth}")).collect();
    let client = ground.client_through().await;
    for content in &said {
        client.batch_execute(&say(content)).await.expect("written");
    }
    said
}

/// What `offline-messages` answers.
pub(super) async fn ask(ground: &Ground, query: &str) -> (u16, serde_json::Value) {
    let url = format!("http://{}/api/chat/offline-messages?{query}", ground.bridge.address);
    let request = reqwest::Client::new().get(url).bearer_auth(crate::faults::token(2));
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}
