//! A crowd that comes, goes and comes back at the same moment: each as if alone.

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

use crate::harness::app::{App, PATIENCE, now, token_with};

const CROWD: usize = 120;

/// One in twenty was deactivated, one in twenty is unknown.
async fn crowd(app: &App) -> Vec<(i64, u16)> {
    app.sql(
        "insert into chat.users (username, full_name, active) \
         select 'crowd' || n, 'Crowd ' || n, n % 20 <> 3 from generate_series(1, 120) n",
    )
    .await;
    let first: i64 = app.value("select min(id) from chat.users where username like 'crowd%'").await;
    (0..CROWD)
        .map(|nth| match nth % 20 {
            2 => (first + i64::try_from(nth).expect("small"), 403),
            7 => (999_000, 401),
            _ => (first + i64::try_from(nth).expect("small"), 101),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_crowd_has_its_own_answer_and_is_noted_as_gone() {
    let app = App::start().await;
    let crowd = crowd(&app).await;
    let coming = crowd.iter().map(|(user, _)| {
        let claims = json!({ "sub": user.to_string(), "exp": now() + 3_600, "iat": now() });
        let (app, token) = (&app, token_with(&claims));
        async move { app.socket_at("/ws", &token).await }
    });
    let mut inside = Vec::new();
    for (came, (user, expected)) in join_all(coming).await.into_iter().zip(&crowd) {
        match came {
            Ok(socket) => {
                assert_eq!(*expected, 101, "user {user} was let in");
                inside.push((socket, *user));
            }
            Err(tungstenite::Error::Http(refusal)) => {
                assert_eq!(refusal.status().as_u16(), *expected, "user {user}");
            }
            Err(other) => panic!("user {user}: {other}"),
        }
    }
    assert_eq!(inside.len(), crowd.iter().filter(|(_, expected)| *expected == 101).count());
    for (socket, user) in &mut inside {
        let greeting = socket.until("connection_established").await;
        let uuid: String =
            app.value(&format!("select uuid::text from chat.users where id = {user}")).await;
        assert_eq!(greeting["user_id"], uuid.as_str());
    }
    let count = i64::try_from(inside.len()).expect("small");
    drop(inside);
    let (noted, began) =
        ("select count(last_seen_at) from chat.users where username like 'crowd%'", Instant::now());
    while app.value::<i64>(noted).await < count {
        assert!(began.elapsed() < PATIENCE, "not all are noted as gone");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let together = "select count(distinct xid) from rowcast.changes where relation = 'chat.users' and op = 'UPDATE'";
    assert!(app.value::<i64>(together).await < count, "many went in one transaction");
}

#[tokio::test]
async fn who_comes_back_soon_is_told_from_memory_what_passed() {
    let app = App::start().await;
    let mut ada = app.socket("ada", "").await;
    let greeting = ada.until("connection_established").await;
    drop(ada);
    let mut grace = app.socket("grace", "").await;
    for nth in 0..3 {
        let insert = "insert into chat.messages (thread_id, sender_id, content)";
        app.sql(&format!("{insert} values (1, 3, 'm{nth}')")).await;
        grace.until("new_message").await;
    }
    // Nobody is told that the log has lost it: what comes now does not come from there.
    app.sql("delete from rowcast.changes").await;
    let cursor = greeting["cursor"].as_str().expect("a cursor");
    let mut back = app.socket("ada", &format!("cursor={cursor}")).await;
    for nth in 0..3 {
        let message = back.until("new_message").await;
        assert_eq!(message["data"]["content"], format!("m{nth}"));
    }
    assert!(back.until("resumed").await["cursor"].is_string());
}
