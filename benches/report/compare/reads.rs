//! What is asked over HTTP: unread counts and offline sync over a million messages, messages written and pages read.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Figures, Scale,
    http::Http,
    peers::{Kind, Peer},
    results::{self, Row},
};
use crate::{
    bridge::Bridge,
    people::token,
    postgres::Postgres,
    say,
    table::{millis, percentile},
};

pub(super) const ROWS: [Row; 5] = [
    results::UNREAD_FEW,
    results::UNREAD_MANY,
    results::SYNC,
    results::REST_SEND,
    results::REST_READ,
];
/// Connections that ask at the same time.
const ASKING: usize = 12;
/// The first requests warm up and are left out.
const WARM: usize = 8;
/// What one sync brings: a hundred of each thread.
const MISSED: usize = 5_000;
/// Messages of each of the reader's fifty threads before these.
const OLD: i64 = 20_000;
const PAGE: usize = 50;

/// The reader of a million messages, and where they were before the last five thousand.
pub(super) struct Reader {
    id: i64,
    cursor: String,
    since: String,
}

/// How one peer is asked.
struct Asked {
    unread: String,
    missed: String,
    page: fn(usize) -> String,
    send: fn(usize) -> (String, String),
}

/// Fills the tables: the same million messages for those with `chat.messages` and for those with tables of their own.
pub(super) fn load(postgres: &Postgres) -> Result<Reader> {
    say("loading a million messages");
    for statement in include_str!("reads.sql").split(";\n\n") {
        postgres.run(statement)?;
    }
    let client = postgres.connect()?;
    let found = "select id, now()::text from chat.users where username = 'reader'";
    let found = postgres.block_on(client.query_one(found, &[]))?;
    let (id, since): (i64, String) = (found.try_get(0)?, found.try_get(1)?);
    let bridge = Bridge::start(postgres)?;
    let path = format!("/api/chat/offline-messages?last_check_time={}", jiff::Timestamp::now());
    let answer =
        Http::connect(bridge.address)?.ask("GET", &path, &token(usize::try_from(id)?)?, "")?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let cursor = answer.pointer("/data/cursor").and_then(Value::as_str);
    let cursor = cursor.with_context(|| format!("no cursor: {answer}"))?.to_owned();
    // Ten at a time, as many writers would have left them.
    postgres.run(
        "do $$ begin for k in 1..10 loop
            insert into chat.messages (thread_id, sender_id, content)
            select m.talk_id, 2, 'missed ' || n from public.talk_members m, generate_series(1, 10) n;
            insert into public.talk_messages (talk_id, sender_id, body)
            select m.talk_id, 2, 'missed ' || n from public.talk_members m, generate_series(1, 10) n;
            commit;
        end loop; end $$",
    )?;
    postgres.run("vacuum analyze public.talk_messages")?;
    postgres.run("vacuum analyze chat.messages")?;
    Ok(Reader { id, cursor, since })
}

/// One round with one peer.
pub(super) fn measure(
    scale: Scale,
    postgres: &Postgres,
    kind: Kind,
    reader: &Reader,
    figures: &mut Figures<'_>,
) -> Result<()> {
    let Some(asked) = Asked::of(kind, reader) else {
        figures.none(&ROWS);
        return Ok(());
    };
    let peer = Peer::start(kind, postgres)?;
    let token = token(usize::try_from(reader.id)?)?;
    let mut http = peer.http()?;
    let mut times = |path: &str, marks: &[u8], wanted: usize| {
        let mut took = Vec::new();
        for nth in 0..scale.tries + WARM {
            let began = Instant::now();
            let answer = http.ask("GET", path, &token, "")?;
            took.push(millis(began.elapsed()));
            let found = answer.windows(marks.len()).filter(|part| *part == marks).count();
            ensure!(nth > 0 || found >= wanted, "{found} of {wanted}: {} bytes", answer.len());
        }
        anyhow::Ok(percentile(took.get(WARM..).unwrap_or_default(), 0.5))
    };
    // Each as it prints JSON.
    let each = if kind == Kind::ByHand { ":\"100\"" } else { ": 100" };
    read_up_to(postgres, OLD)?;
    figures.add(results::UNREAD_FEW, times(&asked.unread, each.as_bytes(), 50)?);
    let each = each.replace("100", "10100");
    read_up_to(postgres, OLD / 2)?;
    figures.add(results::UNREAD_MANY, times(&asked.unread, each.as_bytes(), 50)?);
    figures.add(results::SYNC, times(&asked.missed, b"missed ", MISSED)?);

    let time = Duration::from_secs(scale.paced.div_ceil(2));
    let sent = asking(&peer, time, |http, topic, token| {
        let (path, body) = (asked.send)(topic);
        http.ask("POST", &path, token, &body).map(drop)
    })?;
    figures.add(results::REST_SEND, Some(sent));
    let read = asking(&peer, time, |http, topic, token| {
        http.ask("GET", &(asked.page)(topic), token, "").map(drop)
    })?;
    figures.add(results::REST_READ, Some(read));
    Ok(())
}

/// The reader has read every thread up to its n-th message.
fn read_up_to(postgres: &Postgres, nth: i64) -> Result<()> {
    postgres.run(&format!(
        "set session_replication_role = replica;
        update chat.members m set last_read_seq = {nth}
        from public.talk_members t where t.talk_id = m.thread_id and t.user_id = m.user_id;
        reset session_replication_role;
        update public.talk_members t set last_read_at = m.created_at
        from chat.messages m where m.thread_id = t.talk_id and m.seq = {nth}"
    ))
}

/// Requests a second over all connections, each about a topic of its own.
fn asking(
    peer: &Peer,
    time: Duration,
    ask: impl Fn(&mut Http, usize, &str) -> Result<()> + Sync,
) -> Result<f64> {
    let ask = &ask;
    let answered: Result<Vec<usize>> = thread::scope(|scope| {
        let running: Vec<_> = (1..=ASKING)
            .map(|topic| {
                scope.spawn(move || {
                    // Ten people are in each topic.
                    let (mut http, token) = (peer.http()?, token((topic - 1) * 10 + 1)?);
                    let end = Instant::now() + time;
                    let mut answered = 0;
                    while Instant::now() < end {
                        ask(&mut http, topic, &token)?;
                        answered += 1;
                    }
                    Ok(answered)
                })
            })
            .collect();
        let all = running.into_iter().map(|one| {
            one.join().unwrap_or_else(|_| Err(anyhow::anyhow!("who asked has panicked")))
        });
        all.collect()
    });
    Ok(answered?.into_iter().sum::<usize>() as f64 / time.as_secs_f64())
}

impl Asked {
    /// None for who keeps no messages that could be asked for.
    fn of(kind: Kind, reader: &Reader) -> Option<Self> {
        let Reader { id, cursor, since } = reader;
        match kind {
            Kind::Chat => Some(Self {
                unread: "/api/chat/unread-count".to_owned(),
                missed: format!("/api/chat/offline-messages?cursor={cursor}&limit={MISSED}"),
                page: |topic| format!("/api/chat/threads/{topic}/messages?limit={PAGE}"),
                send: |topic| {
                    let body = json!({ "content": "x".repeat(100) }).to_string();
                    (format!("/api/chat/threads/{topic}/messages"), body)
                },
            }),
            Kind::ByHand => Some(Self {
                unread: format!("/unread?user={id}"),
                missed: format!(
                    "/missed?user={id}&limit={MISSED}&since={}",
                    since.replace(' ', "T").replace('+', "%2B")
                ),
                page: |topic| format!("/posts?topic={topic}&limit={PAGE}"),
                send: |topic| {
                    let body = json!({ "topic": topic.to_string(), "body": "x".repeat(100) });
                    ("/posts".to_owned(), body.to_string())
                },
            }),
            Kind::Watched | Kind::SocketIo | Kind::Nchan | Kind::Sockudo => None,
        }
    }
}
