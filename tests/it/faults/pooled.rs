//! Behind pgbouncer, of a version that keeps no prepared statements, with few connections for many.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::{join_all, try_join_all};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rowcast::db::migrate;
use serde_json::Value;
use tokio::{sync::Barrier, time::Instant};
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_tungstenite::connect_async;

use super::{PAIR, messages, open, say, token};
use crate::{
    harness::app::Socket,
    history::ground::{Bridge, FEW, Ground, Terrain, until},
};

/// People who each have had as many messages from the last of them as their number says, in a thread of their own.
const PEOPLE: &str = "
    insert into chat.users (username) select 'person' || n from generate_series(1, 7) as n;
    insert into chat.threads (kind) select 'group' from generate_series(1, 6);
    insert into chat.members (thread_id, user_id) select n, n from generate_series(1, 6) as n;
    insert into chat.members (thread_id, user_id) select n, 7 from generate_series(1, 6) as n;
    insert into chat.messages (thread_id, sender_id, content)
    select n, 7, 'word-' || n || '-' || i from generate_series(1, 6) as n, generate_series(1, n) as i;";
/// How often each person asks everything of each bridge.
const ROUNDS: usize = 6;

/// A person's socket at one of the bridges.
async fn socket(bridge: &Bridge, person: i64) -> Socket {
    let url = format!("ws://{}/ws?token={}", bridge.address, token(person));
    let mut socket = Socket(connect_async(url).await.expect("a socket").0);
    socket.until("connection_established").await;
    socket
}

/// Asks as a person and returns the answer's text.
async fn ask(http: &reqwest::Client, bridge: &Bridge, person: i64, path: &str) -> String {
    let url = format!("http://{}/api/chat/{path}", bridge.address);
    let answer = http.get(url).bearer_auth(token(person)).send().await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.expect("a text"));
    assert!(status.is_success(), "{person} {path}: {status} {text}");
    text
}

/// One person's calls, each unlike the others'; every answer is that of its question.
async fn asks(http: &reqwest::Client, bridge: &Bridge, person: i64) {
    for _ in 0..ROUNDS {
        let history = format!("threads/{person}/messages");
        let (unread, threads, words, missed) = tokio::join!(
            ask(http, bridge, person, "unread-count"),
            ask(http, bridge, person, "threads"),
            ask(http, bridge, person, &history),
            ask(http, bridge, person, "offline-messages?last_check_time=2020-01-01T00:00:00Z"),
        );
        let count = |text: &str| text.matches("\"word-").count() as i64;
        let own = |text: &str| text.matches(&format!("\"word-{person}-")).count() as i64;
        let unread: Value = serde_json::from_str(&unread).expect("JSON");
        assert!(unread.to_string().contains(&person.to_string()), "{person}: {unread}");
        assert!(threads.contains(&format!("word-{person}-")), "{person}: {threads}");
        assert_eq!((count(&words), own(&words)), (person, person), "{words}");
        assert_eq!((count(&missed), own(&missed)), (person, person), "{missed}");
    }
}

/// What another client of the pooler's finds on a connection: whose it is, and what was left there.
async fn finds(client: &Client, all: &Barrier) -> (String, Vec<String>) {
    client.batch_execute("begin").await.expect("begun");
    let sql = "select pg_backend_pid(), current_setting('search_path'), \
        current_setting('enable_seqscan'), current_setting('plan_cache_mode'), \
        (select count(*) from pg_listening_channels()), (select count(*) from pg_prepared_statements)";
    let said = client.simple_query(sql).await.expect("an answer");
    // Each has a connection of its own now: these are all that there are.
    all.wait().await;
    client.batch_execute("commit").await.expect("ended");
    let row = said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.expect("a row");
    let text = |nth: usize| row.get(nth).unwrap_or_default().to_owned();
    (text(0), (1..row.len()).map(text).collect())
}

/// Looks at all connections that a crowded pooler has, for a while, as other applications do: their sessions are as they
/// would be had no bridge ever been there.
async fn nothing_is_left(ground: &Ground, meanwhile: Duration) {
    let others = join_all((0..FEW).map(|_| ground.client_pooled())).await;
    let (all, began) = (Barrier::new(FEW), Instant::now());
    loop {
        let found = join_all(others.iter().map(|one| finds(one, &all))).await;
        for (pid, left) in &found {
            assert_eq!(*left, ["\"$user\", public", "on", "auto", "0", "0"], "{pid}");
        }
        let connections: BTreeSet<_> = found.iter().map(|(pid, _)| pid).collect();
        assert_eq!(connections.len(), FEW);
        if began.elapsed() > meanwhile {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn two_bridges_that_share_a_few_connections_answer_each_call_with_its_own_answer() {
    let ground = Ground::start_on(Terrain::Crowded, PEOPLE, &[], &[]).await;
    let bridges = [&ground.bridge, ground.second.as_ref().expect("another bridge")];
    let http = reqwest::Client::new();
    let everybody = || bridges.into_iter().flat_map(|one| (1..=6).map(move |who| (one, who)));
    let mut sockets = Vec::new();
    for (bridge, person) in everybody() {
        sockets.push((person, socket(bridge, person).await));
    }
    join_all(everybody().map(|(bridge, person)| asks(&http, bridge, person))).await;
    for person in 1..=6 {
        let live = format!(
            "insert into chat.messages (thread_id, sender_id, content) values ({person}, 7, 'live-{person}')"
        );
        ground.sql(&live).await;
    }
    let hearing = sockets.iter_mut().map(|(person, socket)| async move {
        assert_eq!(messages(socket, 1).await.0, [format!("live-{person}")]);
    });
    join_all(hearing).await;
    for bridge in bridges {
        let log = std::fs::read_to_string(bridge.log()).expect("a log");
        assert!(!log.contains("prepared statement"), "{log}");
    }
    nothing_is_left(&ground, Duration::ZERO).await;
}

#[tokio::test]
async fn a_bridge_that_polls_through_a_pooler_leaves_others_their_sessions() {
    let ground = Ground::start_on(Terrain::Crowded, PAIR, &[], &[]).await;
    nothing_is_left(&ground, Duration::from_secs(3)).await;
    for bridge in [&ground.bridge, ground.second.as_ref().expect("another bridge")] {
        until("polling", Duration::from_secs(20), || async { bridge.mode().await == "poll" }).await;
    }
}

#[tokio::test]
async fn a_pooler_in_session_mode_passes_notifications_on() {
    let ground = Ground::start_on(Terrain::Sessions, PAIR, &[], &[]).await;
    let (mut socket, _) = open(&ground, 1, None).await;
    until("told by notification", Duration::from_secs(20), || async {
        ground.bridge.mode().await == "notify"
    })
    .await;
    ground.sql(&say("by notification")).await;
    assert_eq!(messages(&mut socket, 1).await.0, ["by notification"]);
}

#[tokio::test]
async fn a_crash_behind_a_pooler_is_noticed() {
    let ground = Ground::start_on(Terrain::Crowded, PAIR, &[], &[]).await;
    ground.sql(&say("before")).await;
    let victim = ground.client().await;
    let sql = "select pg_backend_pid()";
    let pid: i32 = victim.query_one(sql, &[]).await.expect("a row").get(0);
    let lines = |bridge: &Bridge| {
        let log = std::fs::read_to_string(bridge.log()).expect("a log");
        log.matches("the database recovered from a crash").count()
    };
    // One process of the server's: all others go with it, and the pooler makes new ones without telling anybody.
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
    for bridge in [&ground.bridge, ground.second.as_ref().expect("another bridge")] {
        until("noticed", Duration::from_secs(30), || async { lines(bridge) > 0 }).await;
        until("ready", Duration::from_secs(30), || async { bridge.ready().await == Some(200) })
            .await;
    }
    let (mut socket, _) = open(&ground, 1, None).await;
    ground.sql(&say("after")).await;
    assert_eq!(messages(&mut socket, 1).await.0, ["after"]);
}

#[tokio::test]
async fn what_is_installed_through_a_pooler_leaves_no_statement_there() {
    let ground = Ground::start_on(Terrain::Crowded, PAIR, &[], &[]).await;
    let (target, lifecycle) = (ground.target_pooled(), &ground.lifecycle);
    for _ in 0..2 {
        migrate::forget_functions(&target, lifecycle).await.expect("forgotten");
        try_join_all((0..3).map(|_| migrate::run(&target, lifecycle, |_| {})))
            .await
            .expect("migrated");
    }
    nothing_is_left(&ground, Duration::ZERO).await;
}
