//! Reload: by a real signal and by SQL, of settings, keys and nonsense, while clients stay connected.

use nix::sys::signal::Signal;
use rowcast::{app::LIVE, config::Config};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::serve::{Serve, write};
use crate::harness::app::{App, SECRET, Socket, now, person, thread, token};

const UNREAD: &str = "/api/chat/unread-count";

async fn say(socket: &mut Socket, content: &str) -> Value {
    let frame = json!({ "type": "send_message", "thread_id": thread("maths"), "content": content, "ref": 1 });
    socket.send(frame.to_string()).await;
    loop {
        let frame = socket.next().await;
        if frame["ref"] == 1 {
            return frame;
        }
    }
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_hangup_takes_over_what_can_be_and_the_rest_keeps_its_value() {
    let app = App::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, url) = (folder.path().join("rowcast.env"), app.database.url());
    let first =
        format!("DATABASE_URL={url}\nROWCAST_JWT_SECRET='{SECRET}'\nROWCAST_CONTENT_LIMIT=5\n");
    write(&file, &first);
    let mut serve = Serve::start(&["--env-file", file.to_str().expect("a path")]).await;
    let mut ada = serve.socket(&token("ada")).await;
    assert_eq!(say(&mut ada, "Good morning").await["code"], "bad_request");
    let origin = ("origin", "https://elsewhere.example");
    let (name, value) = bearer(&token("ada"));
    assert_eq!(serve.status(UNREAD, &[(name, &value), origin]).await, 200);

    let second = first.replace("LIMIT=5", "LIMIT=50")
        + "ROWCAST_LOG=debug\nROWCAST_ALLOWED_ORIGINS=https://a.example,https://b.example\nROWCAST_GRACE=7s\n";
    write(&file, &second);
    serve.signal(Signal::SIGHUP);
    let line = serve.line("reloaded by SIGHUP").await;
    assert_eq!(line["fields"]["taken"], "allowed-origins, content-limit, log");
    let line = serve.line("wait for a restart").await;
    assert_eq!((&line["level"], &line["fields"]["waiting"]), (&"WARN".into(), &"grace".into()));

    // The same socket, under the new limit.
    assert_eq!(say(&mut ada, "Good morning").await["type"], "message_sent");
    assert_eq!(serve.status(UNREAD, &[(name, &value), origin]).await, 403);
    let client = reqwest::Client::new();
    let url = format!("http://{}{UNREAD}", serve.address);
    let asked = client.get(url).header(name, &value).header("origin", "https://b.example");
    let answer = asked.send().await.expect("an answer");
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://b.example");
    assert_eq!(answer.headers()["access-control-allow-credentials"], "true");
    drop(ada);
    let ended = serve.line("session of user").await;
    assert_eq!(ended["level"], "DEBUG");

    // Taken over once, it is no news; what waits still does.
    serve.signal(Signal::SIGHUP);
    assert_eq!(serve.line("reloaded by SIGHUP").await["fields"]["taken"], "none");
    serve.line("wait for a restart: grace").await;
    serve.signal(Signal::SIGTERM);
    assert!(serve.ended().await.success());
}

#[tokio::test]
async fn keys_change_without_a_restart_and_sessions_go_on() {
    let app = App::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, url) = (folder.path().join("rowcast.env"), app.database.url());
    let secret = |secret: &str| format!("ROWCAST_JWT_SECRET=\"{secret}\"\n");
    write(&file, &secret(SECRET));
    let flags = ["--env-file", file.to_str().expect("a path"), "--database-url", &url];
    let mut serve = Serve::start(&flags).await;
    let mut ada = serve.socket(&token("ada")).await;

    let other = "another secret, 32 characters or more";
    write(&file, &secret(other));
    serve.signal(Signal::SIGHUP);
    assert_eq!(serve.line("reloaded").await["fields"]["taken"], "jwt-secret");
    let claims = json!({ "sub": person("ada"), "exp": now() + 600 });
    let fresh = rowcast::auth::mint(other, &claims).expect("a token");
    for (token, status) in [(token("ada"), 401), (fresh, 200)] {
        let (name, value) = bearer(&token);
        assert_eq!(serve.status(UNREAD, &[(name, &value)]).await, status);
    }
    assert_eq!(ada.until("connection_established").await["user_id"], person("ada"));
    assert_eq!(ada.ask(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_so() {
    let app = App::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, url) = (folder.path().join("rowcast.env"), app.database.url());
    let good = format!("ROWCAST_JWT_SECRET={SECRET}\n");
    write(&file, &good);
    let flags = ["--env-file", file.to_str().expect("a path"), "--database-url", &url];
    let mut serve = Serve::start(&flags).await;
    let mut ada = serve.socket(&token("ada")).await;
    ada.until("connection_established").await;
    let short = "ROWCAST_JWT_SECRET=hunter2";
    let bad = [
        ("ROWCAST_RATE_REST=fast", "rate/burst"),
        ("ROWCAST_RATE_RETS=1/1", "no setting ROWCAST_RATE_RETS"),
        ("ROWCAST_LOG==,=", "rowcast=debug,warn"),
        ("ROWCAST_JWT_PUBLIC_KEY=/nowhere.pem", "neither a PEM nor a readable file"),
        ("ROWCAST_JWKS=http://127.0.0.1:1/keys", "ROWCAST_JWKS does not answer"),
        ("what is this", "line 3 is not NAME=value"),
        (short, "32"),
    ];
    for (line, why) in bad {
        write(&file, &format!("{good}ROWCAST_CONTENT_LIMIT=1\n{line}\n"));
        serve.signal(Signal::SIGHUP);
        let said = serve.line("not reloaded, nothing has changed").await;
        let message = said["fields"]["message"].as_str().expect("words");
        assert!(message.contains(why), "{line}: {message}");
        assert!(!message.contains("hunter2") && !message.contains(SECRET), "{message}");
        assert_eq!(say(&mut ada, "two words").await["type"], "message_sent", "{line}");
    }
    std::fs::remove_file(&file).expect("removed");
    serve.signal(Signal::SIGHUP);
    serve.line("cannot be read").await;
    let (name, value) = bearer(&token("ada"));
    assert_eq!(serve.status(UNREAD, &[(name, &value)]).await, 200);
    let counted = reqwest::get(format!("http://{}/metrics", serve.admin)).await.expect("an answer");
    let counted = counted.text().await.expect("text");
    let wanted = format!("rowcast_reloads_total{{result=\"refused\"}} {}", bad.len() + 1);
    assert!(counted.contains(&wanted), "{counted}");
    // At the start it is refused too.
    write(&file, &format!("{good}ROWCAST_RATE_REST=fast\n"));
    assert!(!Serve::spawn(&flags).ended().await.success());
}

/// A connection to Postgres on which LISTEN is taken and gives nothing, as a pooler's.
async fn deaf(stream: TcpStream, server: String) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = stream.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let down = async {
        let mut head = [0; 5];
        while from_server.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; length as usize - 4];
            if from_server.read_exact(&mut body).await.is_err() {
                break;
            }
            // `A` is a notification.
            if head[0] != b'A' {
                let sent = to_client.write_all(&[&head[..], &body].concat()).await;
                if sent.is_err() {
                    break;
                }
            }
        }
    };
    tokio::select! {
        () = down => {}
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's task ends with the test")]
async fn deaf_url(url: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (before, rest) = url.split_once('@').expect("a user");
    let (server, database) = rest.split_once('/').expect("a database");
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(deaf(stream, server.clone()));
        }
    });
    format!("{before}@{address}/{database}?sslmode=disable")
}

#[tokio::test]
async fn reload_in_sql_reaches_every_bridge_one_that_polls_too() {
    let app = App::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, url) = (folder.path().join("rowcast.env"), app.database.url());
    let first = format!("ROWCAST_JWT_SECRET={SECRET}\n");
    write(&file, &first);
    let path = file.to_str().expect("a path");
    let deaf = deaf_url(&url).await;
    let mut hears = Serve::start(&["--env-file", path, "--database-url", &url]).await;
    let polls = ["--env-file", path, "--database-url", &url, "--listen-url", &deaf];
    let mut polls = Serve::start(&polls).await;
    let ready = reqwest::get(format!("http://{}/ready", polls.admin)).await.expect("an answer");
    let ready: Value = ready.json().await.expect("JSON");
    assert_eq!(ready["mode"], "poll");

    write(&file, &(first + "ROWCAST_CONTENT_LIMIT=5\n"));
    let heard: i64 = app.value("select rowcast.reload()").await;
    assert!(heard >= 1, "{heard}");
    for serve in [&mut hears, &mut polls] {
        let line = serve.line("reloaded by rowcast.reload()").await;
        assert_eq!(line["fields"]["taken"], "content-limit");
        let mut ada = serve.socket(&token("ada")).await;
        assert_eq!(say(&mut ada, "Good morning").await["code"], "bad_request");
    }

    // It is the owner's.
    let superuser = app.database.superuser().await;
    superuser
        .batch_execute("begin; create role nobody_much; set local role nobody_much")
        .await
        .expect("a role");
    let refused = superuser.batch_execute("select rowcast.reload()").await.expect_err("refused");
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{refused}");
}

#[test]
fn the_readme_names_the_settings_that_a_reload_takes_over() {
    let command = <Config as clap::Args>::augment_args(clap::Command::new("rowcast"));
    for flag in LIVE.iter().filter(|flag| **flag != "log") {
        let known = command.get_arguments().any(|one| one.get_long() == Some(flag));
        assert!(known, "there is no --{flag}");
    }
    let names: Vec<String> = LIVE.iter().map(|flag| format!("`--{flag}`")).collect();
    let sentence = format!("A reload takes over {}.", names.join(", "));
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("a README");
    let joined = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(joined.contains(&sentence), "the README should say:\n\n{sentence}\n");
}
