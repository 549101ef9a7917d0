//! Paths of the bridge: a running one is asked for each.

use std::collections::BTreeMap;

use super::{none, page::pages, pattern};
use crate::harness::app::{App, thread, token};

/// What pages say that there is not.
const ABSENT: &[&str] = &["/socket/longpoll"];

/// What a page calls a path, and where.
fn named() -> BTreeMap<(String, String), String> {
    let path = pattern(
        r"(?:^|[\s(`'\x22])(?:(GET|POST|PUT|DELETE) )?((?:/(?:api|ws|socket|socket\.io|realtime/v1|client|demo|admin|live|ready|metrics|messaging\.js)\b)[\w./{}…*:-]*)",
    );
    let mut found = BTreeMap::new();
    for page in pages() {
        for code in page.code() {
            // Of a project's gateway, of files and of other programs: not ours to ask for.
            if code.text.contains("://")
                || code.fence.as_deref().is_some_and(|fence| fence != "http")
            {
                continue;
            }
            for one in path.captures_iter(&code.text) {
                let method = one.get(1).map_or("", |method| method.as_str()).to_owned();
                let path = one[2].trim_end_matches(['.', ',', ':']).to_owned();
                found.entry((method, path)).or_insert_with(|| code.place.clone());
            }
        }
    }
    found
}

#[tokio::test]
async fn every_path_of_the_bridge_is_answered() {
    let app = App::start_with(&["--demo-page=true", "--rate-rest=10000/10000"]).await;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let nothing = ask(&http, &app, "GET", "/api/of-no-such-name").await;
    assert_eq!(nothing.0, 404);
    let (mut answered, mut silent) = (Vec::new(), Vec::new());
    for ((method, path), place) in named() {
        // `…/*` stands for what is listed elsewhere, and the reference has what we have not.
        if path.ends_with(['*', '…']) || ABSENT.contains(&path.as_str()) {
            continue;
        }
        let asked = pattern(r"\{[^}]*\}|:\w+").replace_all(&path, thread("maths")).into_owned();
        let methods = if method.is_empty() { vec!["GET", "POST"] } else { vec![method.as_str()] };
        let mut there = false;
        for method in methods {
            let answer = ask(&http, &app, method, &asked).await;
            there |= answer != nothing && answer.0 != 405;
        }
        // A socket's path knows handshakes only.
        there |= app.socket_at(&asked, &token("ada")).await.is_ok();
        if there {
            answered.push(path);
        } else {
            silent.push((place, method, path));
        }
    }
    // `/api/chat/` is a name for what begins so.
    let wrong: Vec<String> = silent
        .iter()
        .filter(|(_, _, path)| {
            let folder = format!("{}/", path.trim_end_matches('/'));
            !answered.iter().any(|one| one.starts_with(&folder))
        })
        .map(|(place, method, path)| format!("{place}: {method} {path}"))
        .collect();
    none(&wrong);
    assert!(answered.len() > 40, "{} paths only", answered.len());
}

async fn ask(http: &reqwest::Client, app: &App, method: &str, path: &str) -> (u16, String) {
    let operators =
        ["/live", "/ready", "/metrics", "/admin"].iter().any(|one| path.starts_with(one));
    let address = if operators { app.addresses.admin } else { app.address() };
    let request =
        http.request(method.parse().expect("a method"), format!("http://{address}{path}"));
    let request = request.bearer_auth(token("ada")).header("content-type", "application/json");
    let request = if method == "GET" { request } else { request.body("{}") };
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    // A stream has no end to wait for.
    let body =
        if status == 404 { response.text().await.unwrap_or_default() } else { String::new() };
    (status, body)
}
