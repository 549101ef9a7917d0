//! Clients that only ask: `offline-messages` by `last_check_time` and by `cursor`, over and over.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    dice::Dice,
    ground::now,
    inbox::{LAST, word},
    sockets::Line,
    world::World,
};

/// How a poller asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Time,
    Cursor,
}

/// What one check gave.
#[derive(Debug)]
pub(crate) struct Check {
    /// When it was asked.
    pub(crate) at: i64,
    /// What was asked with.
    pub(crate) since: String,
    pub(crate) has_more: bool,
    pub(crate) got: Vec<(Uuid, String)>,
}

/// What a poller got.
pub(crate) struct Polled {
    pub(crate) by: By,
    pub(crate) user: i64,
    /// When it asked first.
    pub(crate) from: i64,
    pub(crate) checks: Vec<Check>,
    pub(crate) complete: bool,
    pub(crate) errors: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    data: Page,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Message>,
    has_more: bool,
    last_check_time: String,
    cursor: String,
}

#[derive(Deserialize)]
struct Message {
    id: Uuid,
    thread_id: Uuid,
    content: String,
}

/// Asks until it has the last message of each of its user's threads.
pub(crate) async fn poll(line: Line, by: By, user: i64, threads: &[i64], mut dice: Dice) -> Polled {
    let http = reqwest::Client::new();
    let url = format!("http://{}/api/chat/offline-messages", line.address);
    let from = now();
    let began = jiff::Timestamp::from_microsecond(from).expect("a time");
    // The first position is that of a check, which both kinds make by time.
    let (mut since, mut cursor) = (format!("{began:.6}"), None::<String>);
    let mut waiting: HashMap<Uuid, ()> =
        threads.iter().map(|&thread| (World::thread(thread), ())).collect();
    let mut polled =
        Polled { by, user, from, checks: Vec::new(), complete: false, errors: Vec::new() };
    let mut gives_up = None;
    while !waiting.is_empty() {
        if *line.finishing.borrow() {
            let end = *gives_up.get_or_insert_with(|| Instant::now() + line.patience);
            if Instant::now() >= end {
                return polled;
            }
        }
        let most = if dice.chance(50) { 40 } else { 700 };
        let limit = (1 + dice.below(most)).to_string();
        let (name, value) = match (by, &cursor) {
            (By::Cursor, Some(cursor)) => ("cursor", cursor.clone()),
            _ => ("last_check_time", since.clone()),
        };
        let at = now();
        let query = [(name, value.as_str()), ("limit", limit.as_str())];
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let request = http.get(format!("{url}?{encoded}")).bearer_auth(&line.token);
        let request = request.timeout(Duration::from_secs(10));
        let answer = match request.send().await {
            Ok(answer) if answer.status().is_success() => answer.json::<Answer>().await,
            Ok(answer) => {
                // The database or the bridge is away; anything else is a fault.
                if answer.status().as_u16() < 500 {
                    polled.errors.push(format!("{}: {:?}", answer.status(), answer.text().await));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(error) => Err(error),
        };
        let Ok(Answer { data }) = answer else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        for message in data.messages.iter().filter(|message| message.content == LAST) {
            waiting.remove(&message.thread_id);
        }
        let got = data.messages.into_iter().map(|m| (m.id, word(&m.content))).collect();
        let has_more = data.has_more;
        polled.checks.push(Check { at, since: value, has_more, got });
        (since, cursor) = (data.last_check_time, Some(data.cursor));
        if !has_more {
            tokio::time::sleep(dice.millis(5, 400)).await;
        }
    }
    polled.complete = true;
    polled
}
