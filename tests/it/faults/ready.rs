//! `/ready` says whether changes are being delivered now, within two seconds of their not being.

use std::time::Duration;

use tokio::time::Instant;

use super::{PAIR, messages, open, say};
use crate::history::ground::{Ground, Terrain, until};

/// What operators are promised.
const NOTICED: Duration = Duration::from_secs(2);
/// On a machine that was busy with something else just then, it is seen in one of so many tries.
const TRIES: usize = 4;

/// Waits for a status and returns how long it took.
async fn is(ground: &Ground, status: u16) -> Duration {
    let began = Instant::now();
    let what = format!("/ready at {status}");
    until(&what, Duration::from_secs(30), || async { ground.bridge.ready().await == Some(status) })
        .await;
    began.elapsed()
}

/// Breaks something, mends it, and sees that `/ready` follows in time and nothing is lost.
async fn follows(ground: &Ground, breaking: impl AsyncFn(), mending: impl AsyncFn()) {
    let (mut socket, _) = open(ground, 1, None).await;
    let mut noticed = Vec::new();
    while noticed.len() < TRIES {
        is(ground, 200).await;
        breaking().await;
        noticed.push(is(ground, 503).await);
        mending().await;
        is(ground, 200).await;
        ground.sql(&say("still here")).await;
        assert_eq!(messages(&mut socket, 1).await.0, ["still here"]);
        if noticed.last().is_some_and(|took| *took <= NOTICED) {
            return;
        }
    }
    panic!("/ready was 503 only after {noticed:?}");
}

#[tokio::test]
async fn not_ready_while_the_connection_to_the_database_stalls() {
    let ground = Ground::start(PAIR, &[]).await;
    follows(&ground, async || ground.proxy.stall(), async || ground.proxy.open()).await;
}

#[tokio::test]
async fn not_ready_while_the_database_stands_still() {
    let ground = Ground::start(PAIR, &[]).await;
    let freeze = async |frozen| ground.postgres.freeze(frozen);
    follows(&ground, async || freeze(true).await, async || freeze(false).await).await;
}

#[tokio::test]
async fn not_ready_while_the_database_is_gone() {
    let ground = Ground::start(PAIR, &[]).await;
    follows(&ground, async || ground.postgres.kill(), async || ground.postgres.restart().await)
        .await;
}

#[tokio::test]
async fn not_ready_while_the_listener_cannot_come_back() {
    let ground = Ground::start(PAIR, &[]).await;
    let (client, superuser) = (ground.client().await, ground.superuser().await);
    let role: String =
        client.query_one("select current_user::text", &[]).await.expect("done").get(0);
    let limit = async |connections: i32| {
        let sql = format!("alter role {role} connection limit {connections}");
        superuser.batch_execute(&sql).await.expect("done");
    };
    // The pool's connections live on; only new ones are refused.
    follows(
        &ground,
        async || {
            limit(0).await;
            assert!(ground.kill_listener(&client).await, "there was no listener");
        },
        async || limit(-1).await,
    )
    .await;
}

#[tokio::test]
async fn ready_behind_a_pooler_that_drops_what_is_listened_for() {
    let ground = Ground::start_on(Terrain::Pooled { listens: false }, PAIR, &[], &[]).await;
    is(&ground, 200).await;
    // Longer than the echo of the start could stand for: from then on it polls, and is as ready as before, but for a moment
    // on a machine that was busy with something else.
    let mut ready = 0;
    for _ in 0..40 {
        ready += usize::from(ground.bridge.ready().await == Some(200));
        tokio::time::sleep(NOTICED / 20).await;
    }
    assert!(ready > 20, "ready in {ready} of 40 looks");
    is(&ground, 200).await;
    let (mut socket, _) = open(&ground, 1, None).await;
    ground.sql(&say("by polling")).await;
    assert_eq!(messages(&mut socket, 1).await.0, ["by polling"]);
}
