//! Socket.IO and a cookie that a visitor's browser sends along: a session for the bridge's own pages and listed ones, none for others'.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::{
    harness::{
        app::{App, PATIENCE, person, thread, token},
        io::IoSocket,
    },
    native::client::request,
};

const EVIL: &str = "https://evil.example";
const ALLOWED: &str = "https://app.example";
const ADMIN: &str = "an operator's token of tests";

/// A client of Socket.IO in a browser's page, on either transport.
enum Page<'a> {
    Polling {
        app: &'a App,
        headers: Vec<(&'static str, String)>,
        path: String,
        waiting: VecDeque<String>,
    },
    Socket(Box<IoSocket>),
}

impl<'a> Page<'a> {
    /// Opens Engine.IO's session, which is nobody's yet.
    async fn open(
        app: &'a App,
        polling: bool,
        query: &str,
        headers: &[(&'static str, String)],
    ) -> Self {
        if !polling {
            return Self::Socket(Box::new(IoSocket::open_with(app, query, headers).await));
        }
        let mut page = Self::Polling {
            app,
            headers: headers.to_vec(),
            path: format!("/socket.io/?EIO=4&transport=polling{query}"),
            waiting: VecDeque::new(),
        };
        let open = page.poll().await;
        let open: Value =
            serde_json::from_str(open.strip_prefix('0').expect("an open packet")).expect("JSON");
        if let Self::Polling { path, .. } = &mut page {
            path.push_str(&format!("&sid={}", open["sid"].as_str().expect("an id")));
        }
        page
    }

    async fn poll(&self) -> String {
        let Self::Polling { app, headers, path, .. } = self else {
            unreachable!("a socket is not polled")
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response = request(app, "GET", path, &headers, "").await;
        assert_eq!(response.status(), 200);
        let origin = headers.iter().find(|(name, _)| *name == "origin").map(|(_, origin)| *origin);
        if origin == Some(EVIL) {
            let allowed = response.headers().get("access-control-allow-origin");
            assert!(allowed.is_none_or(|origin| origin == "*"), "another's page could read this");
            let by_cookie = response.headers().get("access-control-allow-credentials");
            assert!(allowed.is_none() || by_cookie.is_none(), "{:?}", response.headers());
        }
        response.text().await.expect("a body")
    }

    /// Sends an event, and returns its ack; what else comes before it is passed over.
    async fn answer_to(&mut self, event: &str, ack: &str) -> String {
        let mut came = self.ask(event).await;
        while !came.starts_with(ack) {
            came = match self {
                Self::Socket(socket) => socket.next().await,
                Self::Polling { .. } => self.packet().await,
            };
        }
        came
    }

    /// The next Socket.IO packet of a poll; heartbeats are passed over.
    async fn packet(&mut self) -> String {
        loop {
            let Self::Polling { waiting, .. } = self else {
                unreachable!("a socket is not polled")
            };
            match waiting.pop_front() {
                Some(packet) if packet.starts_with('4') => return packet[1..].to_owned(),
                Some(_) => {}
                None => {
                    let came = self.poll().await;
                    let Self::Polling { waiting, .. } = self else { continue };
                    waiting.extend(came.split('\u{1e}').map(str::to_owned));
                }
            }
        }
    }

    /// Sends a Socket.IO packet, and returns what is answered.
    async fn ask(&mut self, packet: &str) -> String {
        match self {
            Self::Socket(socket) => {
                socket.send(packet).await;
                socket.next().await
            }
            Self::Polling { app, headers, path, .. } => {
                let sent: Vec<_> =
                    headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let response = request(app, "POST", path, &sent, format!("4{packet}")).await;
                assert_eq!(response.status(), 200);
                self.packet().await
            }
        }
    }
}

/// How many sessions the bridge has.
async fn sessions(app: &App) -> usize {
    let url = format!("http://{}/admin/api/sessions", app.addresses.admin);
    let request = reqwest::Client::new().get(url).bearer_auth(ADMIN).timeout(PATIENCE);
    let body = request.send().await.expect("an answer").text().await.expect("a body");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    body["sessions"].as_array().unwrap_or_else(|| panic!("{body}")).len()
}

async fn with_sessions(flags: &[&str]) -> App {
    let mut all = vec!["--admin-token=an operator's token of tests"];
    all.extend(flags);
    let app = App::start_with(&all).await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('opaque-ada', 1)").await;
    app
}

fn cookies() -> [String; 2] {
    [format!("session_id={}", token("ada")), "session_id=opaque-ada".to_owned()]
}

fn join() -> String {
    format!(r#"21["join_conversation",{}]"#, json!({ "other_user_id": person("grace") }))
}

fn subscribe() -> String {
    format!(r#"22["subscribe_conversation",{}]"#, json!({ "conversationId": thread("maths") }))
}

#[tokio::test]
async fn a_cookie_is_no_socket_io_session_for_another_origins_page_on_either_transport() {
    let app = with_sessions(&[]).await;
    for (cookie, polling) in cookies().iter().flat_map(|cookie| [(cookie, false), (cookie, true)]) {
        for origin in [EVIL, "null", "http://127.0.0.1"] {
            let headers = [("cookie", cookie.clone()), ("origin", origin.to_owned())];
            let what = format!("{origin} with {cookie}, polling: {polling}");
            let mut page = Page::open(&app, polling, "&dialect=direct", &headers).await;
            let refused = page.ask("0").await;
            assert!(refused.starts_with("4{") && refused.contains("403"), "{what}: {refused}");
            // Where a token may yet come by `auth`, the namespace opens, and it is nobody's.
            for query in ["", "&dialect=conversations"] {
                let mut page = Page::open(&app, polling, query, &headers).await;
                let greeted = page.ask("0").await;
                assert!(greeted.starts_with(r#"0{"sid":""#), "{what}: {greeted}");
                for (event, ack) in [(join(), "31["), (subscribe(), "32[")] {
                    let answer = page.ask(&event).await;
                    assert!(
                        answer.starts_with(ack) && answer.contains("Not authenticated"),
                        "{what}: {answer}"
                    );
                }
                let empty = page.ask(r#"23["auth",{}]"#).await;
                assert!(
                    empty.contains("`token` is missing"),
                    "{what}: a cookie is no `auth`: {empty}"
                );
            }
            assert_eq!(sessions(&app).await, 0, "{what}");
        }
    }
}

#[tokio::test]
async fn a_cookie_is_a_socket_io_session_for_the_bridges_own_page_and_a_listed_one() {
    let flag = format!("--allowed-origins={ALLOWED}");
    let app = with_sessions(&[&flag]).await;
    let own = format!("http://{}", app.address());
    for (cookie, polling) in cookies().iter().flat_map(|cookie| [(cookie, false), (cookie, true)]) {
        for origin in [&*own, ALLOWED] {
            let headers = [("cookie", cookie.clone()), ("origin", origin.to_owned())];
            for (query, event, ack) in [
                ("", join(), "31["),
                ("&dialect=direct", join(), "31["),
                ("&dialect=conversations", subscribe(), "32["),
            ] {
                let what = format!("{origin}{query} with {cookie}, polling: {polling}");
                let mut page = Page::open(&app, polling, query, &headers).await;
                let greeted = page.ask("0").await;
                assert!(greeted.starts_with(r#"0{"sid":""#), "{what}: {greeted}");
                let answer = page.answer_to(&event, ack).await;
                assert!(!answer.contains("error"), "{what}: {answer}");
                assert!(sessions(&app).await > 0, "{what}");
            }
        }
        // Where origins are listed, others are refused before anything is looked at.
        let headers = [("cookie", cookie.clone()), ("origin", EVIL.to_owned())];
        let mut page = Page::open(&app, polling, "", &headers).await;
        let refused = page.ask("0").await;
        assert!(refused.starts_with("4{") && refused.contains("403"), "{refused}");
    }
}
