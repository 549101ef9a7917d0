//! Clients that do not keep to the protocol: they harm themselves, and nobody else.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    app::{App, PATIENCE, person, thread, token},
    io::IoSocket,
};

/// Shows that a connection is heard.
async fn is_well(socket: &mut IoSocket) {
    socket.send(r#"2777["join_conversation",{"other_user_id":"4711"}]"#).await;
    loop {
        let packet = socket.next().await;
        if packet.starts_with("3777[") {
            return;
        }
    }
}

#[tokio::test]
async fn an_oversized_frame_ends_its_own_connection_only() {
    let app = App::start().await;
    let mut good = IoSocket::enter(&app, &token("ada"), "").await;
    let mut bad = IoSocket::enter(&app, &token("eve"), "").await;
    bad.send(&format!(r#"2["typing",{{"receiver_id":"{}"}}]"#, "x".repeat(100_000))).await;
    assert_eq!(bad.until_closed().await, None);
    is_well(&mut good).await;
}

#[tokio::test]
async fn nonsense_is_answered_until_there_is_too_much_of_it() {
    let app = App::start().await;
    let mut socket = IoSocket::enter(&app, &token("ada"), "").await;
    for _ in 0..63 {
        socket.send("2[]").await;
        assert!(socket.next().await.starts_with(r#"2["error",{"code":400,"#));
    }
    is_well(&mut socket).await;
    for _ in 0..64 {
        socket.send("2[\"fly\"]").await;
        assert!(socket.next().await.starts_with(r#"2["error",{"code":400,"#));
    }
    let error = socket.next().await;
    assert!(error.starts_with(r#"2["error",{"code":1008,"#), "{error}");
    assert_eq!(socket.next().await, "1");
    assert_eq!(socket.until_closed().await, None);
}

#[tokio::test]
async fn a_flood_is_told_when_to_come_back_and_then_sent_away() {
    // One signal a second is allowed, and begins the count of refused ones anew: a slow machine takes several goes.
    let app = App::start_with(&["--rate-typing=1/1"]).await;
    let mut other = IoSocket::enter(&app, &token("grace"), "").await;
    let mut socket = IoSocket::enter(&app, &token("ada"), "").await;
    let (mut limited, mut last) = (0, String::new());
    for _ in 0..20 {
        for ack in 0..1_000 {
            let typing = json!(["typing", { "receiver_id": person("eve") }]);
            socket.send(&format!("2{ack}{typing}")).await;
        }
        let mut answered = 0;
        while answered < 1_000 {
            let Some(packet) = socket.until_closed().await else { break };
            if packet.contains("\"code\":429") {
                assert!(packet.contains("\"retry_after_ms\":"), "{packet}");
                limited += 1;
            }
            answered += i32::from(packet.starts_with('3'));
            if packet.starts_with("2[\"error\"") {
                last = packet;
            }
        }
        if answered < 1_000 {
            break;
        }
    }
    assert!(limited >= 512, "{limited}");
    assert!(last.starts_with(r#"2["error",{"code":4429,"#), "{last}");
    is_well(&mut other).await;
}

#[tokio::test]
async fn who_sends_more_than_is_read_is_sent_away() {
    let app = App::start().await;
    let mut socket = IoSocket::enter(&app, &token("ada"), "").await;
    let large = json!(["fly", { "x": "y".repeat(60_000) }]);
    // The database answers each of these in turn, and they come faster.
    for ack in 0..400 {
        socket.send(&format!(r#"2{ack}["join_conversation",{{"other_user_id":"4711"}}]"#)).await;
        socket.send(&format!("2{large}")).await;
    }
    let end = timeout(PATIENCE, async { while socket.until_closed().await.is_some() {} });
    end.await.expect("sent away");
}

#[tokio::test]
async fn malformed_engine_io_is_refused_over_http() {
    let app = App::start().await;
    let url = format!("http://{}/socket.io/", app.address());
    let client = reqwest::Client::new();
    for query in [
        "",
        "?EIO=4",
        "?EIO=4&transport=carrier-pigeon",
        "?EIO=3&transport=polling",
        "?EIO=x&transport=polling",
        "?EIO=4&transport=polling&sid=nonsense",
        "?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAHs",
        "?EIO=4&transport=websocket",
        "?EIO=4&transport=polling&sid=%00%ff",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            if query == "?EIO=4&transport=polling" && method == "GET" {
                continue;
            }
            let request =
                client.request(method.parse().expect("a method"), format!("{url}{query}"));
            let status = request.body("4nonsense").send().await.expect("an answer").status();
            assert!(status.is_client_error(), "{method} {query}: {status}");
        }
    }
    let mut socket = IoSocket::enter(&app, &token("ada"), "").await;
    is_well(&mut socket).await;
}

/// One handshake by polling: its id.
async fn polled(client: &reqwest::Client, url: &str) -> String {
    let open = client.get(url).send().await.expect("an answer").text().await.expect("a body");
    let open: Value = serde_json::from_str(&open[1..]).expect("JSON");
    open["sid"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn random_packets_over_polling_and_websocket_harm_nobody() {
    let app = App::start().await;
    let mut good = IoSocket::enter(&app, &token("grace"), "").await;
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let pieces = [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "b",
        "2probe",
        "3probe",
        "42[",
        "40",
        "41",
        "42",
        "43",
        "45",
        "4",
        "\"typing\"",
        "{}",
        "[]",
        "]",
        ",",
        "-",
        "/admin,",
        "é",
        "ééé",
        "\u{1e}",
        "\0",
        "12",
        "{\"token\":1}",
        "99999999999999999999",
    ];
    let mut junk = move || -> String {
        (0..random.random_range(0..6))
            .map(|_| pieces[random.random_range(0..pieces.len())])
            .collect()
    };
    let client = reqwest::Client::new();
    let url = format!("http://{}/socket.io/?EIO=4&transport=polling", app.address());
    for round in 0..60 {
        let mut socket = match round % 2 {
            0 => IoSocket::open(&app, "").await,
            _ => IoSocket::enter(&app, &token("eve"), "").await,
        };
        for _ in 0..40 {
            socket.raw(Message::text(junk())).await;
            socket.raw(Message::binary(junk().into_bytes())).await;
        }
        let sid = polled(&client, &url).await;
        for _ in 0..5 {
            let sent = client.post(format!("{url}&sid={sid}")).body(junk()).send().await;
            let status = sent.expect("an answer").status();
            assert!(!status.is_server_error(), "seed {seed}: {status}");
        }
    }
    is_well(&mut good).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_the_rest_notice_nothing() {
    let app = App::start_with(&["--send-deadline=1s"]).await;
    let mut other = IoSocket::enter(&app, &token("grace"), "").await;
    let mut stalled = IoSocket::enter(&app, &token("ada"), "&dialect=conversations").await;
    stalled.send(&format!(r#"20["subscribe_conversation","{}"]"#, thread("maths"))).await;
    assert!(other.next().await.contains("user_online"));
    let large = "insert into chat.messages (thread_id, sender_id, content) select 1, 3, repeat('x', 400000) from generate_series(1, 100)";
    app.sql(large).await;
    let offline = other.next().await;
    assert!(offline.contains("user_offline") && offline.contains(&person("ada")), "{offline}");
    // Its connection ends too, although it never asked: what was on its way is all that it gets.
    sleep(Duration::from_secs(4)).await;
    let end = timeout(PATIENCE, async { while stalled.until_closed().await.is_some() {} });
    end.await.expect("the end");
}

#[tokio::test]
async fn credits_are_never_overdrawn() {
    let app = App::start().await;
    app.sql("update chat.users set credits = 5 where username = 'ada'").await;
    let body = json!({ "receiver_id": person("eve"), "content": "Hello" }).to_string();
    let token = token("ada");
    let asking: Vec<_> =
        (0..20).map(|_| app.asking("POST", "/api/messages/send", &token, Some(&body))).collect();
    let mut statuses = Vec::new();
    for asking in asking {
        statuses.push(asking.await.expect("an answer").0);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201; 5], vec![402; 15]].concat());
    assert_eq!(app.value::<i64>("select credits from chat.users where username = 'ada'").await, 0);
    assert_eq!(app.value::<i64>("select count(*) from chat.messages").await, 5);
}

#[tokio::test]
async fn since_a_time_never_skips_a_message_whose_transaction_was_open() {
    let app = App::start().await;
    let token = token("grace");
    let late = app.database.client().await;
    late.batch_execute("begin; insert into chat.messages (thread_id, sender_id, content) values (chat.direct_thread(1, 2), 1, 'late')")
        .await
        .expect("an open transaction");
    late.batch_execute("savepoint here").await.expect("a savepoint");
    sleep(Duration::from_millis(600)).await;
    let paths = [
        format!("/api/messages/conversation/{}", person("ada")),
        "/api/conversations/2/messages".to_owned(),
    ];
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (2, 1, 'soon')")
        .await;
    let (_, page) = app.ask("GET", &paths[1], &token, None).await;
    let since = page[0]["createdAt"].as_str().expect("a time").to_owned();
    sleep(Duration::from_millis(600)).await;
    late.batch_execute(
        "insert into chat.messages (thread_id, sender_id, content) values (2, 1, 'later'); commit",
    )
    .await
    .expect("a commit");
    for (path, content) in paths.iter().zip(["late", "later"]) {
        let (status, page) = app.ask("GET", &format!("{path}?since={since}"), &token, None).await;
        assert_eq!(status, 200, "{page}");
        let messages = page.get("messages").unwrap_or(&page).as_array().expect("a list").clone();
        assert!(messages.iter().any(|one| one["content"] == content), "{content} in {page}");
    }
    // Pages of one go on, whatever their size.
    app.sql("insert into chat.messages (thread_id, sender_id, content) select 2, 1, n::text from generate_series(1, 30) n").await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (2, 1, 'last')")
        .await;
    let mut since = since;
    for round in 0.. {
        assert!(round < 10, "no end");
        let path = format!("{}?since={since}&limit=7", paths[1]);
        let (_, page) = app.ask("GET", &path, &token, None).await;
        let newest = page.as_array().and_then(|page| page.last()).expect("messages");
        if newest["content"] == "last" {
            break;
        }
        since = newest["createdAt"].as_str().expect("a time").to_owned();
    }
}
