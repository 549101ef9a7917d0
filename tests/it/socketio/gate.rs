//! The gate of Socket.IO: who is let in, how, and what throws a live client out again.

use serde_json::{Value, json};

use crate::harness::{
    app::{App, now, person, token, token_with},
    io::IoSocket,
};

fn signed(changes: Value) -> String {
    let mut payload = json!({ "sub": person("ada"), "exp": now() + 3_600, "iat": now() });
    for (name, value) in changes.as_object().expect("fields") {
        payload[name] = value.clone();
    }
    token_with(&payload)
}

/// The answer to CONNECT with this.
async fn answer(app: &App, query: &str, connect: &str) -> String {
    let mut socket = IoSocket::open(app, query).await;
    socket.send(connect).await;
    socket.next().await
}

fn refusal(packet: &str) -> (u64, String) {
    let body: Value = serde_json::from_str(packet.strip_prefix('4').expect(packet)).expect(packet);
    let message = body["message"].as_str().expect("a message").to_owned();
    (body["data"]["code"].as_u64().expect("a code"), message)
}

#[tokio::test]
async fn a_refused_token_is_a_connect_error_that_says_why() {
    let app = App::start().await;
    app.sql(
        "update chat.users set active = false where username = 'grace';
         update chat.users set tokens_valid_after = now() + interval '1 hour' where username = 'linus';
         insert into chat.revoked_tokens (jti) values ('gone')",
    )
    .await;
    let nobody = "00000000-0000-4000-8000-0000000000ff";
    for (token, code, message) in [
        ("nonsense".to_owned(), 401, ""),
        (signed(json!({ "exp": now() - 60 })), 401, "expired"),
        (signed(json!({ "jti": "gone" })), 401, "Token revoked"),
        (signed(json!({ "sub": nobody })), 401, "Unknown user"),
        (signed(json!({ "sub": person("grace") })), 403, "Account deactivated"),
        (signed(json!({ "sub": person("linus") })), 401, "Token revoked"),
    ] {
        for query in ["", "&dialect=conversations"] {
            let connect = format!("0{}", json!({ "token": token }));
            let (came, said) = refusal(&answer(&app, query, &connect).await);
            assert_eq!(came, code, "{token}: {said}");
            assert!(said.contains(message), "{said}");
        }
    }
    let (code, _) = refusal(&answer(&app, "", r#"0{"token":7}"#).await);
    assert_eq!(code, 401);
    assert_eq!(refusal(&answer(&app, "&dialect=direct", "0").await).0, 401);
    assert_eq!(refusal(&answer(&app, "&dialect=nonsense", "0").await).0, 400);
    assert_eq!(refusal(&answer(&app, "&token=nonsense", "0").await).0, 401);
}

#[tokio::test]
async fn a_token_opens_every_door_of_the_handshake() {
    let app = App::start().await;
    let good = token("ada");
    let mut by_auth = IoSocket::enter(&app, &good, "").await;
    let query = format!("&token={good}");
    let mut by_query = IoSocket::open(&app, &query).await;
    by_query.send("0").await;
    assert!(by_query.next().await.starts_with("0{"));
    for socket in [&mut by_auth, &mut by_query] {
        socket
            .send(&format!(r#"21["join_conversation",{{"other_user_id":"{}"}}]"#, person("eve")))
            .await;
        assert!(socket.next().await.starts_with(r#"31[{"#));
    }
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_refused_and_the_main_one_still_opens() {
    let app = App::start().await;
    let mut socket = IoSocket::open(&app, "").await;
    socket.send("0/admin,").await;
    let refused = socket.next().await;
    assert_eq!(refused, r#"4/admin,{"message":"Invalid namespace","data":{"code":404}}"#);
    socket.send(&format!(r#"0{{"token":"{}"}}"#, token("ada"))).await;
    assert!(socket.next().await.starts_with(r#"0{"sid""#));
}

#[tokio::test]
async fn what_is_no_connect_ends_a_connection_that_is_not_in_yet() {
    let app = App::start().await;
    for packet in ["1", "2[\"typing\"]", "nonsense", "3"] {
        let mut socket = IoSocket::open(&app, "").await;
        socket.send(packet).await;
        assert_eq!(socket.until_closed().await, None, "{packet}");
    }
}

#[tokio::test]
async fn revoking_a_token_or_its_end_throws_the_socket_out_for_good() {
    let app = App::start().await;
    let short = signed(json!({ "exp": now() + 2 }));
    let mut ending = IoSocket::enter(&app, &short, "").await;
    let mut revoked =
        IoSocket::enter(&app, &signed(json!({ "jti": "j1" })), "&dialect=conversations").await;
    assert!(revoked.next().await.starts_with(r#"2["authenticated""#));
    app.sql("insert into chat.revoked_tokens (jti) values ('j1')").await;
    for socket in [&mut revoked, &mut ending] {
        let error = socket.next().await;
        assert!(error.starts_with(r#"2["error",{"code":4401,"#), "{error}");
        assert_eq!(socket.next().await, "1");
        assert_eq!(socket.until_closed().await, None);
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_where_origins_are_listed() {
    let app = App::start_with(&["--allowed-origins=https://app.example"]).await;
    let connect = format!(r#"0{{"token":"{}"}}"#, token("ada"));
    for (origin, lets_in) in [("https://app.example", true), ("https://evil.example", false)] {
        let mut socket = IoSocket::open_from(&app, origin).await;
        socket.send(&connect).await;
        let came = socket.next().await;
        assert_eq!(came.starts_with("0{"), lets_in, "{origin}: {came}");
        if !lets_in {
            assert_eq!(refusal(&came).0, 403);
        }
    }
}

#[tokio::test]
async fn a_server_that_goes_away_lets_its_clients_come_back() {
    let mut app = App::start().await;
    let mut socket = IoSocket::enter(&app, &token("ada"), "").await;
    let mut waiting = IoSocket::open(&app, "").await;
    app.stop().await;
    // No DISCONNECT: a client that gets one stays away.
    assert_eq!(socket.until_closed().await, None);
    assert_eq!(waiting.until_closed().await, None);
}
