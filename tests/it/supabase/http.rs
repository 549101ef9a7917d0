//! Broadcast over HTTP, CORS, and the gateway to a project.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::client::{Came, Phoenix, token_of, user_broadcast};
use crate::harness::app::App;

async fn post(app: &App, path: &str, key: &str, kind: &str, body: &str) -> (u16, Value) {
    let answer = reqwest::Client::new()
        .post(format!("http://{}{path}", app.address()))
        .header("apikey", key)
        .header("authorization", "Bearer sb_publishable_x")
        .header("content-type", kind)
        .body(body.to_owned())
        .send()
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn a_batch_and_one_alone_reach_the_channel() {
    let app = App::start().await;
    let key = token_of("anon");
    let mut client = Phoenix::joined(&app, &key, "a:b", json!({})).await;
    let id = "7f6f1ab1-2d5c-4d2c-8a43-4c3c9c1d2a11";
    let messages = json!([
        { "topic": "a:b", "event": "e", "payload": { "x": 1 } },
        { "topic": "a:b", "event": "e", "payload": {}, "id": id, "private": false },
        { "topic": "elsewhere", "event": "e", "payload": {} },
    ]);
    let batch = json!({ "messages": messages }).to_string();
    let path = "/realtime/v1/api/broadcast?vsn=2.0.0";
    assert_eq!(post(&app, path, &key, "application/json", &batch).await, (202, json!("")));
    let payload = json!({ "event": "e", "payload": { "x": 1 }, "type": "broadcast" });
    assert_eq!(client.next().await, json!([null, null, "realtime:a:b", "broadcast", payload]));
    let payload = json!({ "event": "e", "payload": {}, "type": "broadcast", "meta": { "id": id } });
    assert_eq!(client.next().await, json!([null, null, "realtime:a:b", "broadcast", payload]));

    let path = "/api/broadcast/a%3Ab/events/an%20event";
    assert_eq!(post(&app, path, &key, "application/json; charset=utf-8", "[1]").await.0, 202);
    assert_eq!(post(&app, path, &key, "application/octet-stream", "\0\x01").await.0, 202);
    let json = user_broadcast("a:b", "an event", "", true, b"[1]");
    assert_eq!(client.any().await, Came::Binary(json));
    assert_eq!(
        client.any().await,
        Came::Binary(user_broadcast("a:b", "an event", "", false, &[0, 1]))
    );
    client.nothing_more().await;
}

#[tokio::test]
async fn a_broadcast_is_refused_in_the_exact_words() {
    let app = App::start_with(&["--broadcast-limit=20", "--rate-broadcasts=1/3"]).await;
    let key = token_of("anon");
    let (batch, single) = ("/api/broadcast", "/realtime/v1/api/broadcast/a/events/e");
    let unauthorized = json!({ "message": "Unauthorized" });
    let sent = |messages: Value| json!({ "messages": messages }).to_string();
    let good = json!({ "topic": "a", "event": "e", "payload": {} });
    let blank = json!(["can't be blank"]);
    let size = json!(["Payload size exceeds tenant limit"]);
    let large = json!({ "topic": "a", "event": "e", "payload": { "x": "y".repeat(20) } });
    let cases = [
        (batch, "", "application/json", sent(json!([good])), 401, unauthorized.clone()),
        (single, "nonsense", "application/json", "{}".to_owned(), 401, unauthorized),
        (
            batch,
            &key,
            "application/json",
            sent(json!([{ "topic": "a" }, good])),
            422,
            json!({ "errors": { "messages": [{ "payload": blank, "event": blank }, {}] } }),
        ),
        (
            batch,
            &key,
            "application/json",
            sent(json!([large])),
            422,
            json!({ "errors": { "messages": [{ "payload": size }] } }),
        ),
        (
            batch,
            &key,
            "application/json",
            sent(json!([good, good, good, good])),
            429,
            json!({ "message": "Too many messages to broadcast, please reduce the batch size" }),
        ),
        (
            single,
            &key,
            "text/plain",
            "{}".to_owned(),
            415,
            json!({ "error": "Unsupported Media Type. Use application/json or application/octet-stream" }),
        ),
        (
            single,
            &key,
            "application/json",
            json!("y".repeat(20)).to_string(),
            422,
            json!({ "errors": { "payload": size } }),
        ),
    ];
    for (path, key, kind, body, status, answer) in cases {
        assert_eq!(post(&app, path, key, kind, &body).await, (status, answer), "{path} {body}");
    }
}

#[tokio::test]
async fn a_preflight_allows_what_the_client_libraries_send() {
    let app = App::start().await;
    let wanted = "authorization, apikey, content-type, x-client-info";
    let answer = reqwest::Client::new()
        .request(
            reqwest::Method::OPTIONS,
            format!("http://{}/realtime/v1/api/broadcast", app.address()),
        )
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", wanted)
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success());
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let allowed = answer.headers()["access-control-allow-headers"].to_str().expect("text");
    assert!(wanted.split(", ").all(|name| allowed.contains(name)), "{allowed}");
}

/// A project that answers each request with what it was asked, after the first byte of the body has come.
async fn project() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    (format!("http://{}/", listener.local_addr().expect("an address")), listener)
}

#[tokio::test]
async fn the_projects_paths_are_passed_on_both_ways_as_they_come() {
    let (url, project) = project().await;
    let app = App::start_with(&["--supabase-upstream", &url]).await;
    let (sender, body) = tokio::sync::mpsc::channel::<Result<&'static str, std::io::Error>>(1);
    let stream =
        futures_util::stream::unfold(
            body,
            |mut body| async move { Some((body.recv().await?, body)) },
        );
    let asking = reqwest::Client::new()
        .patch(format!("http://{}/rest/v1/todos?id=eq.1", app.address()))
        .header("apikey", "key")
        .header("prefer", "return=representation")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .body(reqwest::Body::wrap_stream(stream))
        .send();
    let serving = async {
        let (mut socket, _) = project.accept().await.expect("a request");
        let mut heard = String::new();
        let mut buffer = [0; 1024];
        sender.send(Ok("first")).await.expect("sent");
        while !heard.contains("first") {
            let read = socket.read(&mut buffer).await.expect("bytes");
            assert!(read > 0, "{heard}");
            heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        // The head of the answer, before the rest of the request.
        let head = "HTTP/1.1 206 Partial Content\r\ncontent-range: 0-0/1\r\naccess-control-allow-origin: https://other.example\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
        socket.write_all(head.as_bytes()).await.expect("sent");
        (socket, heard)
    };
    let (answer, (mut socket, heard)) = tokio::join!(asking, serving);
    let mut answer = answer.expect("an answer");
    let heard = heard.to_lowercase();
    assert!(heard.starts_with("patch /rest/v1/todos?id=eq.1 http/1.1"), "{heard}");
    assert!(
        heard.contains("prefer: return=representation") && heard.contains("apikey: key"),
        "{heard}"
    );
    assert!(!heard.contains("x-hop") && heard.contains(&url[7..url.len() - 1]), "{heard}");
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-range"], "0-0/1");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.chunk().await.expect("a part").as_deref(), Some(&b"one"[..]));
    drop(sender);
    socket.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.expect("sent");
    assert_eq!(answer.chunk().await.expect("a part").as_deref(), Some(&b"two"[..]));

    drop((socket, project));
    let gone =
        reqwest::get(format!("http://{}/auth/v1/health", app.address())).await.expect("an answer");
    assert_eq!(gone.status(), 502);
    // What is ours stays ours.
    let mut client = Phoenix::joined(&app, &token_of("anon"), "a", json!({})).await;
    client.nothing_more().await;
}
