//! The guide's table of features: every row names tests that are there; and what the other tests do not meet.

use std::{fs, path::Path};

use futures_util::StreamExt;
use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::client::{TODOS, token_of};
use crate::harness::app::{App, Socket};

/// What a row may begin with.
const WORDS: [&str; 3] = ["supported", "better", "not"];

/// A file's text, from the root of the tree.
fn file(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// Whether `place::name` is a test that is there: `it/…` and `src/…` name functions, `js/…` titles, `golden/…` and `sql/…`
/// what a comment says.
fn is_there(place: &str, name: &str) -> bool {
    let (kind, rest) = place.split_once('/').unwrap_or((place, ""));
    let (path, marks) = match kind {
        "it" => (format!("tests/it/{rest}.rs"), [format!("fn {name}()"), format!("fn {name}(")]),
        "src" => (format!("src/{rest}.rs"), [format!("fn {name}()"), format!("fn {name}(")]),
        "js" => (
            format!("tests/js/{rest}.test.js"),
            [format!("test(\"{name}\""), format!("test(`{name}`")],
        ),
        "golden" => {
            (format!("tests/golden/supabase/{rest}.txt"), [format!("# {name}"), format!(" {name}")])
        }
        "sql" => (format!("tests/sql/{rest}.sql"), [format!("-- {name}"), format!("-- {name}:")]),
        _ => return false,
    };
    let text = file(&path).unwrap_or_default();
    marks.iter().any(|mark| text.contains(mark.as_str()))
}

/// What a cell has in backticks with `::` in it.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter_map(|one| one.split_once("::")).collect()
}

#[test]
fn every_row_of_the_guide_names_tests_that_are_there() {
    let guide = file("docs/migrate-from-supabase.md").expect("the guide");
    let (_, table) = guide.split_once("## Feature by feature").expect("the table");
    let rows =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| feature"));
    let rows: Vec<&str> = rows.filter(|line| !line.starts_with("| ---")).collect();
    assert!(rows.len() > 80, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, here, tests] = cells[..] else {
            wrong.push(format!("no three cells: {row}"));
            continue;
        };
        let word = here.split([' ', ':', ',', ';']).next().unwrap_or_default();
        if !WORDS.contains(&word) || (word != "supported" && here.len() < word.len() + 8) {
            wrong.push(format!("neither supported, nor better or not, and why: {row}"));
        }
        if named(tests).is_empty() {
            wrong.push(format!("no test: {row}"));
        }
        for (place, name) in named(tests) {
            if !is_there(place, name) {
                wrong.push(format!("no test `{place}::{name}`: {row}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_the_guide_says_is_not_here_is_not_found() {
    let app = App::start().await;
    let token = token_of("service_role");
    for path in [
        "/socket/longpoll?vsn=2.0.0",
        "/realtime/v1/longpoll",
        "/api/tenants",
        "/api/tenants/realtime-dev/health",
        "/api/openapi",
        "/swaggerui",
        "/admin/dashboard",
        "/status",
        "/metrics",
        "/rest/v1/todos",
    ] {
        assert_eq!(app.ask("GET", path, &token, None).await.0, 404, "{path}");
    }
}

/// Opens a socket with one more header, and returns the answer's headers, too.
async fn open(app: &App, header: &'static str, value: &'static str) -> (Socket, String) {
    let key = token_of("anon");
    let url = format!("ws://{}/realtime/v1/websocket?vsn=2.0.0&apikey={key}", app.address());
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert(header, HeaderValue::from_static(value));
    let (socket, response) = connect_async(request).await.expect("a socket");
    (Socket(socket), format!("{:?}", response.headers()))
}

#[tokio::test]
async fn any_host_is_the_project_and_no_frame_is_compressed() {
    let app = App::start().await;
    let heartbeat = r#"[null,"1","phoenix","heartbeat",{}]"#;
    for host in ["some-tenant.example", "realtime-dev.supabase-realtime", "127.0.0.1"] {
        let (mut socket, _) = open(&app, "host", host).await;
        socket.send(heartbeat).await;
        assert_eq!(socket.next().await[4]["status"], "ok", "{host}");
    }
    let offer = "permessage-deflate; client_max_window_bits";
    let (mut socket, headers) = open(&app, "sec-websocket-extensions", offer).await;
    assert!(!headers.contains("extensions"), "{headers}");
    socket.send(heartbeat).await;
    let frame = socket.0.next().await.expect("a frame").expect("a frame");
    assert!(matches!(&frame, Message::Text(text) if text.contains("phx_reply")), "{frame:?}");
}

#[tokio::test]
async fn changes_and_broadcasts_of_the_database_reach_every_node() {
    let app = App::start().await;
    app.sql(TODOS).await;
    let other = app.beside().await;
    let key = token_of("anon");
    let wishes = json!([{ "event": "*", "schema": "public", "table": "todos" }]);
    let join =
        json!(["1", "1", "realtime:a", "phx_join", { "config": { "postgres_changes": wishes } }]);
    let mut sockets = Vec::new();
    for address in [app.address(), other.addresses.http] {
        let url = format!("ws://{address}/realtime/v1/websocket?vsn=2.0.0&apikey={key}");
        let mut socket = Socket(connect_async(url).await.expect("a socket").0);
        assert_eq!(socket.ask(join.clone()).await[4]["status"], "ok");
        assert_eq!(socket.next().await[4]["message"], "Subscribed to PostgreSQL");
        sockets.push(socket);
    }
    app.sql("insert into public.todos values (1)").await;
    for socket in &mut sockets {
        assert_eq!(socket.next().await[4]["data"]["record"]["id"], 1);
    }
    app.sql("select realtime.send('{}', 'e', 'a', false)").await;
    for socket in &mut sockets {
        let frame = socket.0.next().await.expect("a frame").expect("a frame");
        assert!(frame.is_binary(), "{frame:?}");
    }
    other.stop().await;
}
