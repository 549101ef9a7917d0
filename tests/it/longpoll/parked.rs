//! What a waiting poll promises: nothing held, nothing skipped, an end as soon as there is a reason.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::harness::app::{App, Asking, PATIENCE, now, person, token, token_with};

const MESSAGES: &str = "/api/messaging/poll/messages";
const UPDATES: &str = "/api/messaging/poll/updates";
const WAIT: &str = r#"{"jsonrpc":"2.0","params":{"thread_id":1,"timeout":60}}"#;
const HELLO: &str =
    "insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'Hello')";

async fn answer(asking: Asking) -> (u16, Value) {
    timeout(PATIENCE, asking).await.expect("an answer in time").expect("an answer")
}

/// Asks, and returns when `count` polls wait.
async fn parked(app: &App, count: usize) {
    let began = Instant::now();
    loop {
        if app.parked_polls() == count {
            // It subscribes before it asks the database; that answer must be there as well.
            return tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(began.elapsed() < PATIENCE, "{count} polls do not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_insert_answers_two_thousand_polls_without_a_query_each() {
    let app = App::start_with(&["--rate-rest=10000/10000"]).await;
    let token = token("ada");
    let polls: Vec<Asking> =
        (0..2_000).map(|_| app.asking("POST", MESSAGES, &token, Some(WAIT))).collect();
    parked(&app, 2_000).await;
    let calls = "select coalesce(sum(numbackends), 0)::bigint from pg_stat_database where datname = current_database()";
    let connections: i64 = app.value(calls).await;
    assert!(connections <= 8 + 4, "{connections} connections: the pool, the listener and this one");
    app.sql(HELLO).await;
    for poll in polls {
        let (status, body) = answer(poll).await;
        assert_eq!((status, &body["result"]["count"]), (200, &json!(1)), "{body}");
    }
    let connections: i64 = app.value(calls).await;
    assert!(connections <= 8 + 4, "{connections} connections afterwards");
    parked(&app, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_polls_for_updates_are_counted_again_together() {
    let app = App::start_with(&["--rate-rest=10000/10000"]).await;
    let people = ["ada", "linus"];
    let polls: Vec<Asking> = (0..300)
        .map(|nth| {
            let token = token_with(&json!({
                "sub": person(people[nth % 2]), "exp": now() + 3_600, "iat": now(), "jti": nth.to_string()
            }));
            app.asking("POST", UPDATES, &token, Some(r#"{"jsonrpc":"2.0","params":{}}"#))
        })
        .collect();
    parked(&app, 300).await;
    app.sql(HELLO).await;
    for poll in polls {
        let (_, body) = answer(poll).await;
        assert_eq!(body["result"]["unread_count"], 1, "{body}");
    }
    let states: i64 = app.value("select count(*) from chat.poll_states").await;
    assert_eq!(states, 300, "each session has been given its state");
}

#[tokio::test]
async fn a_message_whose_transaction_was_open_at_the_read_arrives() {
    let app = App::start().await;
    let mut writer = app.database.client().await;
    let open = writer.transaction().await.expect("a transaction");
    open.batch_execute(HELLO).await.expect("a message");
    let poll = app.asking("POST", MESSAGES, &token("ada"), Some(WAIT));
    let update = app.asking("POST", UPDATES, &token("ada"), Some(r#"{"jsonrpc":"2.0"}"#));
    parked(&app, 2).await;
    open.commit().await.expect("a commit");
    assert_eq!(answer(poll).await.1["result"]["messages"][0]["body"], "Hello");
    assert_eq!(answer(update).await.1["result"]["unread_count"], 1);
}

#[tokio::test]
async fn whoever_may_no_longer_have_the_answer_is_told_while_waiting() {
    let app = App::start().await;
    let with_id = token_with(&json!({
        "sub": person("ada"), "exp": now() + 3_600, "iat": now(), "jti": "t1"
    }));
    let revoked = app.asking("POST", MESSAGES, &with_id, Some(WAIT));
    let deactivated = app.asking("POST", MESSAGES, &token("grace"), Some(WAIT));
    let left = app.asking("POST", MESSAGES, &token("linus"), Some(WAIT));
    let expiring = token_with(&json!({ "sub": person("ada"), "exp": now() + 2, "iat": now() }));
    let expired = app.asking("POST", MESSAGES, &expiring, Some(WAIT));
    parked(&app, 4).await;
    app.sql("insert into chat.revoked_tokens (jti) values ('t1')").await;
    app.sql("update chat.users set active = false where id = 2").await;
    app.sql("delete from chat.members where thread_id = 1 and user_id = 3").await;
    let (status, body) = answer(revoked).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!(100)), "{body}");
    let (status, body) = answer(deactivated).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!(100)), "{body}");
    let (status, body) = answer(left).await;
    assert_eq!((status, &body["error"]["code"]), (200, &json!(-32_001)), "{body}");
    assert_eq!(answer(expired).await.0, 401);
}

#[tokio::test]
async fn a_shutdown_answers_waiting_polls_at_once() {
    let mut app = App::start().await;
    let poll = app.asking("POST", MESSAGES, &token("ada"), Some(WAIT));
    let update = app.asking("POST", UPDATES, &token("ada"), Some(r#"{"jsonrpc":"2.0"}"#));
    parked(&app, 2).await;
    let began = Instant::now();
    app.stop().await;
    let (status, body) = answer(poll).await;
    assert_eq!((status, &body["result"]["has_new"]), (200, &json!(false)), "{body}");
    let (status, body) = answer(update).await;
    assert_eq!((status, &body["result"]["has_updates"]), (200, &json!(false)), "{body}");
    // They would have waited for 30 seconds.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_went_away_frees_its_poll() {
    let app = App::start().await;
    let mut stream = TcpStream::connect(app.address()).await.expect("a connection");
    let request = format!(
        "POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{WAIT}",
        token("ada"),
        WAIT.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    parked(&app, 1).await;
    drop(stream);
    parked(&app, 0).await;
}

#[tokio::test]
async fn a_cookie_is_a_session_and_its_end_ends_the_poll() {
    let app = App::start().await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('opaque-1', 1)").await;
    let by_cookie = |cookie: String| {
        let url = format!("http://{}{MESSAGES}", app.address());
        let request = reqwest::Client::new().post(url).header("cookie", cookie).body(WAIT);
        async move { request.send().await.expect("an answer").status().as_u16() }
    };
    let ended = async {
        parked(&app, 1).await;
        app.sql("delete from chat.login_sessions").await;
    };
    let (status, ()) = tokio::join!(by_cookie("session_id=opaque-1".to_owned()), ended);
    assert_eq!(status, 401);
    assert_eq!(by_cookie("session_id=unknown".to_owned()).await, 401);
    app.sql(HELLO).await;
    assert_eq!(by_cookie(format!("session_id={}", token("ada"))).await, 200);
}

#[tokio::test]
async fn a_flood_of_changes_is_asked_of_the_database_again() {
    let app = App::start().await;
    let poll = app.asking("POST", MESSAGES, &token("ada"), Some(WAIT));
    parked(&app, 1).await;
    app.sql(
        "insert into chat.messages (thread_id, sender_id, content)
         select 1, 2, g::text from generate_series(1, 300) g",
    )
    .await;
    let (_, body) = answer(poll).await;
    assert_eq!(
        (&body["result"]["count"], &body["result"]["has_more"]),
        (&json!(100), &json!(true))
    );
    assert_eq!(body["result"]["messages"][99]["body"], "100");
}

#[tokio::test]
async fn no_session_and_too_many_requests_are_told_apart() {
    let app = App::start_with(&["--rate-rest=1/2"]).await;
    let raw = |body: &'static str, token: String| {
        let asking = app.asking("POST", "/api/messaging/notifications/count", &token, Some(body));
        async move { answer(asking).await }
    };
    let (status, body) = raw(r#"{"jsonrpc":"2.0","id":5}"#, String::new()).await;
    assert_eq!((status, &body["error"]["code"], &body["id"]), (401, &json!(100), &json!(5)));
    assert_eq!(raw(r#"{"jsonrpc":"2.0"}"#, "nonsense".to_owned()).await.0, 401);
    let mut codes = Vec::new();
    for _ in 0..4 {
        let (status, body) = raw(r#"{"jsonrpc":"2.0"}"#, token("ada")).await;
        assert_eq!(status, 200);
        codes.push(body["error"]["code"].as_i64());
        if let Some(data) = body["error"]["data"].as_object() {
            assert!(data["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0));
        }
    }
    assert_eq!(codes, [None, None, Some(-32_002), Some(-32_002)]);
    let huge = format!(r#"{{"jsonrpc":"2.0","params":{{"body":"{}"}}}}"#, "x".repeat(70_000));
    let (status, body) =
        answer(app.asking("POST", "/api/messaging/send", &token("grace"), Some(&huge))).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!(-32_600)));
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said_of_the_field_it_came_in() {
    let app = App::start().await;
    for (body, said) in [
        (json!(""), "`body` is empty; send 1 to 2000 characters"),
        (json!("x".repeat(2_001)), "`body` has 2001 characters; send 1 to 2000"),
        (json!("\0"), "`body` holds a NUL character, which cannot be stored"),
    ] {
        let call = json!({ "jsonrpc": "2.0", "params": { "thread_id": 1, "body": body } });
        let (status, answer) =
            app.ask("POST", "/api/messaging/send", &token("ada"), Some(&call.to_string())).await;
        assert_eq!((status, &answer["error"]["message"]), (200, &json!(said)));
    }
}
