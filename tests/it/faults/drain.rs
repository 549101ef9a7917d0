//! A stop: clients are told, and resume elsewhere or later without loss.

use super::{PAIR, messages, open, say, until_closed};
use crate::history::ground::Ground;

const CLIENTS: usize = 20;

#[tokio::test]
async fn a_stop_tells_every_client_and_nobody_loses_anything() {
    let ground = Ground::start(PAIR, &["--grace=5s"]).await;
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        sockets.push(open(&ground, 1, None).await.0);
    }
    ground.sql(&say("before")).await;
    let mut cursors = Vec::new();
    for socket in &mut sockets {
        let (contents, cursor) = messages(socket, 1).await;
        assert_eq!(contents, ["before"]);
        cursors.push(cursor);
    }

    ground.bridge.terminate().await;
    let client = ground.client().await;
    let mut said = Vec::new();
    let writing = async {
        for nth in 0..30 {
            client.batch_execute(&say(format!("while stopping {nth}"))).await.expect("done");
            said.push(format!("while stopping {nth}"));
        }
    };
    let reading = async {
        let mut had = Vec::new();
        for (socket, cursor) in sockets.iter_mut().zip(&mut cursors) {
            let (contents, last, code) = until_closed(socket).await;
            assert_eq!(code, 1001);
            had.push(contents);
            *cursor = last.unwrap_or_else(|| cursor.clone());
        }
        had
    };
    let ((), mut had) = tokio::join!(writing, reading);
    assert!(ground.bridge.ended().await, "the program ended with an error");

    ground.bridge.run().await;
    for (had, cursor) in had.iter_mut().zip(&cursors) {
        let (mut socket, _) = open(&ground, 1, Some(cursor)).await;
        let rest = said.len() - had.len();
        had.extend(messages(&mut socket, rest).await.0);
        assert_eq!(*had, said);
    }
}
