//! Below the routes: requests that are two, paths that are others, bodies that unfold, and words that would reach logs and headers raw.

use std::{fs, io::Write, process::Command, time::Duration};

use rand::distr::{Alphanumeric, SampleString};
use regex::Regex;
use serde_json::json;
use tokio_tungstenite::{connect_async, tungstenite::client::IntoClientRequest};

use crate::{
    harness::{
        Database,
        app::{App, PEOPLE, SECRET, Socket, now, token, token_with},
    },
    history::ground::Bridge,
    native::client::{Raw, request},
};

/// How long a connection may go on after what cannot be understood.
const SOON: Duration = Duration::from_secs(20);
const SEND: &str = "/api/chat/threads/1/messages";

#[tokio::test]
async fn a_request_that_could_be_read_as_two_is_none() {
    let app = App::start().await;
    let auth = format!("host: a\r\nauthorization: Bearer {}\r\n", token("ada"));
    let body = r#"{"content":"smuggled"}"#;
    let length = body.len();
    let hidden = format!("POST {SEND} HTTP/1.1\r\n{auth}content-length: {length}\r\n\r\n{body}");
    for framing in [
        format!("content-length: 0\r\ncontent-length: {}\r\n", hidden.len()),
        format!("content-length: 0, {}\r\n", hidden.len()),
        "content-length: +0\r\n".to_owned(),
        "content-length: 0x0\r\n".to_owned(),
        "content-length: -1\r\n".to_owned(),
        "content-length: 99999999999999999999999\r\n".to_owned(),
        "transfer-encoding: gzip\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        " transfer-encoding: chunked\r\n".to_owned(),
        "x: a\r\n b: c\r\ntransfer-encoding: xchunked\r\n".to_owned(),
    ] {
        let mut raw = Raw::open(&app).await;
        raw.write(format!("POST /api/chat/subscribe HTTP/1.1\r\n{auth}{framing}\r\n{hidden}"))
            .await;
        let came = String::from_utf8_lossy(&raw.closed_within(SOON).await).into_owned();
        let answers = came.matches("HTTP/1.1 ").count();
        assert!(answers <= 1 && !came.contains(" 201 "), "{framing:?}: {came}");
    }
    // With both, chunks count, as RFC 9112 has it, and the connection ends: what follows is nobody's request.
    let mut raw = Raw::open(&app).await;
    let both = format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", 5 + hidden.len());
    raw.write(format!("POST /api/chat/subscribe HTTP/1.1\r\n{auth}{both}\r\n0\r\n\r\n{hidden}"))
        .await;
    let came = String::from_utf8_lossy(&raw.closed_within(SOON).await).into_owned();
    assert!(!came.contains(" 201 "), "{came}");
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 0);
}

#[tokio::test]
async fn a_path_is_what_it_says_and_leads_to_no_other() {
    let app = App::start_with(&["--demo-page=true"]).await;
    let token = token("ada");
    for path in [
        "//api/chat/threads",
        "/api//chat/threads",
        "/api/chat/%2e%2e/chat/threads",
        "/api/chat/../chat/threads",
        "/api/./chat/threads",
        "/api%2fchat%2fthreads",
        "/api/chat/threads%00",
        "/api/chat/threads/%2e%2e/unread-count",
        "/api/chat/threads;a=b",
        "/API/CHAT/THREADS",
        "/api\\chat\\threads",
        "/demo/../../../etc/passwd",
        "/demo/%2e%2e/%2e%2e/Cargo.toml",
        "/demo/..%2f..%2fCargo.toml",
        "/demo/%00",
        "/demo//etc/passwd",
        "/client/../demo/index.html",
        "/client/%2e%2e/demo/index.html",
        "/client//etc/passwd",
        "/metrics",
        "/ready",
        "//127.0.0.1/metrics",
    ] {
        let mut raw = Raw::open(&app).await;
        raw.write(format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        ))
        .await;
        let came = String::from_utf8_lossy(&raw.closed_within(SOON).await).into_owned();
        let status = came.get(9..12).unwrap_or_default();
        assert!(matches!(status, "400" | "403" | "404" | "405"), "{path}: {came}");
        assert!(!came.contains("root:") && !came.contains("[package]"), "{path}: {came}");
    }
    // A target with an authority is of a proxy: its path is all that counts, and a NUL is no path at all.
    for line in ["GET /a\0b HTTP/1.1", "GET /a b HTTP/1.1", "GET /\u{1b}[2J HTTP/1.1", "GET"] {
        let mut raw = Raw::open(&app).await;
        raw.write(format!("{line}\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        let came = String::from_utf8_lossy(&raw.closed_within(SOON).await).into_owned();
        assert!(came.is_empty() || came.starts_with("HTTP/1.1 400"), "{line:?}: {came}");
    }
}

/// A message whose content is one letter, 258 times `count` of it, as gzip has it: a block of fixed codes that says "again".
///
/// Unpacked it is a good request, a small one, or one far over the limit: neither could be taken for what is no JSON.
fn packed(count: usize) -> Vec<u8> {
    let (before, after) = (r#"{"content":"x"#, r#""}"#);
    let plain = [before, &"x".repeat(258 * count), after].concat();
    let mut bits = Bits::default();
    // The last block, of fixed codes.
    bits.low(0b011, 3);
    before.bytes().for_each(|byte| bits.letter(byte));
    for _ in 0..count {
        // Length 258, distance 1.
        bits.high(0b1100_0101, 8);
        bits.high(0, 5);
    }
    after.bytes().for_each(|byte| bits.letter(byte));
    bits.high(0, 7);
    let crc = plain.bytes().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    let length = u32::try_from(plain.len()).expect("it is short");
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    bytes.extend(bits.bytes);
    bytes.extend((!crc).to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes
}

/// Bits as DEFLATE (RFC 1951) puts them into bytes.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn bit(&mut self, bit: u32) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        *self.bytes.last_mut().expect("a byte") |= u8::from(bit == 1) << (self.used % 8);
        self.used += 1;
    }

    fn low(&mut self, value: u32, count: u32) {
        (0..count).for_each(|nth| self.bit(value >> nth & 1));
    }

    fn high(&mut self, value: u32, count: u32) {
        (0..count).rev().for_each(|nth| self.bit(value >> nth & 1));
    }

    /// The fixed code of a byte below 144, which all of ASCII is.
    fn letter(&mut self, byte: u8) {
        self.high(0x30 + u32::from(byte), 8);
    }
}

/// What `gzip` makes of it.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let output = Command::new("gzip").arg("-dc").stdin(file.reopen().expect("the file")).output();
    let output = output.expect("gzip");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn nothing_is_ever_unpacked_and_nothing_packed() {
    let app = App::start().await;
    let bearer = format!("Bearer {}", token("ada"));
    // Unpacked, the one would be written, and the other is larger than anything may be.
    let (small, bomb) = (packed(1), packed(20_000));
    let plain = unpacked(&small);
    assert!(bomb.len() < 40_000 && unpacked(&bomb).len() > 5_000_000, "{} bytes", bomb.len());
    let paths = [SEND, "/api/chat/rooms/1/messages/", "/api/conversations/1/messages"];
    for path in paths {
        let headers = [("authorization", &*bearer)];
        assert_eq!(
            request(&app, "POST", path, &headers, plain.clone()).await.status(),
            201,
            "{path}"
        );
    }
    for encoding in ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "x-unknown"] {
        let headers = [("authorization", &*bearer), ("content-encoding", encoding)];
        for (path, body) in paths.iter().flat_map(|path| [(path, &small), (path, &bomb)]) {
            let response = request(&app, "POST", path, &headers, body.clone()).await;
            assert_eq!(response.status(), 400, "{encoding} at {path}");
        }
    }
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 3, "those that were sent as they are");
    let headers = [("authorization", &*bearer), ("accept-encoding", "gzip, br, zstd, deflate")];
    for path in ["/api/chat/threads", "/api/chat/rooms/", "/client/rowcast.js"] {
        let response = request(&app, "GET", path, &headers, "").await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.headers().get("content-encoding").is_none(), "{path}");
    }
    for path in ["/ws?", "/ws/chat/1/?", "/socket.io/?EIO=4&transport=websocket&"] {
        let url = format!("ws://{}{path}token={}", app.address(), token("ada"));
        let mut request = url.into_client_request().expect("a request");
        let offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
        request.headers_mut().insert("sec-websocket-extensions", offer.parse().expect("a header"));
        let (_, response) = connect_async(request).await.expect("a socket");
        assert!(response.headers().get("sec-websocket-extensions").is_none(), "{path}");
    }
}

#[tokio::test]
async fn no_word_of_a_client_becomes_a_header() {
    let app = App::start().await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('opaque', 1)").await;
    let odd = "%0d%0aset-cookie:%20stolen=1%0d%0a%0d%0a<script>";
    for path in [
        format!("/ws?token={odd}"),
        format!("/api/chat/events?cursor={odd}"),
        format!("/api/chat/{odd}"),
        format!("/demo{odd}"),
        format!("/client/{odd}"),
        format!("/api/messaging/{odd}"),
        format!("/socket.io/?EIO=4&transport={odd}"),
        format!("/realtime/v1/websocket?apikey={odd}&vsn={odd}"),
        format!("/api/conversations/{odd}/messages"),
        format!("/api/chat/rooms/{odd}/"),
    ] {
        let headers = [
            ("cookie", "session_id=opaque; csrf_token=a"),
            ("x-forwarded-proto", "https; stolen=1"),
            ("x-forwarded-host", "evil.example"),
            ("origin", "https://a.example"),
            ("sec-websocket-protocol", "stolen, phoenix"),
        ];
        for headers in [&headers[..], &[]] {
            let response = request(&app, "GET", &path, headers, "").await;
            for (name, value) in response.headers() {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                assert!(
                    !value.contains("stolen") && !value.contains("evil"),
                    "{path}: {name}: {value}"
                );
            }
            let kind = response.headers().get("content-type").cloned();
            let body = response.text().await.expect("a body");
            let is_page =
                kind.is_some_and(|kind| kind.to_str().unwrap_or_default().contains("html"));
            assert!(!is_page || !body.contains("<script>"), "{path}: {body}");
        }
    }
}

/// What is a secret, and may stand nowhere.
struct Secrets(Vec<String>);

impl Secrets {
    fn absent(&self, place: &str, text: &str) {
        for secret in &self.0 {
            assert!(!text.contains(secret), "{place} holds {secret}: {text}");
        }
    }
}

#[tokio::test]
async fn logs_answers_and_metrics_hold_no_secret_and_no_raw_control_character() {
    let database = Database::new().await;
    let owner = database.client().await;
    owner.batch_execute(PEOPLE).await.expect("people");
    let session = Alphanumeric.sample_string(&mut rand::rng(), 24);
    owner
        .batch_execute(&format!(
            "insert into chat.login_sessions (session_id, user_id) values ('{session}', 1);
             update chat.users set username = E'a\\r\\n\\x1b[2Jb' where id = 2;
             create table public.\"odd\u{1b}[31m\nname\" (id int primary key);
             alter table public.\"odd\u{1b}[31m\nname\" enable row level security;
             grant select on public.\"odd\u{1b}[31m\nname\" to anon;
             create policy broken on public.\"odd\u{1b}[31m\nname\" using (1 / (id - id) = 1);"
        ))
        .await
        .expect("odd names");
    let folder = tempfile::tempdir().expect("a folder");
    let url = database.url();
    let flags = [
        "--log=trace",
        "--publishable-key=sb_publishable_of_this_test",
        "--secret-key=sb_secret_of_this_test",
        "--node=a node",
    ];
    let bridge = Bridge::start(folder.path(), &url.parse().expect("a URL"), &flags).await;
    let password = url.split(':').nth(2).and_then(|rest| rest.split('@').next()).expect("one");
    let good = token("ada");
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let secrets = Secrets(vec![
        SECRET.to_owned(),
        password.to_owned(),
        session.clone(),
        "sb_secret_of_this_test".to_owned(),
        good.rsplit('.').next().expect("a signature").to_owned(),
        good.split('.').nth(1).expect("a payload").to_owned(),
    ]);
    let odd = "%1b%5b2J%0d%0a2026-01-01T00:00:00Z%20ERROR%20forged%07%9b31m";
    let client = reqwest::Client::builder().timeout(SOON).build().expect("a client");
    let base = format!("http://{}", bridge.address);
    let kid = token_with(
        &json!({ "sub": "x\u{1b}[2J\r\nforged", "role": "\u{1b}[2J\r\nforged", "exp": now() + 60 }),
    );
    for path in [
        format!("/ws?token={odd}"),
        format!("/api/chat/{odd}"),
        format!("/api/chat/threads?token={good}"),
        format!("/api/chat/threads?token={forged}"),
        format!("/api/chat/threads?token={kid}"),
        format!("/api/chat/threads/{odd}/messages?token={good}"),
        format!("/api/chat/offline-messages?token={good}&cursor={odd}"),
        format!("/realtime/v1/websocket?apikey={kid}"),
        format!("/realtime/v1/websocket?apikey=sb_secret_of_this_tesu{odd}"),
        format!("/socket.io/?EIO=4&transport=polling&token={odd}"),
    ] {
        for method in ["GET", "POST"] {
            let request =
                client.request(method.parse().expect("a method"), format!("{base}{path}"));
            let request = request
                .header("cookie", format!("session_id={session}"))
                .header("user-agent", "a\tb")
                .header("x-forwarded-for", "\u{80}\u{9b}31m")
                .body("\u{1b}[2J\r\nforged");
            let response = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
            let text = response.text().await.unwrap_or_default();
            secrets.absent(&path, &text);
            let raw = text.chars().any(|char| char.is_control() && char != '\n');
            assert!(!raw || text.starts_with("event"), "{path}: {text:?}");
        }
    }
    let mut native = open(&bridge, &format!("/ws?token={good}")).await;
    native.until("connection_established").await;
    let odd_frame = json!({ "type": "fly\u{1b}[2J\r\nforged", "ref": "\u{1b}[2J" });
    let answer = native.ask(odd_frame).await;
    assert_eq!(answer["type"], "error", "{answer}");
    let anon = token_with(&json!({ "role": "anon", "exp": now() + 60 }));
    let mut phoenix =
        open(&bridge, &format!("/realtime/v1/websocket?vsn=2.0.0&apikey={anon}")).await;
    let watch = json!({ "event": "*", "schema": "public", "table": "odd\u{1b}[31m\nname" });
    let config = json!({ "config": { "postgres_changes": [watch] } });
    let odd_topic = json!(["0", "0", "realtime:\u{1b}[2J\r\nforged", "phx_join", config]);
    assert_eq!(phoenix.ask(odd_topic).await[4]["status"], "error");
    let join = json!(["1", "1", "realtime:a", "phx_join", config]);
    assert_eq!(phoenix.ask(join).await[4]["status"], "ok");
    // No topic has control characters, so that such a table cannot be watched: whoever asks for it hears so.
    assert_eq!(phoenix.next().await[4]["status"], "error");
    // One that is in the log all the same, from before such names were refused, is nobody's and holds nobody up.
    let insert = "insert into public.\"odd\u{1b}[31m\nname\" values (1);
        insert into rowcast.changes (topic, relation, op, record, ring)
            values (E'table:public.odd\\x1b[31m\\nname', E'public.odd\\x1b[31m\\nname', 'INSERT', '{}', true);
        insert into chat.messages (thread_id, sender_id, content) values (1, 2, E'a\\x1b[2J\\r\\nforged')";
    owner.batch_execute(insert).await.expect("rows");
    native.until("new_message").await;
    let name = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    owner.batch_execute(name).await.expect("connections that end, which is logged");
    bridge.run().await;

    let metrics =
        reqwest::get(format!("http://{}/metrics", bridge.admin)).await.expect("an answer");
    secrets.absent("/metrics", &metrics.text().await.expect("a body"));
    let log = fs::read_to_string(bridge.log()).expect("a log");
    secrets.absent("the log", &log);
    let begins = Regex::new(r"^\S*\d{4}-\d\d-\d\dT[\d:.]+Z ").expect("a pattern");
    assert!(log.lines().count() > 20, "{log}");
    for line in log.lines() {
        assert!(begins.is_match(line), "a line that nobody of ours began: {line:?}");
        let raw = line.chars().find(|char| char.is_control() && *char != '\t');
        assert_eq!(raw, None, "{line:?}");
    }
}

async fn open(bridge: &Bridge, path: &str) -> Socket {
    let url = format!("ws://{}{path}", bridge.address);
    Socket(connect_async(url).await.expect("a socket").0)
}
