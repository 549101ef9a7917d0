//! A change that capture could not write: its writer goes on, the log says where it lacks something, clients fetch afresh.

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::app::{App, token};

/// From now on the log refuses some rows, as a full disk would.
const REFUSES: &str = "alter table rowcast.changes add constraint refuses
    check (coalesce(record ->> 'content', '') not like 'unwritable%'
        and not (relation = 'chat.members' and op = 'DELETE'))";

#[tokio::test]
async fn who_is_connected_fetches_afresh_and_has_what_the_log_lacks() {
    let app = App::start().await;
    let mut socket = app.socket("ada", "").await;
    let cursor = socket.until("connection_established").await["cursor"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    let began = jiff::Timestamp::now();
    app.sql(REFUSES).await;
    app.sql("insert into chat.messages (thread_id, content) values (1, 'unwritable')").await;
    socket.until("resync_required").await;

    // By time it comes from the table; a position from before says that it must.
    let url = "/api/chat/offline-messages?last_check_time=";
    let (status, body) = app.ask("GET", &format!("{url}{began:.6}"), &token("ada"), None).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.to_string().contains("unwritable"), "{body}");
    let (status, body) = app
        .ask("GET", &format!("/api/chat/offline-messages?cursor={cursor}"), &token("ada"), None)
        .await;
    assert_eq!(status, 409, "{body}");
    let next = body.to_string();
    assert!(next.contains("resync"), "{next}");

    // Whoever was away hears of it on coming back, and is live from then on.
    let mut back = app.socket("ada", &format!("&cursor={cursor}")).await;
    back.until("resync_required").await;
    app.sql("insert into chat.messages (thread_id, content) values (1, 'live again')").await;
    for socket in [&mut socket, &mut back] {
        assert_eq!(socket.until("new_message").await["data"]["content"], "live again");
    }
    let failures: i64 =
        app.value("select count(*) from rowcast.failures where xid is not null").await;
    assert_eq!(failures, 1);
}

#[tokio::test]
async fn who_was_put_out_where_the_log_could_not_say_so_is_out() {
    let app = App::start().await;
    let mut socket = app.socket("linus", "").await;
    socket.until("connection_established").await;
    app.sql(REFUSES).await;
    app.sql("delete from chat.members where thread_id = 1 and user_id = 3").await;
    socket.until("resync_required").await;
    app.sql("insert into chat.messages (thread_id, content) values (1, 'without linus')").await;
    app.sql("update chat.users set active = false where username = 'linus'").await;
    let mut seen = String::new();
    let code = loop {
        match socket.0.next().await.expect("a close").expect("a frame") {
            Message::Close(frame) => break frame.map(|frame| u16::from(frame.code)),
            frame => seen.push_str(&frame.to_string()),
        }
    };
    assert_eq!(code, Some(4403), "{seen}");
    assert!(!seen.contains("without linus"), "{seen}");
}

#[tokio::test]
async fn a_socket_of_one_room_ends_with_its_member_and_stays_one_of_that_room() {
    let app = App::start().await;
    let room = async |name: &str| app.socket_at("/ws/chat/1/", &token(name)).await.expect("let in");
    let (mut linus, mut ada) = (room("linus").await, room("ada").await);
    app.sql(REFUSES).await;
    app.sql("delete from chat.members where thread_id = 1 and user_id = 3").await;
    assert_eq!(linus.closed().await, 4403);
    ada.until("error").await;
    app.sql(
        "insert into chat.messages (thread_id, content) values (2, 'elsewhere');
         insert into chat.messages (thread_id, content) values (1, 'in the room')",
    )
    .await;
    let next = ada.next().await.to_string();
    assert!(next.contains("in the room"), "{next}");
}

#[tokio::test]
async fn a_capture_that_fails_at_every_write_does_not_make_clients_fetch_at_every_write() {
    let app = App::start().await;
    let mut socket = app.socket("ada", "").await;
    socket.until("connection_established").await;
    app.sql(REFUSES).await;
    for nth in 0..20 {
        let sql = format!(
            "insert into chat.messages (thread_id, content) values (1, 'unwritable {nth}')"
        );
        app.sql(&sql).await;
    }
    socket.until("resync_required").await;
    app.sql("insert into chat.messages (thread_id, content) values (1, 'one that can be told')")
        .await;
    let mut resyncs = 1;
    loop {
        let frame = socket.next().await;
        match frame["type"].as_str() {
            Some("resync_required") => resyncs += 1,
            Some("new_message") => break,
            _ => {}
        }
    }
    assert!(resyncs <= 2, "{resyncs}");
}
