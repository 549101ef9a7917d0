//! Hostile and odd input: answered with words, never by a fault of ours.

use serde_json::{Value, json};

use super::{FLAG, TOKEN, answer, get, post, request};
use crate::harness::app::App;

#[tokio::test]
async fn odd_requests_are_refused_in_words() {
    let app = App::start_with(&[FLAG, "--admin-write"]).await;
    let long = "x".repeat(201);
    for path in [
        "sessions?before=minus".to_owned(),
        "sessions?before=-1".to_owned(),
        format!("sessions?search={long}"),
        format!("topics?search={long}"),
        "tables?search=%00".to_owned(),
        format!("tail?search={long}"),
    ] {
        let request = request(&app, "GET", &format!("/admin/api/{path}")).bearer_auth(TOKEN);
        let (status, body) = answer(request).await;
        assert_eq!(status, 400, "{path}: {body}");
        assert!(body["message"].is_string(), "{body}");
    }
    for (method, path, wanted) in [
        ("GET", "/admin/api/", 404),
        ("GET", "/admin/api/nothing", 404),
        ("GET", "/admin/api/inspect", 404),
        ("GET", "/admin/api/../../live", 404),
        ("PUT", "/admin/api/overview", 404),
        ("DELETE", "/admin/api/sessions", 404),
    ] {
        let status = answer(request(&app, method, path).bearer_auth(TOKEN)).await.0;
        assert!(status == wanted || path.contains(".."), "{method} {path}: {status}");
        assert!(status < 500, "{method} {path}: {status}");
    }
    assert_eq!(get(&app, "overview").await["ready"], true);
}

#[tokio::test]
async fn odd_bodies_are_refused_in_words() {
    let app = App::start_with(&[FLAG, "--admin-write"]).await;
    let wish = |topic: &str, role: &str, claims: Value| json!({ "topic": topic, "role": role, "claims": claims });
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for (call, body) in [
        ("tables/watch", json!({})),
        ("tables/watch", json!({ "table": 1 })),
        ("tables/watch", json!({ "table": "public.x", "more": 1 })),
        ("tables/watch", json!({ "table": "x; drop table chat.users" })),
        ("tables/watch", json!({ "table": "a\u{0}b" })),
        ("tables/unwatch", json!({ "table": "" })),
        ("sessions/end", json!({ "id": "1" })),
        ("sessions/end", json!({ "id": -1 })),
        ("inspect", json!([])),
        ("inspect", wish("thread", "anon", json!({}))),
        ("inspect", wish("thread:1\n", "anon", json!({}))),
        ("inspect", wish("token:x", "anon", json!({}))),
        ("inspect", wish("thread:1", "anon", json!({ "sub": "'; drop table chat.users --" }))),
        ("inspect", wish("thread:1", "anon", json!({ "sub": "a\u{0}b" }))),
        ("inspect", wish("table:public.x", "\"; reset role; --", json!({}))),
        ("inspect", wish("table:public.x", "a\u{0}b", json!({}))),
        ("inspect", wish("table:public.x", "anon", json!([1]))),
        ("inspect", wish("thread:1", "anon", json!({ "sub": deep }))),
        ("inspect", wish("channel:private:a\u{0}b", "anon", json!({}))),
    ] {
        let (status, answer) = post(&app, call, body.clone()).await;
        assert!((400..500).contains(&status), "{call} {body}: {status} {answer}");
        assert!(answer["message"].is_string(), "{call} {body}: {answer}");
    }
    let large =
        request(&app, "POST", "/admin/api/inspect").bearer_auth(TOKEN).body("x".repeat(70_000));
    assert_eq!(answer(large).await.0, 413);
    let broken =
        request(&app, "POST", "/admin/api/tables/watch").bearer_auth(TOKEN).body("{\"table\": ");
    assert_eq!(answer(broken).await.0, 400);
    assert_eq!(app.value::<i64>("select count(*) from chat.users").await, 4);
}
