//! Clients of the `longpoll` dialect: one that sits in a thread, and one that sits before the list of all threads.
//!
//! Held to: lost 0 and twice 0, in the order of the thread: `last_message_id` is a cursor. Who waits by `poll/updates`
//! fetches the threads that an answer names and no others, so a thread that is not named is a thread whose last message
//! never comes; after an answer that did not come it looks at all, for a session is not given the same again. With `last_check` it is held to more: after each answer it has all that was committed before it asked.
//! Its first question has one, too: without, a session goes by what it was last given, and an answer that was lost on its
//! way was given.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    diary::{Diary, Id, Way},
    dice::Dice,
    ground::now,
    guests,
    sockets::Line,
};

/// What a client waits by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// `poll/messages` of one thread.
    Messages,
    /// `poll/updates`, which goes by what the session was last given.
    Session,
    /// `poll/updates` with the `last_check` of the last answer.
    Check,
}

#[derive(Deserialize)]
struct Rpc {
    result: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Messages {
    messages: Vec<Said>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Said {
    id: i64,
    body: String,
}

#[derive(Deserialize)]
struct Updates {
    threads_with_updates: Vec<Update>,
    last_check: String,
}

#[derive(Deserialize)]
struct Update {
    thread_id: i64,
}

/// A client's state.
struct Client {
    line: Line,
    diary: Diary,
    /// The last message of each thread.
    last: HashMap<i64, i64>,
    last_check: Option<String>,
    /// When it asked for what it is fetching, and the threads that are left.
    fetching: Option<(i64, BTreeSet<i64>)>,
}

/// Polls until the last message of each thread is here, and sometimes goes away in the middle.
pub(crate) async fn poll(line: Line, by: By, diary: Diary, mut dice: Dice) -> Diary {
    // What there is to begin with; from then on only what is named.
    let fetching = Some((now(), diary.threads.iter().copied().collect()));
    let began = jiff::Timestamp::from_microsecond(diary.from).expect("a time");
    let last_check = (by == By::Check).then(|| format!("{began:.6}"));
    let mut client = Client { line, diary, last: HashMap::new(), last_check, fetching };
    let mut gives_up = None;
    while !client.diary.is_complete() {
        if client.line.is_over(&mut gives_up) {
            client.diary.errors.push("the last messages did not come".to_owned());
            break;
        }
        client.diary.visits += 1;
        let seconds = [0, 1, 10, 30][dice.index(4)];
        let patience = dice.millis(20, 3_000);
        let goes_away = dice.chance(20) && !*client.line.finishing.borrow();
        let polling = client.step(by, seconds);
        let polled = if goes_away {
            tokio::time::timeout(patience, polling).await
        } else {
            Ok(polling.await)
        };
        // What a session was given it is not given again, and that answer may be lost: it looks for itself.
        if by == By::Session && !matches!(polled, Ok(Ok(()))) {
            client.fetching = Some((now(), client.diary.threads.iter().copied().collect()));
        }
        let polled = polled.unwrap_or(Ok(()));
        let pause = if polled.is_err() { dice.millis(30, 150) } else { dice.millis(0, 20) };
        tokio::time::sleep(pause + Duration::from_millis(u64::from(seconds == 0) * 50)).await;
    }
    client.diary
}

impl Client {
    async fn step(&mut self, by: By, seconds: u64) -> Result<(), String> {
        if by == By::Messages {
            return self.messages(self.diary.threads[0], seconds).await.map(drop);
        }
        if self.fetching.is_none() {
            let asked = now();
            let last_check = self.last_check.as_ref().filter(|_| by == By::Check);
            let params = json!({ "timeout": seconds, "last_check": last_check });
            let updates: Updates = self.call("poll/updates", params).await?;
            let named = updates.threads_with_updates.iter().map(|update| update.thread_id);
            self.fetching = Some((asked, named.collect()));
            self.last_check = Some(updates.last_check);
        }
        while let Some((asked, left)) = self.fetching.as_mut() {
            let asked = *asked;
            match left.first().copied() {
                Some(thread) => {
                    if !self.messages(thread, 0).await?
                        && let Some((_, left)) = &mut self.fetching
                    {
                        left.remove(&thread);
                    }
                }
                None => {
                    self.fetching = None;
                    if by == By::Check {
                        self.diary.settle(asked);
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks for a thread's messages; returns whether there are more.
    async fn messages(&mut self, thread: i64, seconds: u64) -> Result<bool, String> {
        let last = self.last.get(&thread).copied().unwrap_or(0);
        let params = json!({ "thread_id": thread, "last_message_id": last, "timeout": seconds });
        let page: Messages = self.call("poll/messages", params).await?;
        for said in page.messages {
            self.diary.hear(Id::Number(said.id), thread, &said.body, Way::After);
            self.last.insert(thread, said.id);
        }
        Ok(page.has_more)
    }

    async fn call<T: DeserializeOwned>(&mut self, path: &str, params: Value) -> Result<T, String> {
        let url = format!("http://{}/api/messaging/{path}", self.line.address);
        let body = json!({ "jsonrpc": "2.0", "params": params });
        let request = self.line.http.post(url).bearer_auth(&self.line.token).json(&body);
        let answer: Rpc = guests::ask(request, &mut self.diary).await?;
        if let Some(error) = answer.error {
            // The database is away; anything else is a fault.
            if error["code"] != -32_603 {
                self.diary.errors.push(format!("{path}: {error}"));
            }
            return Err(error.to_string());
        }
        serde_json::from_value(answer.result.unwrap_or_default()).map_err(|error| error.to_string())
    }
}
