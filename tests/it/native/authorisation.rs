//! Who is let in, by every door, and what throws a live client out again.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{DOORS, Door, EventStream, socket};
use crate::harness::app::{App, PATIENCE, Socket, now, person, token, token_with};

/// A pair made for this test; it guards nothing.
const PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3g+jENo/po/zhyZZ
zL+tOLnSJdGb4d7Pu4CdgXJQyEyhRANCAATudhGvu4IpQGi904pz5PL4emlFzLMr
U4oyCIUtXgzgUPZn8O0h1zsno7/dw+i6bU93mkUf1Rr0LUQlM0lJid1a
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7nYRr7uCKUBovdOKc+Ty+HppRcyz
K1OKMgiFLV4M4FD2Z/DtIdc7J6O/3cPoum1Pd5pFH9Ua9C1EJTNJSYndWg==
-----END PUBLIC KEY-----
";

fn payload(name: &str) -> Value {
    json!({ "sub": person(name), "exp": now() + 3_600, "iat": now() })
}

/// A payload with fields changed; `null` takes one away.
fn ada(changes: Value) -> Value {
    let mut payload = payload("ada");
    for (name, value) in changes.as_object().expect("fields") {
        payload[name] = value.clone();
    }
    payload.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    payload
}

fn signed(algorithm: Algorithm, key: &EncodingKey, payload: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), payload, key).expect("a token")
}

/// A token of any parts.
fn assembled(header: &str, payload: &Value, signature: &str) -> String {
    let [header, payload] = [header, &payload.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}.{signature}")
}

/// A good token whose payload says something else now.
fn tampered() -> String {
    let good = token("eve");
    let signature = good.rsplit_once('.').expect("three parts").1.to_owned();
    assembled(r#"{"typ":"JWT","alg":"HS256"}"#, &payload("ada"), &signature)
}

async fn assert_refused(app: &App, why: &str, token: &str, status: u16) {
    for door in DOORS {
        let bearer = format!("Bearer {token}");
        let (came, body) = door.knock(app, "", &[("authorization", &bearer)]).await;
        assert_eq!(came, status, "{why} at {door:?}: {body}");
        let code = if status == 401 { "unauthorized" } else { "forbidden" };
        assert_eq!((&body["status"], &body["code"]), (&json!("error"), &json!(code)), "{why}");
        assert!(body["message"].is_string(), "{why}: {body}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_good_token() {
    let app = App::start().await;
    for door in DOORS {
        let (status, body) = door.knock(&app, "", &[]).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthorized")), "{door:?}: {body}");
        assert_eq!(door.knock(&app, "?token=", &[]).await.0, 401, "{door:?}");
        let (status, _) = door.knock(&app, "", &[("authorization", "Basic YWRhOmFkYQ==")]).await;
        assert_eq!(status, 401, "{door:?}");
    }
    let other = EncodingKey::from_secret(b"another secret, 32 characters or more");
    let good = token("ada");
    let (parts, signature) = good.rsplit_once('.').expect("three parts");
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    flipped[0] ^= 1;
    let flipped = format!("{parts}.{}", URL_SAFE_NO_PAD.encode(flipped));
    let tokens = [
        ("nonsense", "nonsense".to_owned()),
        ("three parts of nothing", "..".to_owned()),
        ("alg none", assembled(r#"{"alg":"none"}"#, &payload("ada"), "")),
        ("alg None with a signature", assembled(r#"{"alg":"None"}"#, &payload("ada"), signature)),
        ("no alg", assembled(r#"{"typ":"JWT"}"#, &payload("ada"), signature)),
        ("RS256 for a shared secret", assembled(r#"{"alg":"RS256"}"#, &payload("ada"), signature)),
        ("no signature", format!("{parts}.")),
        ("another signature", flipped),
        ("another key", signed(Algorithm::HS256, &other, &payload("ada"))),
        ("another payload", tampered()),
        ("expired beyond the skew", token_with(&ada(json!({ "exp": now() - 6 })))),
        ("expired long ago", token_with(&ada(json!({ "exp": 0 })))),
        ("no expiry", token_with(&ada(json!({ "exp": null })))),
        ("an expiry that is no number", token_with(&ada(json!({ "exp": "tomorrow" })))),
        ("not valid yet", token_with(&ada(json!({ "nbf": now() + 30 })))),
        ("issued in the future", token_with(&ada(json!({ "iat": now() + 30 })))),
        ("nobody's", token_with(&ada(json!({ "sub": null })))),
        ("an unknown user's", token_with(&ada(json!({ "sub": person("ada").replace('1', "9") })))),
        ("an unknown number's", token_with(&ada(json!({ "sub": 4711 })))),
        ("a name's", token_with(&ada(json!({ "sub": "ada" })))),
        ("a NUL's", token_with(&ada(json!({ "sub": "1\u{0}" })))),
        ("too long", token_with(&ada(json!({ "padding": "x".repeat(13_000) })))),
    ];
    for (why, token) in &tokens {
        assert_refused(&app, why, token, 401).await;
    }
    for (why, changes) in [
        ("its number", json!({ "sub": 1 })),
        ("its number as text", json!({ "sub": "1" })),
        ("a small skew of the issuer's clock", json!({ "iat": now() + 2, "nbf": now() + 2 })),
        ("no time of issue", json!({ "iat": null })),
    ] {
        let query = format!("?token={}", token_with(&ada(changes)));
        for door in DOORS {
            assert!(door.opens(&app, &query, &[]).await, "{why} at {door:?}");
        }
    }
    // Just over: good for a request, and a socket is told that it is over.
    let over = token_with(&ada(json!({ "exp": now() - 1 })));
    assert!(Door::Rest.opens(&app, &format!("?token={over}"), &[]).await);
    assert_eq!(app.socket_with(&over, "").await.expect("a socket").closed().await, 4401);
}

#[tokio::test]
async fn a_public_key_is_not_a_shared_secret() {
    let app = App::start_with(&[&format!("--jwt-public-key={PUBLIC}")]).await;
    let private = EncodingKey::from_ec_pem(PRIVATE.as_bytes()).expect("a key");
    let good = signed(Algorithm::ES256, &private, &payload("ada"));
    for door in DOORS {
        assert!(door.opens(&app, &format!("?token={good}"), &[]).await, "{door:?}");
    }
    for secret in [PUBLIC, PUBLIC.trim_end()] {
        let secret = EncodingKey::from_secret(secret.as_bytes());
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let confused = signed(algorithm, &secret, &payload("ada"));
            assert_refused(&app, "the public key as a secret", &confused, 401).await;
        }
    }
    let signature = good.rsplit_once('.').expect("three parts").1;
    let none = assembled(r#"{"alg":"none"}"#, &payload("ada"), signature);
    assert_refused(&app, "alg none", &none, 401).await;
}

#[tokio::test]
async fn the_database_decides_who_is_welcome() {
    let app = App::start().await;
    app.sql("insert into chat.revoked_tokens (jti) values ('gone')").await;
    app.sql("update chat.users set active = false where username = 'linus'").await;
    let valid_after = i64::try_from(now()).expect("a time") - 100;
    app.sql(&format!(
        "update chat.users set tokens_valid_after = to_timestamp({valid_after}) where username = 'grace'"
    ))
    .await;
    let revoked = token_with(&ada(json!({ "jti": "gone" })));
    assert_refused(&app, "revoked", &revoked, 401).await;
    assert_refused(&app, "deactivated", &token("linus"), 403).await;
    let graces = |iat: Option<i64>| {
        let mut payload = payload("grace");
        payload["iat"] = json!(iat);
        payload.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        token_with(&payload)
    };
    for iat in [None, Some(valid_after - 1), Some(valid_after)] {
        assert_refused(&app, "outdated", &graces(iat), 401).await;
    }
    assert!(
        Door::Rest.opens(&app, &format!("?token={}", graces(Some(valid_after + 1))), &[]).await
    );
}

#[tokio::test]
async fn a_token_is_found_in_header_query_and_cookie() {
    let app = App::start().await;
    app.sql(
        "insert into chat.login_sessions (session_id, user_id, expires_at) values
            ('opaque-ada', 1, now() + interval '1 hour'), ('for ever', 1, null),
            ('over', 1, now() - interval '1 second')",
    )
    .await;
    let (good, bad) = (token("ada"), "a.b.c");
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let cookie = |value: &str| ("cookie", format!("theme=dark; session_id={value}; x=y"));
    let query = |token: &str| format!("?token={token}");
    let cases = [
        (String::new(), vec![bearer(&good)], true),
        (query(&good), vec![], true),
        (String::new(), vec![cookie(&good)], true),
        (String::new(), vec![cookie("opaque-ada")], true),
        (String::new(), vec![cookie("\"opaque-ada\"")], true),
        (String::new(), vec![cookie("for ever")], true),
        (String::new(), vec![cookie("over")], false),
        (String::new(), vec![cookie("nobody's")], false),
        (String::new(), vec![cookie("' or true --")], false),
        // An opaque id is a cookie's, not a token.
        (query("opaque-ada"), vec![], false),
        (String::new(), vec![bearer("opaque-ada")], false),
        // The header counts before the query, and that before the cookie: what is bad is not passed over.
        (query(bad), vec![bearer(&good)], true),
        (query(&good), vec![bearer(bad)], false),
        (query(&good), vec![cookie(bad)], true),
        (query(bad), vec![cookie(&good)], false),
    ];
    for (query, headers, wanted) in cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        for door in DOORS {
            let opens = door.opens(&app, &query, &headers).await;
            assert_eq!(opens, wanted, "{door:?}{query} {headers:?}");
        }
    }
}

#[tokio::test]
async fn rows_throw_live_clients_out_and_nobody_else() {
    let app = App::start().await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('one', 1), ('two', 1)")
        .await;
    let cookie = async |id: &str| {
        let cookie = format!("session_id={id}");
        socket(&app, "", &[("cookie", &cookie)]).await.expect("a socket")
    };
    let (mut one, mut two) = (cookie("one").await, cookie("two").await);
    app.sql("delete from chat.login_sessions where session_id = 'one'").await;
    assert_eq!(one.closed().await, 4401);

    let with_id = |id: &str| token_with(&ada(json!({ "jti": id })));
    let mut lost = app.socket_with(&with_id("lost"), "").await.expect("a socket");
    let mut kept = app.socket_with(&with_id("kept"), "").await.expect("a socket");
    let mut stream = EventStream::open(&app, &with_id("lost"), None).await;
    stream.until("connection_established").await;
    app.sql("insert into chat.revoked_tokens (jti, user_id) values ('lost', 1)").await;
    assert_eq!(lost.closed().await, 4401);
    stream.ended().await;
    for socket in [&mut two, &mut kept] {
        socket.send(r#"{"type":"ping"}"#).await;
        socket.until("pong").await;
    }

    // At or before the second a token was issued in, as at the handshake.
    let iat = now() - 50;
    let payload = ada(json!({ "iat": iat }));
    let mut outdated = app.socket_with(&token_with(&payload), "").await.expect("a socket");
    outdated.until("connection_established").await;
    app.sql(&format!(
        "update chat.users set tokens_valid_after = to_timestamp({iat}) where id = 1"
    ))
    .await;
    assert_eq!(outdated.closed().await, 4401);
    kept.send(r#"{"type":"ping"}"#).await;
    kept.until("pong").await;

    let mut streams = EventStream::open(&app, &with_id("stream"), None).await;
    streams.until("connection_established").await;
    app.sql("update chat.users set active = false where id = 1").await;
    assert_eq!(kept.closed().await, 4403);
    streams.ended().await;
}

#[tokio::test]
async fn a_token_ends_its_socket_in_time_unless_a_fresh_one_came() {
    let app = App::start().await;
    let end = now() + 2;
    let brief = |name: &str| {
        token_with(
            &json!({ "sub": person(name), "exp": end, "iat": now(), "jti": format!("{name}'s") }),
        )
    };
    let open = async |name: &str| app.socket_with(&brief(name), "").await.expect("a socket");
    let (mut ends, mut renewed, mut refused) =
        (open("ada").await, open("ada").await, open("ada").await);
    let mut stream = EventStream::open(&app, &brief("ada"), None).await;
    for socket in [&mut ends, &mut renewed, &mut refused] {
        socket.until("connection_established").await;
    }

    let authenticate = async |socket: &mut Socket, token: String| {
        socket.ask(json!({ "type": "authenticate", "token": token, "ref": "a" })).await
    };
    let fresh = token_with(&ada(json!({ "jti": "fresh" })));
    let answer = authenticate(&mut renewed, fresh).await;
    assert_eq!(
        (&answer["type"], &answer["ref"]),
        (&json!("authenticated"), &json!("a")),
        "{answer}"
    );
    assert_eq!(answer["user_id"], json!(person("ada")));
    app.sql("insert into chat.revoked_tokens (jti) values ('refused')").await;
    for (token, code) in [
        (token("grace"), "forbidden"),
        (token_with(&ada(json!({ "jti": "refused" }))), "unauthorized"),
        (token_with(&ada(json!({ "exp": now() - 10 }))), "unauthorized"),
        (tampered(), "unauthorized"),
    ] {
        let answer = authenticate(&mut refused, token).await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{answer}");
    }

    for socket in [&mut ends, &mut refused] {
        assert_eq!(socket.closed().await, 4401);
        assert!((end..=end + 2).contains(&now()), "{} s late", now() - end);
    }
    stream.ended().await;
    assert!(now() <= end + 2);
    // The old token is no longer this socket's: neither its end nor its revocation matters.
    app.sql("insert into chat.revoked_tokens (jti) values ('ada''s')").await;
    app.sql(
        "insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'still here?')",
    )
    .await;
    renewed.until("new_message").await;
    app.sql("insert into chat.revoked_tokens (jti) values ('fresh')").await;
    assert_eq!(renewed.closed().await, 4401);
}

#[tokio::test]
async fn revoking_a_fresh_token_while_it_is_shown_is_not_missed() {
    let app = App::start().await;
    let mut left = Vec::new();
    for round in 0..20 {
        let jti = format!("round {round}");
        let mut socket = app.socket("ada", "").await;
        socket.until("connection_established").await;
        let fresh = token_with(&ada(json!({ "jti": jti })));
        let revoke = format!("insert into chat.revoked_tokens (jti) values ('{jti}')");
        let shown = json!({ "type": "authenticate", "token": fresh });
        tokio::join!(socket.send(shown.to_string()), app.sql(&revoke));
        left.push(socket);
    }
    let deadline = Instant::now() + PATIENCE;
    for socket in &mut left {
        // Either it was refused, or it was taken and then closed: a socket that has it may not stay.
        let answer = socket.next().await;
        if answer["type"] == "authenticated" {
            assert_eq!(socket.closed().await, 4401);
        }
        assert!(Instant::now() < deadline);
    }
}
