//! A client that does not read is let go with a reason, and comes back; the others notice nothing.

use std::time::Duration;

use tokio::net::TcpSocket;
use tokio_tungstenite::{MaybeTlsStream, client_async};

use super::{PAIR, messages, open, say, text, token};
use crate::{
    harness::app::Socket,
    history::ground::{Ground, until},
};

/// Contents of which a few fill what lies between two processes.
const HUGE: usize = 200_000;
/// Contents of which a page of the log holds some hundreds.
const LARGE: usize = 20_000;

/// Opens a socket whose window is small, as user 1.
async fn narrow(ground: &Ground) -> (Socket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a buffer");
    let stream = socket.connect(ground.bridge.address).await.expect("a connection");
    let url = format!("ws://{}/ws?token={}", ground.bridge.address, token(1));
    let (socket, _) = client_async(url, MaybeTlsStream::Plain(stream)).await.expect("a socket");
    let mut socket = Socket(socket);
    let greeting = socket.until("connection_established").await;
    (socket, text(&greeting["cursor"]))
}

#[tokio::test]
async fn a_reader_that_stops_is_closed_with_4408_and_others_notice_nothing() {
    let ground = Ground::start(PAIR, &["--send-deadline=1s", "--mailbox=64"]).await;
    let (mut slow, start) = narrow(&ground).await;
    let (mut quick, _) = open(&ground, 2, None).await;
    let client = ground.client().await;
    let mut said = Vec::new();
    // Until the server has given up; the quick one hears of each all the while.
    while ground.bridge.metric("rowcast_slow_disconnects_total").await < 1.0 {
        let content = format!("{}|{}", said.len(), "x".repeat(HUGE));
        client.batch_execute(&say(&content)).await.expect("done");
        assert!(messages(&mut quick, 1).await.0 == std::slice::from_ref(&content));
        said.push(content);
        assert!(said.len() < 2_000, "nobody gave up");
    }

    let (had, cursor, code) = super::until_closed(&mut slow).await;
    assert_eq!(code, 4408);
    assert!(had.len() < said.len() && said.starts_with(&had));
    let (mut back, _) = open(&ground, 1, Some(&cursor.unwrap_or(start))).await;
    assert!(messages(&mut back, said.len() - had.len()).await.0 == said[had.len()..]);
    client.batch_execute(&say("live")).await.expect("done");
    assert_eq!(messages(&mut back, 1).await.0, ["live"]);
}

#[tokio::test]
async fn a_mailbox_that_overflows_is_replayed_from_the_log() {
    let ground = Ground::start(PAIR, &["--mailbox=64"]).await;
    let (mut socket, _) = open(&ground, 1, None).await;
    let rows = 5_000;
    let bulk = format!(
        "insert into chat.messages (thread_id, content) select 1, n from generate_series(1, {rows}) n"
    );
    ground.sql(&bulk).await;
    let expected: Vec<String> = (1..=rows).map(|n: usize| n.to_string()).collect();
    let (contents, cursor) = messages(&mut socket, rows).await;
    assert_eq!(contents, expected);
    until("a mailbox that lagged", Duration::from_secs(20), || async {
        ground.bridge.metric("rowcast_lagged_total").await >= 1.0
    })
    .await;
    ground.sql(&say("after")).await;
    assert_eq!(messages(&mut socket, 1).await.0, ["after"]);
    let (mut back, _) = open(&ground, 1, Some(&cursor)).await;
    assert_eq!(messages(&mut back, 1).await.0, ["after"]);
}

#[tokio::test]
async fn a_replay_of_large_rows_comes_whole_in_several_reads() {
    let ground = Ground::start(PAIR, &[]).await;
    let (_, start) = open(&ground, 1, None).await;
    let rows = 1_000;
    let bulk = format!(
        "insert into chat.messages (thread_id, content) \
            select 1, n || '|' || repeat('x', {LARGE}) from generate_series(1, {rows}) n"
    );
    ground.sql(&bulk).await;
    let (mut socket, _) = open(&ground, 1, Some(&start)).await;
    let expected: Vec<String> = (1..=rows).map(|n| format!("{n}|{}", "x".repeat(LARGE))).collect();
    assert!(messages(&mut socket, rows).await.0 == expected);
}

#[tokio::test]
async fn a_long_replay_is_not_taken_for_a_clients_silence() {
    let ground = Ground::start(PAIR, &["--ping-interval=100ms"]).await;
    let (_, start) = open(&ground, 1, None).await;
    let rows = 10_000;
    let bulk = format!(
        "insert into chat.messages (thread_id, content) select 1, n from generate_series(1, {rows}) n"
    );
    ground.sql(&bulk).await;
    let (mut socket, _) = open(&ground, 1, Some(&start)).await;
    assert_eq!(messages(&mut socket, rows).await.0.len(), rows);
}
