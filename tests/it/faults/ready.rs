//! `/ready` says whether changes are being delivered now, within two seconds of their not being.

use std::time::Duration;

use tokio::time::Instant;

use super::{PAIR, messages, open, say};
use crate::history::ground::{Ground, until};

/// What operators are promised.
const NOTICED: Duration = Duration::from_secs(2);
const BACK: Duration = Duration::from_secs(15);

async fn is(ground: &Ground, status: u16, within: Duration) {
    let began = Instant::now();
    let what = format!("/ready at {status}");
    until(&what, Duration::from_secs(30), || async { ground.bridge.ready().await == Some(status) })
        .await;
    assert!(began.elapsed() <= within, "/ready was {status} only after {:?}", began.elapsed());
}

/// Breaks something, mends it, and sees that `/ready` follows and nothing is lost.
async fn follows(ground: &Ground, breaking: impl AsyncFnOnce(), mending: impl AsyncFnOnce()) {
    let (mut socket, _) = open(ground, 1, None).await;
    is(ground, 200, BACK).await;
    breaking().await;
    is(ground, 503, NOTICED).await;
    mending().await;
    is(ground, 200, BACK).await;
    ground.sql(&say("still here")).await;
    assert_eq!(messages(&mut socket, 1).await.0, ["still here"]);
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
